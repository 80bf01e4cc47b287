"""What does an invited organisation get? One file, which the keeper has signed.

It holds the federation's charter, by which the joiner will check everything it is told; the way to the broker,
with a temporary account that can do nothing but ask; and a secret that only the invited one and the keeper
know. Whoever has the file can ask in its name, so it goes by a way that is safe. The charter's fingerprint is
what two people compare by telephone: a forged file would carry another.
"""

import tomllib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit

from hansa.agents.errors import InviteError
from hansa.agents.home import write_whole
from hansa.broker import BadSignature, BrokerAddress, BrokerError, Identity, PublicIdentity, check_name
from hansa.broker.fields import pack_fields
from hansa.broker.identity import SIGNATURE_BYTES
from hansa.broker.layout import DOOR_PREFIX, check_member, exchange, user
from hansa.broker.request import INVITE_BYTES, SECRET_BYTES
from hansa.ledger import ChainedEntry, Charter, LedgerError, Verifier

FORMAT = "hansa-invite-1"
MOST_BYTES = 256 * 1024  # of a file; a certificate chain is the largest part
MOST_CHARS = 1_000  # of a broker's address

_HEAD = """\
# An invitation to {member} to join the federation {federation}, until {until} (UTC).
# It holds a secret: hand it over by a way that is safe, and compare the charter's fingerprint by another:
#   {fingerprint}
# Then, in the home of {member}:  hansa join FILE
"""


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation, as it travels.

    Attributes:
        federation, member: who is invited, and to what.
        number: (16,) names it; its first four bytes name the door.
        charter: entry 0 of the ledger, whole.
        broker: the broker's URL, without user, password and path.
        ca: PEM of the authority that vouches for the broker; empty for those that the system trusts.
        password: of the door's user.
        secret: (32,) shared with the keeper alone.
        expires_ms: milliseconds since 1970 UTC; no request counts from then on.
        inviter: who keeps the ledger and invites, if that is no longer whom the charter names. The joiner believes
            it as far as this file; what it is told of the ledger afterwards is checked against the charter.
        signature: (64,) the keeper's, over everything above.

    Raises:
        ValueError: a field of the wrong length or form.
    """

    federation: str
    member: str
    number: bytes
    charter: ChainedEntry
    broker: str
    ca: str
    password: str = field(repr=False)
    secret: bytes = field(repr=False)
    expires_ms: int
    inviter: PublicIdentity | None = None
    signature: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_name(self.federation)
        check_member(self.member)
        if len(self.number) != INVITE_BYTES or len(self.secret) != SECRET_BYTES:
            raise ValueError(
                f"an invitation has a number of {INVITE_BYTES} and a secret of {SECRET_BYTES} bytes"
            )
        if len(self.broker) > MOST_CHARS or len(self.ca) > MOST_BYTES or not self.password:
            raise ValueError("the broker's address, authority or password is of no use")
        if not 0 <= self.expires_ms < 2**63:
            raise ValueError(f"no time: {self.expires_ms}")

    @property
    def door(self) -> str:
        """The name of the temporary user."""
        return door_of(self.number)

    @property
    def fingerprint(self) -> str:
        """The charter's, which is the federation's: 64 hex digits."""
        return self.charter.hash.hex()

    def keeper(self) -> PublicIdentity:
        """Return who keeps the ledger and invites.

        Raises:
            LedgerError: that is no charter of this federation.
        """
        return self.founder() if self.inviter is None else self.inviter

    def founder(self) -> PublicIdentity:
        """Return whom the charter names as keeper; errors as `keeper`."""
        return self.founding().keeper

    def founding(self) -> Charter:
        """Return what the charter says; errors as `keeper`."""
        verifier = Verifier(federation=self.federation)
        verifier.accept(self.charter)
        return verifier.standing.charter

    def address(self, ca_file: Path | None = None) -> BrokerAddress:
        """Return the way through the door; ValueError if the broker's URL is none."""
        return BrokerAddress.from_url(
            broker_url(self.broker, user(self.federation, self.door), self.federation, self.password),
            ca_file=ca_file,
        )

    def signed_by(self, keeper: Identity) -> "Invite":
        """Return it with the keeper's signature."""
        return replace(self, signature=keeper.sign(self._to_sign()))

    def check(self) -> None:
        """Raise InviteError unless the keeper signed exactly this."""
        try:
            self.founder()
            keeper = self.keeper()
            keeper.verify(self.signature, self._to_sign())
        except (LedgerError, BadSignature) as error:
            raise InviteError(f"it was changed after it was written, or forged: {error}") from None

    def _to_sign(self) -> bytes:
        charter, inviter = self.charter, self.inviter
        new = () if inviter is None else (inviter.name, inviter.verify_key, inviter.seal_key)
        return pack_fields(
            FORMAT,
            self.federation,
            self.member,
            self.number,
            charter.index,
            charter.previous,
            charter.signed,
            charter.signature,
            charter.hash,
            charter.receipt,
            self.broker,
            self.ca,
            self.password,
            self.secret,
            self.expires_ms,
            *new,
        )


def door_of(number: bytes) -> str:
    """Return the name of the door that belongs to an invitation."""
    return DOOR_PREFIX + number[:4].hex()


