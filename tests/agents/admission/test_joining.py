"""The way into a federation over a real broker, from both ends."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.admission import joining, membership, settling
from hansa.agents.admission.founding import found
from hansa.agents.admission.invite import Invite, load_invite
from hansa.agents.admission.joining import join
from hansa.agents.admission.membership import (
    Admit,
    AwaitArrival,
    CloseInvite,
    OpenInvite,
    Reject,
    ShowApplicant,
)
from hansa.agents.core.messages import JoinAnswer, LedgerFetch
from hansa.agents.core.outbox import EXPIRY_S
from hansa.agents.errors import AgentError, FederationError, InviteError, NotAdmitted
from hansa.agents.home import PASSWORD, Home
from hansa.agents.service.reach import reach
from hansa.agents.template import new_config
from hansa.broker import (
    Account,
    ClockSkew,
    ConnectionLost,
    Doorway,
    Identity,
    JoinRequest,
    Management,
    UnknownAgent,
    UntrustedBroker,
    encode,
    provision,
    seal_message,
    seal_request,
    to_plain,
    withdraw,
)
from hansa.broker.layout import user
from hansa.ledger import LedgerStore
from tests import servers
from tests.agents.daemons import PATIENCE_S, at_work, ready, until
from tests.proxy import Proxy


@dataclass(slots=True)
class Guild:
    """A founded federation on the node that the tests share, and how to come into it."""

    folder: Path
    home: Home
    federation: str
    management: Management
    users: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{servers.shared().port}"

    def invite(
        self, member: str, *, hours: float = 1.0, automatic: bool = False, url: str = "", ca: str = ""
    ) -> Invite:
        """Invite somebody, and build what it needs on the broker."""
        with reach(self.home) as ask:
            told = ask(OpenInvite(member, hours, automatic, url or self.url, ca))
        accounts = [
            Account(told["door"], told["door_password"], door_to="guild"),
            Account(member, told["member_password"]),
        ]
        provision(self.management, self.federation, accounts)
        self.users |= {told["door"], member}
        return load_invite(told["file"])

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Have the keeper's agent at work."""
        with at_work(self.home) as running:
            until(lambda: ready(running), "the keeper")
            yield

    def bank(self, name: str) -> Home:
        """Make a home for somebody who wants in."""
        folder = self.folder / secrets.token_hex(4)
        return Home.create(folder, Identity.generate(name), new_config(name, f"{name} bank", ("party",)))

    def entries(self) -> int:
        """How many entries the keeper's ledger has."""
        return entries(self.home)

    def close(self) -> None:
        """Take the federation off the node."""
        self.management.call("DELETE", f"vhosts/{self.federation}")
        for name in {"guild", *self.users}:
            with contextlib.suppress(Exception):
                self.management.call("DELETE", f"users/{user(self.federation, name)}")


def entries(home: Home) -> int:
    with contextlib.closing(home.stored()) as store:
        return store.head().size


