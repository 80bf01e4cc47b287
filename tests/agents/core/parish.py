"""Four members of one federation, stepped by hand on a clock of their own: any may be gone, killed or behind."""

import copy
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hansa.agents.admission.invite import Invite
from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.clerk import note_introduced
from hansa.agents.core.journal import Changes, MemoryJournal
from hansa.agents.demo.forking import TwoFaces
from hansa.broker import Identity, MemoryBroker
from hansa.broker.transport import Transport
from hansa.ledger import (
    ChainedEntry,
    Charter,
    DatasetRegistered,
    Keeper,
    LedgerStore,
    MemberAdmitted,
    MemberSuspended,
    Replica,
    read_entry,
    sign_entry,
)

PARISH = "parish"
NAMES = ("hub", "north", "east", "west")
IDENTITIES = {name: Identity.generate(name) for name in (*NAMES, "south")}
NOW_S = 1_900_000_000.0


def dataset(name: str) -> DatasetRegistered:
    """Return an entry that any member may write."""
    return DatasetRegistered(dataset=name, rows=3, columns=("a",), target="y", commitment=bytes(32))


class Killed(BaseException):
    """The process is gone."""


@dataclass(slots=True)
class Doom:
    """How many writes a process has left; it is killed before or after the last of them."""

    left: int

    def around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        """Return a write to the disk that may be the last."""

        def mortal(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise Killed("before a write")
            done = write(*args)
            self.left -= 1
            if self.left == 0:
                raise Killed("after a write")
            return done

        return mortal


@dataclass(slots=True)
class Parish:
    """The members that are up, what each has on its disk, and the broker between them."""

    folder: Path
    charter: bytes
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker(PARISH))
    now_s: float = NOW_S
    journals: dict[str, MemoryJournal] = field(default_factory=dict)
    up: dict[str, Agent] = field(default_factory=dict)
    transports: dict[str, Transport] = field(default_factory=dict)
    silence_s: int = 1_800
    dooms: list[Doom] = field(default_factory=list)

    @classmethod
    def found(
        cls, folder: Path, names: tuple[str, ...] = NAMES, successor: str = "", silence_s: int = 1_800
    ) -> "Parish":
        """Found a federation whose ledger the first of these keeps, and start all of them."""
        hub = IDENTITIES[names[0]]
        copies = {name: LedgerStore.open(f"sqlite:///{folder / name}.sqlite") for name in names}
        keeper = Keeper(hub, PARISH, copies[names[0]])
        charter = keeper.found(Charter(PARISH, hub.public, successor=successor), int(NOW_S * 1000))
        admissions = [
            sign_entry(
                hub,
                federation=PARISH,
                author_seq=number,
                body=MemberAdmitted(
                    name, IDENTITIES[name].public.verify_key, IDENTITIES[name].public.seal_key, ""
                ),
                time_ms=int(NOW_S * 1000),
            )
            for number, name in enumerate(names[1:], 1)
        ]
        chained = [each for each in keeper.append(admissions, NOW_S) if isinstance(each, ChainedEntry)]
        for name in names[1:]:
            Replica(copies[name], charter.hash, PARISH).accept([charter, *chained])
        for store in copies.values():
            store.close()
        parish = cls(folder, charter.hash, silence_s=silence_s)
        for name in names:
            parish.broker.declare(name)
            parish.journals[name] = MemoryJournal()
            parish.start(name)
        return parish

    def arrive(self, name: str, invite: Invite) -> Agent:
        """Start somebody that was admitted, as `hansa join` leaves it."""
        store = LedgerStore.open(f"sqlite:///{self.folder / name}.sqlite")
        Replica(store, self.charter, PARISH).accept([invite.charter])
        store.close()
        self.journals[name] = MemoryJournal()
        changes = Changes()
        assert invite.inviter is not None
        note_introduced(changes, invite.inviter)
        self.journals[name].commit(changes)
        self.broker.declare(name)
        return self.start(name)

    def start(self, name: str, transport: Transport | None = None, place: str = "") -> Agent:
        """Start a member, on what it has on its disk.

        Args:
            transport: its connection, if not one of its own.
            place: whose disk that is, if it is not its own.
        """
        place = place or name
        config = AgentConfig.model_validate(
            {
                "agent": {"name": name, "roles": ["aggregator", "party"]},
                "federation": {"id": PARISH, "keeper": "hub", "charter": self.charter.hex()},
                "policy": {"keeper_silence_s": self.silence_s},
            }
        )
        self.transports[place] = transport or self.broker.connect(name)
        self.up[place] = Agent(
            identity=IDENTITIES[name],
            config=config,
            journal=self.journals[place],
            files=MemoryFiles(),
            store=LedgerStore.open(f"sqlite:///{self.folder / place}.sqlite"),
            transport=self.transports[place],
            executor=ThreadPoolExecutor(1),
            clock=lambda: self.now_s,
        )
        return self.up[place]

    def split(self, *right: str) -> None:
        """Give the keeper a second face, "other", for these members: two agents that know nothing of each other."""
        self.kill("hub")
        shutil.copy(self.folder / "hub.sqlite", self.folder / "other.sqlite")
        self.journals["other"] = copy.deepcopy(self.journals["hub"])
        both = TwoFaces(self.broker.connect("hub"), right)
        self.start("hub", both.left)
        self.start("hub", both.right, "other")

    def doom(self, name: str, writes: int) -> None:
        """Have a member's process die around so many writes from now."""
        doom, agent = Doom(writes), self.up[name]
        self.dooms.append(doom)
        journal: Any = self.journals[name]
        journal.commit = doom.around(journal.commit)
        store: Any = agent.clerk.store
        store.append, store.set_aside = doom.around(store.append), doom.around(store.set_aside)

    def spare(self) -> None:
        """Let those live who have not died yet."""
        for doom in self.dooms:
            doom.left = 0

    def kill(self, *names: str) -> None:
        """Lose processes, and what they had not committed."""
        for name in names:
            agent = self.up.pop(name)
            agent.clerk.store.close()
            self.transports[name].close()

    def go(self, seconds: float, *names: str, back_s: float = 0.0) -> None:
        """Let time pass, with these members at work; without names, with all that are up.

        Args:
            back_s: after how long who is killed meanwhile comes back.
        """
        until = self.now_s + seconds
        back: dict[str, float] = {}
        while self.now_s < until:
            happened = False
            for name in names or tuple(self.up):
                try:
                    happened |= self.up[name].step()
                except Killed:
                    vars(self.journals[name]).pop("commit", None)
                    self.kill(name)
                    back[name] = self.now_s + back_s
            for name in [each for each, at in back.items() if at <= self.now_s]:
                del back[name]
                self.start(name)
            self.now_s += 0.05 if happened else 1.0

    def lose_mail(self, *names: str) -> None:
        """Have the broker forget what waits for members that are gone."""
        for name in names:
            self.broker._mailbox(name).control.clear()

    def ask(self, name: str, request: Callable[[], Any]) -> Any:
        """Have a member do something, in one step of its own."""
        future = self.up[name].ask(request)
        for _ in range(10):
            self.up[name].step()
            self.now_s += 0.05
        return future.result(0)

    def offer(self, name: str) -> None:
        """Have a member offer itself as keeper."""
        self.ask(name, lambda: self.up[name].takeover.candidate.begin("it is time"))

    def suspend(self, name: str) -> None:
        """Have the keeper suspend a member."""
        self.up["hub"].write(MemberSuspended(name, "for the test"))

    def once(self) -> bool:
        """Whether no author's number, and no data set, is on the chain twice."""
        said = [read_entry(each.signed) for each in next(iter(self.up.values())).clerk.store.read()]
        numbers = [(each.author, each.author_seq) for each in said]
        bodies = [each.body for each in said if each.kind == "dataset-registered"]
        return len(set(numbers)) == len(numbers) and len(set(bodies)) == len(bodies)

    def write(self, name: str, what: str) -> None:
        """Have a member write something on the ledger; it is journalled."""
        self.up[name].write(dataset(what))
        self.up[name].step()

    def agree(self) -> bool:
        """Whether all that are up hold the same ledger, and wait for nothing."""
        agents = self.up.values()
        return len({each.clerk.head for each in agents}) == 1 and not any(
            each.clerk.waiting() for each in agents
        )

    def datasets(self, name: str) -> set[str]:
        """Return what is registered, by a member's copy."""
        return {what for _, what in self.up[name].clerk.standing.datasets}

    def keepers(self) -> set[str]:
        """Return who keeps the ledger, by the copies of all that are up."""
        return {each.clerk.keeper for each in self.up.values()}

    def close(self) -> None:
        """Give everything back."""
        for agent in self.up.values():
            agent.close()
