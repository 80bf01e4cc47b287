"""A keeper's agent, stepped by hand, and doors to it: what happens there needs no real broker."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hansa.agents.admission.invite import Invite
from hansa.agents.admission.registrar import Invitation, Issued, Registrar, load_invitations
from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import LINGER_S, Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.journal import MemoryJournal
from hansa.agents.core.messages import JoinAnswer
from hansa.broker import (
    Identity,
    JoinRequest,
    MemoryBroker,
    MemoryTransport,
    PublicIdentity,
    UnknownSender,
    decode,
    from_plain,
    open_message,
    routing_key,
    seal_request,
)
from hansa.broker.request import ASKING
from hansa.ledger import Charter, Keeper, LedgerStore, Standing

Answer = TypeVar("Answer")

TOWN = "town"
GUILD = Identity.generate("guild")
NORTH = Identity.generate("north")
NOW_S = 1_900_000_000.0


@dataclass(slots=True)
class Hall:
    """The keeper, its books, and whoever stands before its doors."""

    folder: Path
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker(TOWN))
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    now_s: float = NOW_S
    _agent: Agent | None = None
    _doors: dict[str, MemoryTransport] = field(default_factory=dict)

    @classmethod
    def found(cls, folder: Path) -> "Hall":
        """Found a federation with nobody in it but its keeper."""
        hall = cls(folder)
        store = LedgerStore.open(hall._url, create=True)
        Keeper(GUILD, TOWN, store).found(Charter(TOWN, GUILD.public), int(NOW_S * 1000))
        store.close()
        hall.broker.declare(GUILD.name)
        hall.start()
        return hall

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.sqlite'}"

    @property
    def agent(self) -> Agent:
        assert self._agent is not None
        return self._agent

    @property
    def registrar(self) -> Registrar:
        assert self.agent.registrar is not None
        return self.agent.registrar

    @property
    def standing(self) -> Standing:
        return self.agent.clerk.standing

    def start(self) -> None:
        """Start the agent, or start it again on what it has journalled, as after `kill -9`."""
        store = LedgerStore.open(self._url)
        charter = next(store.read(0, 1)).hash.hex()
        config = AgentConfig.model_validate(
            {
                "agent": {"name": GUILD.name, "roles": ["aggregator"]},
                "federation": {"id": TOWN, "keeper": GUILD.name, "charter": charter},
            }
        )
        self._agent = Agent(
            identity=GUILD,
            config=config,
            journal=self.journal,
            files=MemoryFiles(),
            store=store,
            transport=self.broker.connect(GUILD.name),
            executor=ThreadPoolExecutor(1),
            clock=lambda: self.now_s,
        )

    def restart(self) -> None:
        """Lose the process, and what it had not committed."""
        self.agent.clerk.store.close()
        self.start()

    def settle(self) -> None:
        """Step until nothing happens any more."""
        for _ in range(100):
            happened = self.agent.step()
            self.now_s += LINGER_S
            if not happened and not self.agent.step():
                return
        raise AssertionError("no end of steps")

    def ask(self, request: Callable[[], Answer]) -> Answer:
        """Have the agent do something, and settle."""
        future = self.agent.ask(request)
        self.settle()
        return future.result(0)

    def issue(self, member: str = "north", hours: float = 1.0, *, automatic: bool = False) -> Issued:
        """Invite somebody, and build its door."""
        issued = self.ask(
            lambda: self.registrar.invite(member, hours, automatic=automatic, broker="amqp://127.0.0.1")
        )
        self.broker.declare(issued.invite.door)
        self.broker.declare(member)
        return issued

    def invite(self, member: str = "north", hours: float = 1.0, *, automatic: bool = False) -> Invite:
        """Invite somebody; return what it gets."""
        return self.issue(member, hours, automatic=automatic).invite

    def door(self, name: str) -> MemoryTransport:
        """Return the connection of whoever stands at a door."""
        if name not in self._doors:
            self._doors[name] = self.broker.connect(name)
        return self._doors[name]

    def knock(
        self,
        invite: Invite,
        identity: Identity = NORTH,
        *,
        door: str = "",
        secret: bytes = b"",
        frame: bytes = b"",
        **changes: Any,
    ) -> JoinRequest:
        """Ask to be let in; every field of the request can be changed."""
        request = replace(
            JoinRequest(
                federation=TOWN,
                invite=invite.number,
                stage=ASKING,
                public=identity.public,
                organisation=f"{identity.name} org",
                nonce=secrets.token_bytes(32),
                sent_at_ms=int(self.now_s * 1000),
            ),
            **changes,
        )
        frame = frame or seal_request(identity, secret or invite.secret, request)
        name = door or invite.door
        self.door(name).publish(routing_key(name, GUILD.name, "join"), frame, 1)
        self.settle()
        return request

    def answers(self, invite: Invite, identity: Identity = NORTH) -> list[JoinAnswer]:
        """Return what the keeper has answered through a door since the last look."""
        self.settle()
        transport = self.door(invite.door)
        deliveries = transport.deliveries(100)
        transport.acknowledge(delivery.tag for delivery in deliveries)
        self.settle()
        return [self._open(delivery.body, identity) for delivery in deliveries]

    def _open(self, frame: bytes, identity: Identity) -> JoinAnswer:
        def lookup(name: str) -> PublicIdentity:
            if name != GUILD.name:
                raise UnknownSender(name)
            return GUILD.public

        message = open_message(frame, identity, federation=TOWN, lookup=lookup, now_ms=int(self.now_s * 1000))
        assert message.header.kind == "join.answer"
        return from_plain(JoinAnswer, decode(message.body))

    def entries(self) -> int:
        """How many entries the ledger has."""
        return self.agent.clerk.head.size

    def invitations(self) -> dict[str, Invitation]:
        """Return what is journalled, the newest by member."""
        rows = sorted(load_invitations(self.journal), key=lambda each: each.expires_ms)
        return {each.member: each for each in rows}

    def close(self) -> None:
        """Give everything back."""
        self.agent.close()