def content(home: Home) -> dict[str, bytes]:
    """Return what lies in a home, but for the empty file that is locked."""
    return {
        str(path.relative_to(home.path)): path.read_bytes()
        for path in sorted(home.path.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(scope="module")
def guild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guild]:
    folder = tmp_path_factory.mktemp("guild")
    node = servers.shared()
    management = Management.from_url(node.management_url)
    federation = f"guild-{secrets.token_hex(4)}"
    identity = Identity.generate("guild")
    home = Home.create(folder / "guild", identity, new_config("guild", "The Guild", ("aggregator",)))
    guild = Guild(folder, home, federation, management)
    found(home, identity, federation, guild.url, lambda account: provision(management, federation, [account]))
    yield guild
    guild.close()


class Joiner:
    """Somebody who asks on a thread of its own, as a command would."""

    def __init__(self, home: Home, invite: Invite, wait_s: float = PATIENCE_S) -> None:
        self.told: list[str] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._join, args=(home, invite, wait_s))
        self._thread.start()

    def _join(self, home: Home, invite: Invite, wait_s: float) -> None:
        try:
            join(home, home.identity(), invite, wait_s=wait_s, tell=self.told.append)
        except BaseException as error:
            self.error = error

    def end(self) -> BaseException | None:
        """Wait until it is in, or turned away; return why."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.error


def join_now(home: Home, invite: Invite, wait_s: float = PATIENCE_S) -> list[str]:
    """Ask, and return what was told meanwhile."""
    told: list[str] = []
    join(home, home.identity(), invite, wait_s=wait_s, tell=told.append)
    return told


# --- in -------------------------------------------------------------------------------------------------
def test_who_is_invited_asks_waits_is_admitted_and_receives_the_chain(guild: Guild) -> None:
    bank = guild.bank("north")
    invite = guild.invite("north")
    with guild.open():
        joiner = Joiner(bank, invite)
        until(lambda: joiner.told, "told for whom it waits")
        assert joiner.told == [
            "guild has the request and waits for a person there: hansa federation admit north"
        ]
        with reach(guild.home) as ask:
            applicant = ask(ShowApplicant("north"))
            assert applicant["fingerprint"] == bank.identity().public.fingerprint
            assert applicant["organisation"] == "north bank"
            ask(Admit("north", applicant["fingerprint"]))
            assert ask(AwaitArrival("north")) == {"arrived": True}
        assert joiner.end() is None
        federation = bank.config().federation
        assert (federation.id, federation.keeper) == (guild.federation, "guild")
        assert (bank.path / PASSWORD).stat().st_mode & 0o777 == 0o600
        assert entries(bank) == 1
        with at_work(bank):
            until(lambda: entries(bank) == guild.entries(), "the chain")
    assert guild.entries() == 2
    with pytest.raises(FederationError, match=f"north belongs to a federation already: {guild.federation}"):
        join_now(bank, invite)


def test_whoever_crashes_before_its_home_is_whole_asks_again_and_gets_the_same(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = guild.bank("crash")
    with guild.open():
        invite = guild.invite("crash", automatic=True)
        passwords = set()
        for place, name in ((settling, "write_whole"), (settling, "remember_head"), (Home, "edit")):
            with monkeypatch.context() as patch:
                patch.setattr(place, name, fail)
                with pytest.raises(OSError, match="the power is gone"):
                    join_now(bank, invite)
            assert bank.config().membership is None
            if (bank.path / PASSWORD).exists():
                passwords.add((bank.path / PASSWORD).read_text())
        join_now(bank, invite)
        passwords.add((bank.path / PASSWORD).read_text())
    assert len(passwords) == 1
    assert bank.config().federation.id == guild.federation
    assert sum(member == "crash" for member in members(guild)) == 1


def fail(*_: object, **__: object) -> None:
    raise OSError("the power is gone")


def members(guild: Guild) -> list[str]:
    from hansa.agents.admission.roster import read_roster

    return [row.name for row in read_roster(guild.home, lambda home: home.identity()).rows]


def test_a_connection_that_breaks_is_opened_anew(guild: Guild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "RECONNECT_S", 0.1)
    bank = guild.bank("cable")
    with guild.open(), Proxy(servers.shared().port) as proxy:
        joiner = Joiner(bank, guild.invite("cable", url=f"amqp://127.0.0.1:{proxy.port}"))
        until(lambda: len(joiner.told) == 1, "waiting")
        proxy.reset()
        until(lambda: len(joiner.told) == 2, "told of the connection")
        assert joiner.told[1].endswith("; trying again")
        with reach(guild.home) as ask:
            ask(Admit("cable", bank.identity().public.fingerprint))
        assert joiner.end() is None


def test_a_broker_with_an_authority_of_its_own_is_trusted_by_the_invitation(guild: Guild) -> None:
    node = servers.shared()
    authority = node.certificate("ca")[0].read_text()
    url = f"amqps://127.0.0.1:{node.tls_port}"
    stranger, bank = guild.bank("tls"), guild.bank("tls")
    with guild.open():
        with pytest.raises(UntrustedBroker):
            join_now(stranger, guild.invite("tls", automatic=True, url=url))
        join_now(bank, guild.invite("tls", automatic=True, url=url, ca=authority))
        assert (bank.path / settling.CA).read_text() == authority
        with at_work(bank):
            until(lambda: entries(bank) == guild.entries(), "the chain, over TLS")


# --- not in ---------------------------------------------------------------------------------------------
def another_secret(guild: Guild) -> tuple[Home, Invite]:
    invite = guild.invite("stray")
    return guild.bank("stray"), replace(invite, secret=bytes(32)).signed_by(guild.home.identity())


def used_by_another(guild: Guild) -> tuple[Home, Invite]:
    invite = guild.invite("taken", automatic=True)
    join_now(guild.bank("taken"), invite)
    return guild.bank("taken"), invite


def expired(guild: Guild) -> tuple[Home, Invite]:
    invite = guild.invite("late", hours=0.0001)
    until(lambda: time.time() * 1000 > invite.expires_ms, "expired")
    return guild.bank("late"), invite


def taken_back(guild: Guild) -> tuple[Home, Invite]:
    invite = guild.invite("back")
    with reach(guild.home) as ask:
        ask(CloseInvite("back"))
    return guild.bank("back"), invite


def unknown(guild: Guild) -> tuple[Home, Invite]:
    invite = guild.invite("ghost")
    other = replace(invite, number=invite.number[:4] + bytes(12))
    return guild.bank("ghost"), other.signed_by(guild.home.identity())


REFUSALS: dict[str, tuple[Callable[[Guild], tuple[Home, Invite]], str]] = {
    "another secret": (another_secret, "does not know the invitation's secret"),
    "used": (used_by_another, "was used already, with other keys"),
    "expired": (expired, "has expired"),
    "taken back": (taken_back, "the keeper took the invitation back"),
    "unknown": (unknown, "no such invitation is known here"),
}


@pytest.mark.parametrize(("attempt", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_whoever_is_refused_reads_one_line_and_so_does_the_keeper_and_nothing_is_left(
    guild: Guild,
    attempt: Callable[[Guild], tuple[Home, Invite]],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "ASKED_S", 0.1)
    with guild.open():
        home, invite = attempt(guild)
        before, size = content(home), guild.entries()
        with pytest.raises(NotAdmitted) as refused:
            join_now(home, invite)
        assert str(refused.value).startswith("guild refuses: ")
        assert reason in str(refused.value)
        assert "\n" not in str(refused.value)
        assert [line for line in caplog.messages if "refused a request to join" in line and reason in line]
        assert content(home) == before
        assert guild.entries() == size
        with reach(guild.home) as ask, pytest.raises(AgentError, match=r"nobody asks|not asked yet"):
            ask(Reject(invite.member, "no"))


def test_a_request_to_another_federation_is_refused_by_the_keeper(
    guild: Guild, caplog: pytest.LogCaptureFixture
) -> None:
    identity = Identity.generate("astray")
    invite = guild.invite("astray")
    request = JoinRequest("city", invite.number, 0, identity.public, "", bytes(32), int(time.time() * 1000))
    with (
        guild.open(),
        Doorway(invite.address(), guild.federation, invite.door, "guild") as doorway,
    ):
        doorway.ask(seal_request(identity, invite.secret, request))
        until(lambda: f"to another federation than {guild.federation}" in caplog.text, "refused")


def test_who_is_rejected_by_a_person_reads_why(guild: Guild) -> None:
    bank = guild.bank("unwanted")
    before = content(bank)
    with guild.open():
        joiner = Joiner(bank, guild.invite("unwanted"))
        with reach(guild.home) as ask:
            ask(Reject("unwanted", "no seat is free"))
        error = joiner.end()
    assert isinstance(error, NotAdmitted)
    assert str(error) == "guild refuses: no seat is free"
    assert content(bank) == before


def test_a_door_that_was_withdrawn_is_told_apart(guild: Guild) -> None:
    invite = guild.invite("shut")
    withdraw(guild.management, guild.federation, invite.door)
    with pytest.raises(NotAdmitted, match="the broker does not know this invitation"):
        join_now(guild.bank("shut"), invite)


def test_a_keeper_that_is_away_is_named_and_hears_the_request_later(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "SILENT_S", 0.2)
    monkeypatch.setattr(joining, "ASK_AGAIN_S", 0.2)
    monkeypatch.setattr(membership, "ARRIVED_S", 0.2)
    bank = guild.bank("early")
    invite = guild.invite("early")
    told: list[str] = []
    with pytest.raises(NotAdmitted, match="no answer from guild: is its agent running"):
        join(bank, bank.identity(), invite, wait_s=0.5, tell=told.append)
    assert told == ["guild has not answered yet; the request waits for its agent to run"]
    with guild.open():
        with reach(guild.home) as ask:
            assert ask(ShowApplicant("early"))["member"] == "early"
        with pytest.raises(NotAdmitted, match="guild has not decided yet"):
            join_now(bank, invite, wait_s=3)
        with reach(guild.home) as ask:
            ask(Admit("early", bank.identity().public.fingerprint), 60)
            assert ask(AwaitArrival("early"), 60) == {"arrived": False}
        join_now(bank, invite)


def test_a_silent_keeper_and_an_expired_invitation_are_one_line(guild: Guild) -> None:
    invite = guild.invite("silence", hours=0.0001)
    until(lambda: time.time() * 1000 > invite.expires_ms, "expired")
    with pytest.raises(NotAdmitted, match="no answer from guild, and the invitation has expired"):
        join_now(guild.bank("silence"), invite, wait_s=0)


def test_a_request_is_repeated_until_it_is_answered(guild: Guild, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(joining, "ASK_AGAIN_S", 0.2)
    monkeypatch.setattr(Doorway, "ask", lambda _, frame: asked.append(frame))
    with pytest.raises(NotAdmitted):
        join_now(guild.bank("again"), guild.invite("again"), wait_s=1)
    assert len(asked) >= 3
    assert len(set(asked)) == 1


def test_what_waiting_does_not_mend_ends_it_at_once(guild: Guild) -> None:
    bank, invite = guild.bank("nobody"), guild.invite("nobody")
    guild.management.call("DELETE", f"queues/{guild.federation}/guild.join")
    try:
        with pytest.raises(UnknownAgent, match="guild has no queue"):
            join_now(bank, invite)
    finally:
        password = (guild.home.path / PASSWORD).read_text().strip()
        provision(guild.management, guild.federation, [Account("guild", password)])


def test_a_broker_that_stays_away_is_named_in_the_end(guild: Guild) -> None:
    invite = replace(guild.invite("away"), broker="amqp://127.0.0.1:1").signed_by(guild.home.identity())
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        join_now(guild.bank("away"), invite, wait_s=0)


def test_an_invitation_is_for_one_name_and_a_home_for_one_federation(guild: Guild, tmp_path: Path) -> None:
    invite = guild.invite("east")
    with pytest.raises(InviteError, match="the invitation is for east; this home is west's"):
        join_now(guild.bank("west"), invite)
    bank = guild.bank("east")
    LedgerStore.open(bank.ledger_url(), create=True).close()
    settling.check_ledger(bank, invite.charter)  # empty is as good as none
    bank_with_another = guild.bank("guild")
    other = guild.bank("other")
    found(
        keeper_of(bank_with_another), bank_with_another.identity(), "other", guild.url, lambda _account: None
    )
    (other.path / "ledger.sqlite").write_bytes((bank_with_another.path / "ledger.sqlite").read_bytes())
    with pytest.raises(FederationError, match="holds another ledger"):
        join_now(other, guild.invite("other"))


def keeper_of(home: Home) -> Home:
    """Make a home an aggregator's."""

    def change(document: Any) -> None:
        document["agent"]["roles"] = ["aggregator"]

    home.edit(change)
    return home


