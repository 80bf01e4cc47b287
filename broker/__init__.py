"""Signed envelopes, identities, topics, transports: how two agents talk and whom they believe."""

from hansa.broker.codec import LIMITS, Limits, Plain, decode, encode
from hansa.broker.identity import Identity, PublicIdentity, check_name
from hansa.broker.records import from_plain, to_plain

__all__ = [
    "LIMITS",
    "Identity",
    "Limits",
    "Plain",
    "PublicIdentity",
    "check_name",
    "decode",
    "encode",
    "from_plain",
    "to_plain",
]
