"""A keeper and three members, whole agents stepped by hand: the clock is ours, and who is down hears nothing."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.journal import MemoryJournal
from hansa.agents.home import Home
from hansa.agents.simulation import KEEPER, PARTIES
from hansa.agents.simulation.template import copied_federation, keys
from hansa.broker import Identity, MemoryBroker, MemoryTransport
from hansa.ledger import LedgerStore, MemberAdmitted, MemberSuspended
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from hansa.ledger.notes import Note

NOW_S = 1_900_000_000.0


@dataclass(slots=True)
class Village:
    """Agents by name.

    Attributes:
        down: whose processes don't run.
    """

    folder: Path
    now_s: float = NOW_S
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker("simulated"))
    agents: dict[str, Agent] = field(default_factory=dict)
    journals: dict[str, MemoryJournal] = field(default_factory=dict)
    transports: dict[str, MemoryTransport] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def keeper(self) -> Agent:
        return self.agents[KEEPER]

    @property
    def north(self) -> Agent:
        return self.agents["north"]

    def start(self, name: str) -> Agent:
        """Start an agent, or start it again with what it has journalled."""
        if name in self.agents:
            self.agents.pop(name).close()
        identity, config = keys(name)
        self.transports[name] = self.broker.connect(name)
        self.agents[name] = Agent(
            identity=identity,
            config=config,
            journal=self.journals.setdefault(name, MemoryJournal()),
            files=MemoryFiles(),
            store=LedgerStore.open(self.folder / name / "ledger.sqlite"),
            transport=self.transports[name],
            executor=self.executor,
            clock=lambda: self.now_s,
        )
        return self.agents[name]

    def go(self, seconds: float = 5.0, pace_s: float = 0.05) -> None:
        """Let time pass, and everybody act who is up."""
        until = self.now_s + seconds
        while self.now_s < until:
            up = [agent for name, agent in self.agents.items() if name not in self.down]
            acted = [agent.step() for agent in up]
            self.now_s += pace_s if any(acted) else 1.0

    def admit(self, *names: str) -> None:
        """Have the keeper write an entry that it asks for names after."""
        for name in names:
            public = Identity.generate(name).public
            self.broker.declare(name)
            self.keeper.write(MemberAdmitted(name, public.verify_key, public.seal_key, ""))

    def turn_out(self, name: str) -> None:
        self.keeper.write(MemberSuspended(name, "too loud"))

    def lose_mail(self, name: str) -> None:
        """Take what waits for an agent."""
        transport = self.transports[name]
        transport.acknowledge([each.tag for each in transport.deliveries(1_000)])

    def final(self, name: str = KEEPER) -> int:
        found = self.agents[name].witness.heads.final
        return 0 if found is None else found.checkpoint.size

    def home(self, name: str) -> Home:
        return Home(self.folder / name)


def note_of(agent: Agent, *cosigners: str, keeper: str = KEEPER, time_s: int = int(NOW_S)) -> Note:
    """Return the head of an agent's copy, signed by a keeper, with names."""
    head = agent.clerk.standing.head_checkpoint()
    lines = [cosign(keys(name)[0], head, time_s) for name in cosigners]
    return Note(head.text, (sign_checkpoint(keys(keeper)[0], head), *lines))


@contextmanager
def village(down: Collection[str] = ()) -> Iterator[Village]:
    """Yield a village whose agents have not acted yet."""
    with copied_federation() as folder:
        found = Village(folder, down=set(down))
        for name in (KEEPER, *PARTIES):
            found.broker.declare(name)
        for name in (KEEPER, *PARTIES):
            found.start(name)
        try:
            yield found
        finally:
            for agent in found.agents.values():
                agent.close()
            found.executor.shutdown()
