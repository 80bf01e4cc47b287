"""How does somebody ask to be let in who is nobody's member yet?

    signed    := fields("hansa-join-1"; federation, invite, stage, name, organisation, verify key, seal key,
                        nonce, sent-at)
    mac       := HMAC-SHA256(HKDF-SHA256(secret; "hansa-join-mac-v1"), signed)
    signature := Ed25519(fields("hansa-join-signature-v1"; signed, mac))
    frame     := ["hansa-join-1", mac, signature, signed]

The MAC proves that the sender holds the invitation, the signature that it holds the keys it names, and that the
two are one. A request holds nothing that the ledger will not show, and travels in the clear; the answer, which
holds a password, is sealed to the keys in the request and repeats its nonce.

Whose request it is, the reader knows from the invitation it names: hence two steps, `open_request` and `check_mac`.
"""

import hashlib
import hmac
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hansa.broker.errors import (
    BadSignature,
    IdentityError,
    MalformedMessage,
    OversizedMessage,
    UnknownVersion,
)
from hansa.broker.fields import MAX_INT, pack_fields, unpack_fields
from hansa.broker.frames import pack_frame, unpack_frame
from hansa.broker.identity import SIGNATURE_BYTES, Identity, PublicIdentity, check_name

REQUEST = "hansa-join-1"
MAX_REQUEST_BYTES = 4_096
INVITE_BYTES = 16
SECRET_BYTES = 32
NONCE_BYTES = 32
MAC_BYTES = 32
ORGANISATION_CHARS = 200

ASKING, ARRIVED = 0, 1  # stages: let me in; I have your answer, and what it brought is on my disk

_TYPES: tuple[type[str] | type[int] | type[bytes], ...] = (
    str, bytes, int, str, str, bytes, bytes, bytes, int,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a joiner says.

    Attributes:
        federation: the one it was invited to.
        invite: (16,) names the invitation.
        stage: `ASKING` or `ARRIVED`.
        public: the name and keys it will have.
        organisation: whose agent it is, for people.
        nonce: (32,) of one run of the joiner: an answer to another is none to this.
        sent_at_ms: its clock, milliseconds since 1970 UTC.
        mac: (32,) as it came; `check_mac` looks at it.
        signed: the bytes that it covers.

    Raises:
        ValueError: a field of the wrong length or out of range.
    """

    federation: str
    invite: bytes
    stage: int
    public: PublicIdentity
    organisation: str
    nonce: bytes
    sent_at_ms: int
    mac: bytes = field(default=b"", repr=False)
    signed: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_name(self.federation)
        for name, value, length in (
            ("invite", self.invite, INVITE_BYTES),
            ("nonce", self.nonce, NONCE_BYTES),
        ):
            if len(value) != length:
                raise ValueError(f"{name}: expected {length} bytes, found {len(value)}")
        if self.stage not in (ASKING, ARRIVED):
            raise ValueError(f"no stage {self.stage}")
        if len(self.organisation) > ORGANISATION_CHARS or not self.organisation.isprintable():
            raise ValueError(f"an organisation's name has at most {ORGANISATION_CHARS} printable characters")
        if not 0 <= self.sent_at_ms <= MAX_INT:
            raise ValueError(f"no time: {self.sent_at_ms}")


def seal_request(identity: Identity, secret: bytes, request: JoinRequest) -> bytes:
    """Return the frame of a request, under the invitation's secret and the joiner's own key.

    Raises:
        ValueError: the request names other keys than the identity's.
    """
    if request.public != identity.public:
        raise ValueError(f"a request of {request.public!r} by {identity!r}")
    signed = pack_fields(
        REQUEST,
        request.federation,
        request.invite,
        request.stage,
        request.public.name,
        request.organisation,
        request.public.verify_key,
        request.public.seal_key,
        request.nonce,
        request.sent_at_ms,
    )
    mac = _mac(secret, signed)
    return pack_frame(REQUEST, mac, identity.sign(_to_sign(signed, mac)), body=signed)


def open_request(frame: bytes) -> JoinRequest:
    """Read a request and check that its sender holds the keys it names; the invitation is not looked at.

    Raises:
        OversizedMessage, UnknownVersion, MalformedMessage: no request, or not of this version.
        BadSignature: not signed by the keys it names.
    """
    if len(frame) > MAX_REQUEST_BYTES:
        raise OversizedMessage(f"a request of {len(frame)} bytes; at most {MAX_REQUEST_BYTES} are read")
    (mac, signature), body = unpack_frame(REQUEST, (bytes, bytes), frame)
    assert isinstance(mac, bytes)  # as unpack_frame has checked
    assert isinstance(signature, bytes)
    signed = bytes(body)
    request = replace(_read(signed), mac=mac, signed=signed)
    if len(mac) != MAC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"a request of {request.public.name} with a MAC or signature of another length")
    request.public.verify(signature, _to_sign(signed, mac))
    return request


def check_mac(request: JoinRequest, secret: bytes) -> bool:
    """Say whether who made the request held the invitation's secret."""
    return hmac.compare_digest(request.mac, _mac(secret, request.signed))


def _read(signed: bytes) -> JoinRequest:
    domain, fields = unpack_fields(signed, _TYPES)
    if domain != REQUEST:
        raise UnknownVersion(f"a request of format {domain!r:.60}; {REQUEST!r} is read here")
    match fields:
        case [
            str(federation), bytes(invite), int(stage), str(name), str(organisation),
            bytes(verify_key), bytes(seal_key), bytes(nonce), int(sent_at_ms),
        ]:  # fmt: skip
            try:
                public = PublicIdentity(name, verify_key, seal_key)
                return JoinRequest(federation, invite, stage, public, organisation, nonce, sent_at_ms)
            except (IdentityError, ValueError) as error:
                raise MalformedMessage(f"request: {error}") from None
    raise AssertionError("unpack_fields returns the types it is asked for")


def _mac(secret: bytes, signed: bytes) -> bytes:
    key = HKDF(SHA256(), 32, salt=None, info=b"hansa-join-mac-v1").derive(secret)
    return hmac.digest(key, signed, hashlib.sha256)


def _to_sign(signed: bytes, mac: bytes) -> bytes:
    return pack_fields("hansa-join-signature-v1", signed, mac)
