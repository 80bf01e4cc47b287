"""A keeper that shows its members two histories is caught by all of them, whatever happens to their messages."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.demo.forking import TwoFaces
from hansa.agents.simulation import KEEPER, PARTIES, Harm
from hansa.agents.simulation.disks import Journal
from hansa.agents.simulation.network import Network, Wire
from hansa.agents.simulation.template import copied_federation, keys
from hansa.agents.simulation.weather import Weather
from hansa.broker import Disconnected, Identity, MemoryBroker
from hansa.broker.transport import Outcome, Transport
from hansa.ledger import DatasetRegistered, LedgerStore, MemberAdmitted
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.evidence import read_evidence

RIGHT = "west"
ENOUGH_S = 400.0  # virtual
SEEDS = range(int(os.environ.get("HANSA_SEEDS", "500")) // 80)


def admission(name: str) -> MemberAdmitted:
    public = Identity.generate(name).public
    return MemberAdmitted(name, public.verify_key, public.seal_key, "")


class Schism:
    """Three members, and a keeper with two faces; the right one speaks to west alone."""

    def __init__(self, folder: Path, harm: Harm) -> None:
        self.weather = Weather(harm, lambda name: False)
        self.network = Network(self.weather)
        self.executor = ThreadPoolExecutor(1)
        shutil.copytree(folder / KEEPER, folder / "other-face")
        self.journals: dict[str, Journal] = {}
        both = TwoFaces(Wire(self.network, KEEPER), [RIGHT])
        self.left = self.agent(KEEPER, folder / KEEPER, both.left, "left")
        self.right = self.agent(KEEPER, folder / "other-face", both.right, "right")
        self.members = {
            name: self.agent(name, folder / name, Wire(self.network, name), name) for name in PARTIES
        }
        self.faces = [self.left, self.right]  # those at work

    def agent(self, name: str, home: Path, transport: Transport, place: str) -> Agent:
        identity, config = keys(name)
        return Agent(
            identity=identity,
            config=config,
            journal=self.journals.setdefault(place, Journal(self.weather, name)),
            files=MemoryFiles(),
            store=LedgerStore.open(home / "ledger.sqlite"),
            transport=transport,
            executor=self.executor,
            clock=lambda: self.weather.now,
        )

    def restart(self, name: str) -> None:
        """End a member's process, and start it again with what it has journalled."""
        home = Path(self.members[name].clerk.store.address.removeprefix("sqlite:///")).parent
        self.members[name].close()
        self.members[name] = self.agent(name, home, Wire(self.network, name), name)

    def go(self, seconds: float) -> None:
        """Let time pass, and everybody act in random order."""
        until = self.weather.now + seconds
        while self.weather.now < until:
            self.network.tell_reports()
            agents = [*self.faces, *self.members.values()]
            acted = [each.step() for each in self.weather.random.sample(agents, len(agents))]
            self.weather.now += 0.05 if any(acted) else 1.0

    def convinced(self) -> set[str]:
        return {name for name, each in self.members.items() if each.witness.evidence_against(KEEPER)}

    def given(self) -> dict[str, int]:
        return {name: len(self.journals[name].pledged) for name in PARTIES}

    def close(self) -> None:
        for agent in (self.left, self.right, *self.members.values()):
            agent.close()
        self.executor.shutdown()


@contextmanager
def schism(harm: Harm) -> Iterator[Schism]:
    with copied_federation() as folder:
        found = Schism(folder, harm)
        try:
            yield found
        finally:
            found.close()


