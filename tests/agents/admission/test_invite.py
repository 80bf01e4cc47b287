"""Invitations as files: written, read, and found out when they were changed."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from hansa.agents.admission.invite import (
    FORMAT,
    MOST_BYTES,
    Invite,
    bare_url,
    broker_url,
    dump_invite,
    load_invite,
    read_invite,
    write_invite,
)
from hansa.agents.errors import InviteError
from hansa.broker import BadName, Identity
from hansa.ledger import ChainedEntry, Charter, Keeper, LedgerStore

KEEPER = Identity.generate("guild")
PASSWORD = "temporary-password"
SECRET = bytes(range(32))


def charter(keeper: Identity = KEEPER, federation: str = "town") -> ChainedEntry:
    store = LedgerStore.open("sqlite://", create=True)
    entry = Keeper(keeper, federation, store).found(Charter(federation, keeper.public), 1_900_000_000_000)
    store.close()
    return entry


@pytest.fixture(scope="module")
def invite() -> Invite:
    return Invite(
        federation="town",
        member="north",
        number=bytes(range(16)),
        charter=charter(),
        broker="amqps://broker.example.org:5671",
        ca="-----BEGIN CERTIFICATE-----\n",
        password=PASSWORD,
        secret=SECRET,
        expires_ms=1_900_000_360_000,
    ).signed_by(KEEPER)


def told(invite: Invite) -> dict[str, Any]:
    return tomllib.loads(dump_invite(invite))


def test_an_invitation_is_read_as_it_was_written(invite: Invite, tmp_path: Path) -> None:
    path = tmp_path / "north.invite"
    write_invite(path, dump_invite(invite))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_invite(path) == invite
    assert invite.keeper() == KEEPER.public
    assert invite.door == "join-00010203"
    assert invite.fingerprint in path.read_text()
    with pytest.raises(InviteError, match="exists; name another file"):
        write_invite(path, "something else")


def test_an_invitation_leads_through_its_door(invite: Invite) -> None:
    address = replace(invite, ca="").address()
    assert (address.host, address.port, address.tls) == ("broker.example.org", 5671, True)
    assert (address.user, address.password, address.vhost) == ("town.join-00010203", PASSWORD, "town")


def test_an_invitation_shows_no_secret(invite: Invite) -> None:
    shown = repr(invite)
    assert PASSWORD not in shown
    assert repr(SECRET) not in shown


CHANGES: dict[str, tuple[tuple[str, ...], Any]] = {
    "federation": (("federation",), "city"),
    "member": (("member",), "south"),
    "number": (("number",), "ff" * 16),
    "expiry": (("expires_ms",), 1_900_000_360_001),
    "secret": (("secret",), "ff" * 32),
    "broker": (("broker", "url"), "amqps://elsewhere.example.org:5671"),
    "authority": (("broker", "ca"), ""),
    "password": (("broker", "password"), "another"),
    "charter": (("charter", "fingerprint"), "ff" * 32),
    "charter's words": (("charter", "signed"), "ff" * 32),
    "charter's signature": (("charter", "signature"), "ff" * 64),
    "charter's receipt": (("charter", "receipt"), "ff" * 64),
    "signature": (("signature",), "ff" * 64),
}


@pytest.mark.parametrize(("path", "value"), CHANGES.values(), ids=CHANGES)
def test_no_field_of_an_invitation_can_be_changed(invite: Invite, path: tuple[str, ...], value: Any) -> None:
    content = told(invite)
    place = content
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    with pytest.raises(InviteError, match="changed after it was written, or forged"):
        load_invite(tomlkit.dumps(content))


def test_another_keeper_cannot_sign_for_this_charter(invite: Invite) -> None:
    with pytest.raises(InviteError, match="not signed by guild"):
        load_invite(dump_invite(invite.signed_by(Identity.generate("guild"))))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "hansa-invite-2"}, f"this version reads .{FORMAT}"),
        ({"federation": "Town"}, "names are"),
        ({"member": "join-north"}, "for doors"),
        ({"number": "00"}, "not of its form"),
        ({"number": "zz"}, "not of its form"),
        ({"secret": 7}, "not of its form"),
        ({"member": 7}, "not of its form"),
        ({"expires_ms": -1}, "not of its form"),
        ({"signature": "00"}, "not of its form"),
        ({"broker": {"url": "amqp://host", "ca": "", "password": ""}}, "not of its form"),
        ({"broker": {"url": "amqp://" + "h" * 2_000, "ca": "", "password": "x"}}, "not of its form"),
        ({"broker": {"ca": "", "password": "x"}}, "url is missing"),
        ({"charter": "none"}, "not of its form"),
    ],
)
def test_what_is_no_invitation_is_refused_without_repeating_it(
    invite: Invite, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InviteError, match=complaint) as refused:
        load_invite(tomlkit.dumps(told(invite) | change))
    assert SECRET.hex() not in str(refused.value)


def test_files_that_hold_none_are_named(invite: Invite, tmp_path: Path) -> None:
    path = tmp_path / "north.invite"
    with pytest.raises(InviteError, match=r"north\.invite: No such file"):
        read_invite(path)
    for content in (b"[", b"\xff", b"#" * (2 * MOST_BYTES + 1), b"", dump_invite(invite).encode()[:-300]):
        path.write_bytes(content)
        with pytest.raises(InviteError, match=r"north\.invite: "):
            read_invite(path)


def test_a_file_without_end_is_read_no_further_than_an_invitation_goes() -> None:
    with pytest.raises(InviteError, match="/dev/zero: too large for an invitation"):
        read_invite(Path("/dev/zero"))


@pytest.mark.parametrize(
    "url", ["http://host", "amqp://", "host:5672", "amqp://u:hidden@host", "amqp://host/town"]
)
def test_a_brokers_address_brings_neither_user_nor_path(url: str) -> None:
    with pytest.raises(ValueError, match="expected amqp") as refused:
        broker_url(url, "town.north", "town")
    assert "hidden" not in str(refused.value)


def test_a_brokers_address_is_put_together_and_taken_apart() -> None:
    url = broker_url("amqps://host:5671/", "town.north", "town")
    assert url == "amqps://town.north@host:5671/town"
    assert bare_url(url) == "amqps://host:5671"
    with pytest.raises(BadName):
        broker_url("amqp://host", "town.north", "Town")
