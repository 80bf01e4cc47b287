"""What does a keeper promise about the whole ledger, and what do the others put their names to? A checkpoint.

The text of a C2SP checkpoint (c2sp.org/tlog-checkpoint), with one extension line:

    hansa/FEDERATION/FINGERPRINT        origin: the charter's hash, 64 hex digits, binds it to one federation
    SIZE                                entries
    BASE64(ROOT)                        of the Merkle tree over their hashes (`merkle`)
    epoch NUMBER KEEPER                 who keeps the ledger, and how often that has changed

The keeper signs it as a signed note (`notes`) under the origin's name; its promise is never to sign another
history in that epoch. Members cosign it under the name ORIGIN/MEMBER after c2sp.org/tlog-cosignature, with the
time: "as of then, this is the newest head I have seen, it continues all I saw before, and I serve no lower epoch".
The cosignature also covers the epoch line.

    cosignature := Ed25519("cosignature/v1" newline "time " SECONDS newline text)

Neither can be mistaken for anything else that the same keys sign: that begins with a domain line of `fields`.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from hansa.broker.errors import BadName, BadSignature
from hansa.broker.identity import SIGNATURE_BYTES, Identity, PublicIdentity, check_name
from hansa.ledger.errors import BadNote
from hansa.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MOST_LEAVES
from hansa.ledger.notes import COSIGNATURE, ED25519, Note, NoteSignature, key_id, read_note

MOST_TIME_S = 2**63 - 1

_ORIGIN = re.compile(r"hansa/([a-z0-9-]{1,40})/([0-9a-f]{64})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_EPOCH = re.compile(r"epoch (0|[1-9][0-9]{0,18}) ([a-z0-9-]{1,40})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a ledger, as it is signed.

    Attributes:
        fingerprint: (32,) hash of the charter.
        size: how many entries.
        root: (32,) of the Merkle tree over them.
        epoch: how often another keeper has taken over, at least.
        keeper: the name of this epoch's keeper.
    """

    federation: str
    fingerprint: bytes
    size: int
    root: bytes
    epoch: int
    keeper: str

    def __post_init__(self) -> None:
        check_name(self.federation)
        check_name(self.keeper)
        if len(self.fingerprint) != HASH_BYTES or len(self.root) != HASH_BYTES:
            raise ValueError(f"a checkpoint's fingerprint and root have {HASH_BYTES} bytes")
        if not 0 <= self.size <= MOST_LEAVES or not 0 <= self.epoch <= MOST_LEAVES:
            raise ValueError(f"a checkpoint's size and epoch are 0 … 2^62, not {self.size} and {self.epoch}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ValueError("the empty tree has one root")

    @property
    def origin(self) -> str:
        """What names the ledger: its federation and the charter's fingerprint."""
        return f"hansa/{self.federation}/{self.fingerprint.hex()}"

    @property
    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nepoch {self.epoch} {self.keeper}\n"

    def cosigner(self, member: str) -> str:
        """Return the name under which a member cosigns."""
        return f"{self.origin}/{member}"

    def __str__(self) -> str:
        return f"{self.size} entries, root {self.root.hex()[:16]}, epoch {self.epoch} of {self.keeper}"


def read_checkpoint(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint of ours.

    Raises:
        BadNote: another form; every number and hash has one only.
    """
    lines = text.split("\n")
    if len(lines) != 5 or lines[4]:
        raise BadNote(f"a checkpoint has four lines, not {len(lines) - 1}")
    origin, epoch = _ORIGIN.fullmatch(lines[0]), _EPOCH.fullmatch(lines[3])
    if origin is None or epoch is None or not _NUMBER.fullmatch(lines[1]):
        raise BadNote(f"no checkpoint of a hansa ledger: {text!r:.200}")
    try:
        root = base64.b64decode(lines[2], validate=True)
        found = Checkpoint(origin[1], bytes.fromhex(origin[2]), int(lines[1]), root, int(epoch[1]), epoch[2])
    except (binascii.Error, BadName, ValueError) as error:
        raise BadNote(f"no checkpoint: {error}") from None
    if found.text != text:
        raise BadNote("a checkpoint in another form than its own")
    return found


def read_head(note: bytes) -> Checkpoint:
    """Return what a signed note says of a ledger's head; BadNote if it is none. No signature is looked at."""
    return read_checkpoint(read_note(note).text)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A member's name under a checkpoint.

    Attributes:
        time_s: when, by its own clock, seconds since 1970 UTC.
        signature: (64,) Ed25519.
    """

    member: str
    time_s: int
    signature: bytes


def sign_checkpoint(keeper: Identity, checkpoint: Checkpoint) -> NoteSignature:
    """Sign a checkpoint as the ledger's keeper."""
    public = keeper.public
    return NoteSignature(
        checkpoint.origin,
        key_id(checkpoint.origin, ED25519, public.verify_key),
        keeper.sign(checkpoint.text.encode()),
    )


def signature_of(note: Note, checkpoint: Checkpoint, keeper: PublicIdentity) -> NoteSignature:
    """Return the line under a note that stands under this keeper's key; BadNote if there is none."""
    expected = (checkpoint.origin, key_id(checkpoint.origin, ED25519, keeper.verify_key))
    for line in note.signatures:
        if (line.name, line.key_id) == expected:
            return line
    raise BadNote(f"not signed under the key of {keeper.name}, who is to keep the ledger")


def check_signed(checkpoint: Checkpoint, signature: NoteSignature, keeper: PublicIdentity) -> None:
    """Raise BadNote unless this keeper signed the checkpoint."""
    expected = (checkpoint.origin, key_id(checkpoint.origin, ED25519, keeper.verify_key))
    if (signature.name, signature.key_id) != expected:
        raise BadNote(f"the checkpoint is not signed under the key of {keeper.name}")
    try:
        keeper.verify(signature.signature, checkpoint.text.encode())
    except BadSignature:
        raise BadNote(f"the checkpoint's signature is not {keeper.name}'s") from None


def cosign(member: Identity, checkpoint: Checkpoint, time_s: int) -> NoteSignature:
    """Put a member's name under a checkpoint.

    Raises:
        ValueError: a time before 1970, or after all.
    """
    name = checkpoint.cosigner(member.name)
    signature = member.sign(_cosigned(checkpoint, time_s))
    return NoteSignature(
        name, key_id(name, COSIGNATURE, member.public.verify_key), time_s.to_bytes(8, "big") + signature
    )


def check_cosigned(checkpoint: Checkpoint, signature: NoteSignature, member: PublicIdentity) -> Cosignature:
    """Return a member's cosignature.

    Raises:
        BadNote: not under this member's key, or not of this checkpoint.
    """
    name = checkpoint.cosigner(member.name)
    if (signature.name, signature.key_id) != (name, key_id(name, COSIGNATURE, member.verify_key)):
        raise BadNote(f"not a cosignature under the key of {member.name}")
    if len(signature.signature) != 8 + SIGNATURE_BYTES:
        raise BadNote(f"{member.name}'s cosignature has {len(signature.signature)} bytes")
    time_s, bare = int.from_bytes(signature.signature[:8], "big"), signature.signature[8:]
    try:
        member.verify(bare, _cosigned(checkpoint, time_s))
    except (BadSignature, ValueError):
        raise BadNote(f"{member.name}'s cosignature is not of this checkpoint") from None
    return Cosignature(member.name, time_s, bare)


def _cosigned(checkpoint: Checkpoint, time_s: int) -> bytes:
    if not 0 <= time_s <= MOST_TIME_S:
        raise ValueError(f"a cosignature's time is 0 … 2^63 - 1, not {time_s}")
    return f"cosignature/v1\ntime {time_s}\n{checkpoint.text}".encode()
