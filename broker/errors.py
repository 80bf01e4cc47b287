"""What can go wrong between two agents, and what the receiver does about each.

    BrokerError
    ├── NotEncodable (ValueError)      our own value has no encoding: a bug here
    ├── Refused                        a peer's bytes were turned away: count, dead-letter, never execute
    │   ├── MalformedMessage           framing, codec, type or shape
    │   ├── OversizedMessage
    │   ├── UnknownVersion             a newer frame or schema; names both versions
    │   ├── UnknownKind                a kind nobody here handles
    │   ├── WrongFederation
    │   ├── WrongRecipient
    │   ├── UnknownSender
    │   ├── SuspendedSender
    │   ├── BadSignature
    │   ├── ClockSkew                  the peer's clock runs ahead; names the peer
    │   ├── Expired
    │   ├── WrongPayload               length or digest differs from the signed header
    │   ├── Unopenable                 not sealed to us, or altered under way
    │   ├── CorruptBlob                a chunk or an array differs from its signed reference
    │   ├── StaleIncarnation           from before the peer restored a backup
    │   ├── TooFarAhead                beyond what one stream may make us hold
    │   └── Equivocation               two signed messages under one number: kept as evidence
    ├── IdentityError                  a key file
    │   ├── BadName (ValueError)
    │   ├── MalformedIdentity (ValueError)
    │   ├── IdentityMissing
    │   ├── IdentityExists
    │   ├── OpenPermissions
    │   └── WrongPassphrase
    └── TransportError                 between us and the broker
        ├── BrokerUnreachable          no connection at all: name, port or network
        │   └── UntrustedBroker        TLS: one side does not accept the other's certificate
        ├── AccessRefused              the broker does not let us in, or not do that
        ├── ConnectionLost             it was open and ended; names why
        ├── ProvisionFailed            the management API said no
        ├── UnknownAgent               no queues were declared under this name
        ├── PublishRefused             a routing key that is not ours to use
        ├── MessageTooLarge            above the broker's limit
        ├── Busy                       too many unconfirmed messages: wait for outcomes
        └── Disconnected               closed, or replaced by a newer connection

Handlers differ by class: everything under `Refused` concerns one message and is counted by `reason`;
everything under `TransportError` concerns the connection. No message holds key material or payload.
"""


class BrokerError(Exception):
    """Something between two agents failed."""


class NotEncodable(BrokerError, ValueError):
    """A value of ours has no wire encoding; the text names the place and the type."""


class Refused(BrokerError):
    """A peer's bytes were turned away; nothing was executed."""

    @property
    def reason(self) -> str:
        """The name to count it under."""
        return type(self).__name__


class MalformedMessage(Refused):
    """Bytes that break the framing, the codec's limits or a record's type.

    Args:
        problem: what was expected and what came.
        path: where inside the record, outermost first; empty for the whole.
    """

    def __init__(self, problem: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.problem}" if self.path else self.problem

    def under(self, *outer: str) -> "MalformedMessage":
        """Return the same complaint, seen from further out."""
        return MalformedMessage(self.problem, (*outer, *self.path))


class OversizedMessage(Refused):
    """More bytes than the receiver reads at once."""


class UnknownVersion(Refused):
    """A frame or schema of a version this build does not speak; names both."""


class UnknownKind(Refused):
    """A message kind that no handler here answers to."""


class WrongFederation(Refused):
    """A message of another federation."""


class WrongRecipient(Refused):
    """A message addressed to somebody else."""


class UnknownSender(Refused):
    """The roster has no such member."""


class SuspendedSender(Refused):
    """The roster has the member, but it may not speak at present."""


class BadSignature(Refused):
    """The signature does not belong to these bytes and this key."""


class ClockSkew(Refused):
    """Sent in our future: the peer's clock, or ours, is wrong by minutes."""

    def __init__(self, peer: str, ahead_s: float) -> None:
        super().__init__(f"{peer}'s message is dated {ahead_s:.0f} s in our future; check both clocks")
        self.peer = peer
        self.ahead_s = ahead_s


class Expired(Refused):
    """Past the time its sender wanted it read by."""


class WrongPayload(Refused):
    """The payload's length or digest is not the one that was signed."""


class Unopenable(Refused):
    """The sealed payload does not open with our key and this header."""


class CorruptBlob(Refused):
    """A chunk, or the array put together from chunks, differs from its reference."""


class StaleIncarnation(Refused):
    """From a life of the sender that a newer incarnation has replaced."""


class TooFarAhead(Refused):
    """Accepting it would mean holding more of one stream than we allow."""


class Equivocation(Refused):
    """One sender signed two different messages under one number.

    The two digests name the evidence, which the caller keeps.
    """

    def __init__(
        self, sender: str, session: str, sequence: int, first_digest: bytes, second_digest: bytes
    ) -> None:
        super().__init__(
            f"{sender} signed two messages {sequence} in session {session!r}: "
            f"{first_digest.hex()[:16]} and {second_digest.hex()[:16]}"
        )
        self.sender = sender
        self.session = session
        self.sequence = sequence
        self.first_digest = first_digest
        self.second_digest = second_digest


class IdentityError(BrokerError):
    """A key file or a name cannot be used."""


class BadName(IdentityError, ValueError):
    """Not a name that topics, files and entries can all carry."""


class MalformedIdentity(IdentityError, ValueError):
    """Key bytes of the wrong length, or a key file that is none."""


class IdentityMissing(IdentityError):
    """No key file at this place."""


class IdentityExists(IdentityError):
    """A key file is already there, and keys are never overwritten."""


class OpenPermissions(IdentityError):
    """Other users of this machine can read the key file."""


class WrongPassphrase(IdentityError):
    """The key file is protected and this passphrase does not open it."""


class TransportError(BrokerError):
    """Between us and the broker."""


class BrokerUnreachable(TransportError):
    """No connection to the broker: its name, its port, or the network between."""


class UntrustedBroker(BrokerUnreachable):
    """TLS failed: the broker's certificate is not one we trust, or ours not one it does."""


class AccessRefused(TransportError):
    """The broker refuses this user, this federation, or what it tried to do."""


class ConnectionLost(TransportError):
    """An open connection ended; the transport is opening another."""


class ProvisionFailed(TransportError):
    """The broker's management API refused a step; the text names the step and what it said."""


class UnknownAgent(TransportError):
    """The broker has no queues under this name."""


class PublishRefused(TransportError):
    """The routing key does not begin with our own name, or is no routing key."""


class MessageTooLarge(TransportError):
    """The body is above what a broker carries."""


class Busy(TransportError):
    """The window of unconfirmed messages is full."""


class Disconnected(TransportError):
    """This connection is closed, or a newer one took its place."""