def broker_url(bare: str, name: str, federation: str, password: str = "") -> str:
    """Return a broker's URL with a user, perhaps a password, and the federation as its virtual host.

    Raises:
        ValueError: `bare` is no such URL, or names a user or a path of its own.
    """
    scheme, separator, rest = bare.partition("://")
    rest = rest.rstrip("/")
    if "@" in rest and scheme in ("amqp", "amqps"):
        raise ValueError(
            f"expected amqp(s)://host:port without user and password, {_hidden(bare)!r:.100}: "
            "each agent has a user of its own there"
        )
    if scheme not in ("amqp", "amqps") or not separator or not rest or set(rest) & set("/?#"):
        raise ValueError(f"expected amqp(s)://host:port of the broker, found {_hidden(bare)!r:.100}")
    # The password is one of ours, of letters, digits, '-' and '_': it needs no escapes.
    login = f"{name}:{password}" if password else name
    return f"{scheme}://{login}@{rest}/{exchange(federation)}"


def bare_url(url: str) -> str:
    """Return a broker's URL without user, password and virtual host."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.split('/')[0].rpartition('@')[2]}"


def dump_invite(invite: Invite) -> str:
    """Return the file's text."""
    until = datetime.fromtimestamp(invite.expires_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    charter = invite.charter
    content: dict[str, Any] = {
        "format": FORMAT,
        "federation": invite.federation,
        "member": invite.member,
        "number": invite.number.hex(),
        "expires_ms": invite.expires_ms,
        "broker": {"url": invite.broker, "password": invite.password, "ca": invite.ca},
        "secret": invite.secret.hex(),
        "charter": {
            "fingerprint": charter.hash.hex(),
            "signed": charter.signed.hex(),
            "signature": charter.signature.hex(),
            "receipt": charter.receipt.hex(),
        },
        "signature": invite.signature.hex(),
    }
    if invite.inviter is not None:
        content["keeper"] = {
            "name": invite.inviter.name,
            "verify_key": invite.inviter.verify_key.hex(),
            "seal_key": invite.inviter.seal_key.hex(),
        }
    # A table ends where the next begins, so plain values come first.
    plain = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    head = _HEAD.format(
        member=invite.member, federation=invite.federation, until=until, fingerprint=invite.fingerprint
    )
    return head + tomlkit.dumps({**plain, **tables})


def load_invite(text: str) -> Invite:
    """Read the file's text and check the keeper's signature; whether it has expired is not looked at.

    Raises:
        InviteError: no invitation, of another version, damaged, or changed after it was signed.
    """
    try:
        told = tomllib.loads(text)
        if told.get("format") != FORMAT:
            raise InviteError(f"not an invitation that this version reads ({FORMAT})")
        invite = _read(told)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InviteError(f"not an invitation, or damaged: {_plainly(error)}") from None
    invite.check()
    return invite


def read_invite(path: Path) -> Invite:
    """Read an invitation's file; InviteError names the file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES * 2 + 1)  # its size is no help: of a device there is none
        if len(content) > MOST_BYTES * 2:
            raise InviteError("too large for an invitation")
        return load_invite(content.decode())
    except OSError as error:
        raise InviteError(f"{path}: {error.strerror}") from None
    except (InviteError, UnicodeDecodeError) as error:
        raise InviteError(f"{path}: {error}") from None


def write_invite(path: Path, text: str) -> None:
    """Write an invitation's file, readable by its owner only, never over another.

    Raises:
        InviteError: something is there already.
    """
    if path.exists():
        raise InviteError(f"{path} exists; name another file with --out, or remove it")
    write_whole(path, text)


def _read(told: dict[str, Any]) -> Invite:
    charter = told["charter"]
    entry = ChainedEntry(
        index=0,
        previous=bytes(32),
        signed=bytes.fromhex(charter["signed"]),
        signature=bytes.fromhex(charter["signature"]),
        hash=bytes.fromhex(charter["fingerprint"]),
        receipt=bytes.fromhex(charter["receipt"]),
    )
    invite = Invite(
        federation=_text(told["federation"]),
        member=_text(told["member"]),
        number=bytes.fromhex(told["number"]),
        charter=entry,
        broker=_text(told["broker"]["url"]),
        ca=_text(told["broker"]["ca"]),
        password=_text(told["broker"]["password"]),
        secret=bytes.fromhex(told["secret"]),
        expires_ms=int(told["expires_ms"]),
        inviter=_inviter(told.get("keeper")),
        signature=bytes.fromhex(told["signature"]),
    )
    if len(invite.signature) != SIGNATURE_BYTES:
        raise ValueError("a signature of another length")
    return invite


def _inviter(told: dict[str, Any] | None) -> PublicIdentity | None:
    if told is None:
        return None
    keys = bytes.fromhex(told["verify_key"]), bytes.fromhex(told["seal_key"])
    return PublicIdentity(_text(told["name"]), *keys)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def _plainly(error: Exception) -> str:
    """Return what is wrong, without repeating what may be the secret."""
    match error:
        case KeyError():
            return f"{error.args[0]} is missing"
        case BrokerError() | tomllib.TOMLDecodeError():
            return str(error)
        case _:
            return "a field is not of its form"


def _hidden(url: str) -> str:
    """Return a URL without what may be a password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
