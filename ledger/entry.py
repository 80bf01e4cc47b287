"""What does an author sign? One statement about the federation, as bytes that are stored as they came.

    signed := fields("hansa-entry-v1"; federation, author, author_seq, kind, schema, time_ms, body)

The fields are typed and length-prefixed (`hansa.broker.fields`), the body is a codec map of the kind's own
fields (`bodies`). An author numbers its entries 0, 1, 2, …: nothing of it can be chained twice or left out.
"""

import re
from dataclasses import dataclass, field

from hansa.broker.codec import encode
from hansa.broker.errors import MalformedMessage
from hansa.broker.fields import pack_fields, unpack_fields
from hansa.broker.identity import Identity
from hansa.ledger.bodies import KINDS, Body, kind_of, plain_body, schema_of
from hansa.ledger.errors import MalformedEntry

ENTRY_DOMAIN = "hansa-entry-v1"
BODY_BYTES = 64 * 1024

_TYPES = (str, str, int, str, int, int, bytes)
_KIND = re.compile(r"[a-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """What an author hands to the keeper.

    Attributes:
        signature: (64,) bytes, Ed25519 over `signed`.
    """

    signed: bytes
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EntryFields:
    """What `signed` says.

    Attributes:
        author_seq: how many entries this author wrote before.
        schema: which form of the kind's body.
        time_ms: the author's clock, milliseconds since 1970 UTC.
        body: encoded; `bodies.decode_body` reads it.
    """

    federation: str
    author: str
    author_seq: int
    kind: str
    schema: int
    time_ms: int
    body: bytes


def sign_entry(
    identity: Identity, *, federation: str, author_seq: int, body: Body, time_ms: int
) -> SignedEntry:
    """Write a body down and sign it.

    Raises:
        ValueError: the body is over `BODY_BYTES`, or a number is negative.
    """
    encoded = encode(plain_body(body))
    if len(encoded) > BODY_BYTES:
        raise ValueError(f"expected a {kind_of(body)} body of at most {BODY_BYTES} bytes, got {len(encoded)}")
    signed = pack_fields(
        ENTRY_DOMAIN, federation, identity.name, author_seq, kind_of(body), schema_of(body), time_ms, encoded
    )
    return SignedEntry(signed, identity.sign(signed))


def read_entry(signed: bytes) -> EntryFields:
    """Return what signed bytes say; whose signature they bear is not looked at.

    Author and federation are any text here: the rules look them up among those whose names were checked.

    Raises:
        MalformedEntry: not an entry of this version, a field of another type or out of range, or stray bytes.
    """
    try:
        domain, values = unpack_fields(signed, _TYPES)
    except MalformedMessage as error:
        raise MalformedEntry(f"not an entry: {error}") from None
    if domain != ENTRY_DOMAIN:
        raise MalformedEntry(f"expected {ENTRY_DOMAIN!r}, found {domain!r:.60}")
    match values:
        case [str(federation), str(author), int(number), str(kind), int(schema), int(time_ms), bytes(body)]:
            if kind not in KINDS and not _KIND.fullmatch(kind):
                raise MalformedEntry(f"no kind is called {kind!r:.80}")
            if schema == 0:
                raise MalformedEntry("schemas are numbered from 1")
            if len(body) > BODY_BYTES:
                raise MalformedEntry(f"expected a body of at most {BODY_BYTES} bytes, found {len(body)}")
            return EntryFields(federation, author, number, kind, schema, time_ms, body)
    raise AssertionError("unpack_fields returns the types it is asked for")
