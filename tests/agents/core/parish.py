"""Four members of one federation, stepped by hand on a clock of their own: any may be gone, killed or behind."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.journal import MemoryJournal
from hansa.broker import Identity, MemoryBroker, MemoryTransport
from hansa.ledger import (
    ChainedEntry,
    Charter,
    DatasetRegistered,
    Keeper,
    LedgerStore,
    MemberAdmitted,
    Replica,
    sign_entry,
)

PARISH = "parish"
NAMES = ("hub", "north", "east", "west")
IDENTITIES = {name: Identity.generate(name) for name in NAMES}
NOW_S = 1_900_000_000.0


def dataset(name: str) -> DatasetRegistered:
    """Return an entry that any member may write."""
    return DatasetRegistered(dataset=name, rows=3, columns=("a",), target="y", commitment=bytes(32))


@dataclass(slots=True)
class Parish:
    """The members that are up, what each has on its disk, and the broker between them."""

    folder: Path
    charter: bytes
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker(PARISH))
    now_s: float = NOW_S
    journals: dict[str, MemoryJournal] = field(default_factory=dict)
    up: dict[str, Agent] = field(default_factory=dict)
    transports: dict[str, MemoryTransport] = field(default_factory=dict)
    silence_s: int = 1_800

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

    def start(self, name: str) -> Agent:
        """Start a member, on what it has on its disk."""
        config = AgentConfig.model_validate(
            {
                "agent": {"name": name, "roles": ["aggregator", "party"]},
                "federation": {"id": PARISH, "keeper": "hub", "charter": self.charter.hex()},
                "policy": {"keeper_silence_s": self.silence_s},
            }
        )
        self.transports[name] = self.broker.connect(name)
        self.up[name] = Agent(
            identity=IDENTITIES[name],
            config=config,
            journal=self.journals[name],
            files=MemoryFiles(),
            store=LedgerStore.open(f"sqlite:///{self.folder / name}.sqlite"),
            transport=self.transports[name],
            executor=ThreadPoolExecutor(1),
            clock=lambda: self.now_s,
        )
        return self.up[name]

    def kill(self, *names: str) -> None:
        """Lose processes, and what they had not committed."""
        for name in names:
            agent = self.up.pop(name)
            agent.clerk.store.close()
            self.transports[name].close()

    def go(self, seconds: float, *names: str) -> None:
        """Let time pass, with these members at work; without names, with all that are up."""
        until = self.now_s + seconds
        while self.now_s < until:
            happened = any([self.up[name].step() for name in names or tuple(self.up)])
            self.now_s += 0.05 if happened else 1.0

    def write(self, name: str, what: str) -> None:
        """Have a member write something on the ledger."""
        self.up[name].write(dataset(what))

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