def proofs(agent: Agent) -> list[str]:
    """Return what an agent's evidence says to somebody who has nothing but the keeper's keys."""
    keeper, _ = keys(KEEPER)
    origin = agent.clerk.standing.head_checkpoint().origin
    return [
        read_evidence(content).check(origin, {0: keeper.public}.get)
        for _, content in agent.clerk.store.evidence()
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_keeper_with_two_faces_is_caught_by_everybody(seed: int) -> None:
    with schism(Harm(seed=seed, lose=0.1, duplicate=0.2, delay_s=4.0)) as split:
        random = split.weather.random
        split.go(random.uniform(0, 20))  # perhaps before the members have signed anything
        for face, names in ((split.left, ("ada", "ben", "cid")), (split.right, ("dan", "eve", "fay"))):
            for name in names[: random.randint(1, 3)]:
                face.write(admission(name))
                split.go(random.uniform(0, 10))
                split.restart(random.choice(PARTIES))
        split.go(ENOUGH_S)
        assert split.convinced() == set(PARTIES), f"seed {seed}"
        for agent in split.members.values():
            assert any("has signed two histories" in words for words in proofs(agent)), f"seed {seed}"
            assert KEEPER in agent.witness.stops_jobs()
        check_each_named_one_history(split, seed)
        given = split.given()
        split.left.write(admission("gus"))
        split.right.write(admission("hal"))
        split.go(60.0)
        assert split.given() == given, f"seed {seed}: a name for a keeper that is known to have forked"


def check_each_named_one_history(split: Schism, seed: int) -> None:
    """Whatever a member put its name to lies in the copy it has."""
    for name, agent in split.members.items():
        tree = agent.clerk.store.tree()
        for text in split.journals[name].pledged:
            head = read_checkpoint(text)
            assert tree.root(head.size) == head.root, f"seed {seed}: {name}"


def test_two_faces_that_say_the_same_are_one_keeper() -> None:
    with schism(Harm(seed=1, lose=0.0, duplicate=0.0)) as split:
        split.go(60.0)
        assert split.convinced() == set()
        assert all(each.witness.state().evidence == 0 for each in split.members.values())
        final = split.left.witness.heads.final  # north and east are enough
        assert final is not None
        assert final.checkpoint.size == split.left.clerk.head.size


def test_a_member_that_is_started_again_still_knows() -> None:
    with schism(Harm(seed=3, lose=0.0, duplicate=0.0, delay_s=1.0)) as split:
        split.left.write(admission("ada"))
        split.right.write(admission("dan"))
        split.go(60.0)
        told = split.members["west"].witness.state().evidence
        assert told
        split.restart("west")
        split.go(30.0)
        assert "west" in split.convinced()
        assert split.members["west"].witness.state().evidence == told
        assert len(list(split.members["west"].clerk.store.evidence())) == told


def test_the_faces_share_one_connection_and_hear_their_own_audience() -> None:
    broker = MemoryBroker("town")
    for name in ("keeper", "east", "west"):
        broker.declare(name)
    both = TwoFaces(broker.connect("keeper"), ["west"])
    east, west = broker.connect("east"), broker.connect("west")
    assert both.left.name == "keeper"
    assert both.left.online
    assert both.left.room() > 0
    both.left.publish("keeper.east.control", b"left", 3)
    both.left.publish("keeper.west.control", b"never sent", 4)
    both.right.publish("keeper.west.control", b"right", 5)
    [sent] = east.deliveries(9)
    assert sent.body == b"left"
    east.acknowledge([sent.tag])
    [sent] = west.deliveries(9)
    assert sent.body == b"right"
    west.acknowledge([sent.tag])
    assert both.left.wait(0)
    assert both.left.outcomes() == [Outcome(4, "confirmed"), Outcome(3, "confirmed")]
    assert both.right.outcomes() == [Outcome(5, "confirmed")]
    west.publish("west.keeper.control", b"hello", 1)
    assert both.left.deliveries(9) == []
    [heard] = both.right.deliveries(9)
    both.right.reject([heard.tag])
    both.left.subscribe("#")
    both.left.wake()
    assert both.left.wait(1.0)
    assert not both.left.wait(0.0)
    for face in (both.left, both.left, both.right):
        face.close()
    with pytest.raises(Disconnected):
        both.transport.room()


@pytest.mark.parametrize("seed", range(4))
def test_who_was_shown_a_longer_history_does_not_hold_up_another_keeper(seed: int) -> None:
    with schism(Harm(seed=seed, lose=0.0, duplicate=0.0, delay_s=0.5)) as split:
        split.go(10.0)
        split.left.write(DatasetRegistered("herring", 3, ("a",), "", bytes(32)))
        for name in ("dan", "eve"):
            split.right.write(admission(name))
        split.go(700.0)  # a keeper asks for names every ten minutes, whatever it has chained
        assert split.convinced() == set(PARTIES)
        split.faces = []
        north, west = split.members["north"], split.members[RIGHT]
        assert west.clerk.head.size > north.clerk.head.size
        north.ask(lambda: north.takeover.candidate.begin("for the test"))
        split.go(25.0)
        assert {each.clerk.keeper for each in split.members.values()} == {"north"}
        assert {each.clerk.head for each in split.members.values()} == {north.clerk.head}
        assert [each.index for each in west.clerk.store.superseded()]  # what the right face had chained