# --- answers --------------------------------------------------------------------------------------------
KEEPER = Identity.generate("guild")
NORTH = Identity.generate("north")


def attempt() -> "joining._Attempt":
    request = JoinRequest("town", bytes(16), 0, NORTH.public, "", bytes(32), 0)
    invite = Guild.__new__(Guild)  # never looked at but for its federation
    invite.federation = "town"
    return joining._Attempt(NORTH, invite, KEEPER.public, request, print, 0.0)  # type: ignore[arg-type]


def answer(
    message: object = None,
    *,
    keeper: Identity = KEEPER,
    kind: str = "join.answer",
    ahead_s: float = 0.0,
) -> bytes:
    sent_at_ms = int((time.time() + ahead_s) * 1000)
    return seal_message(
        keeper,
        NORTH.public,
        federation="town",
        session="join-00000000",
        incarnation=0,
        sequence=0,
        kind=kind,
        schema=1,
        sent_at_ms=sent_at_ms,
        expires_at_ms=sent_at_ms + int(EXPIRY_S * 1000),
        body=encode(to_plain(message or JoinAnswer(bytes(32), "waiting"))),
    )


def test_only_the_keepers_answer_to_this_request_is_one(caplog: pytest.LogCaptureFixture) -> None:
    read = joining._read
    assert read(attempt(), answer()) == JoinAnswer(bytes(32), "waiting")
    assert read(attempt(), answer(JoinAnswer(bytes([1]) * 32, "admitted"))) is None
    assert read(attempt(), answer(LedgerFetch(0), kind="ledger.fetch")) is None
    assert caplog.text == ""
    for frame in (
        b"come in",
        answer(keeper=Identity.generate("guild")),
        answer(keeper=Identity.generate("other")),
        answer(kind="join.welcome"),
    ):
        assert read(attempt(), frame) is None
    assert caplog.text.count("no answer of the keeper's") == 4


def test_a_clock_that_is_behind_is_named() -> None:
    with pytest.raises(ClockSkew, match="check both clocks"):
        joining._read(attempt(), answer(ahead_s=600))


def test_thanks_that_do_not_arrive_do_no_harm(guild: Guild, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: Doorway) -> None:
        raise ConnectionLost("just now")

    bank = guild.bank("thanks")
    with guild.open(), monkeypatch.context() as patch:
        patch.setattr(Doorway, "acknowledge", lost)
        join_now(bank, guild.invite("thanks", automatic=True))
    assert bank.config().federation.id == guild.federation
