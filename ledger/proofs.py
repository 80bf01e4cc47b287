"""How is one entry shown to somebody who has no ledger? As a file in the form of C2SP (c2sp.org/tlog-proof@v1).

    c2sp.org/tlog-proof@v1
    extra BASE64
    index NUMBER
    BASE64(HASH)                    one line for each hash of the entry's path, its sibling first
    (an empty line)
    the signed checkpoint, verbatim

`extra` is a canonical map (`hansa.broker.codec`): the entry itself, the charter, and the entries from which the
signers have their keys, each with its own path in the same tree. So the charter's fingerprint is all that a checker
must bring. It hashes the charter, whose keys sign the first admissions; follows admissions, new keys and changes of
keepers in their order, each signed by its author and with its keeper's receipt; and then knows every key under the
checkpoint. A signature by anybody else is refused: nothing stands in the file that was not checked.

What a proof can't show: that those who signed are enough, and still were members. The audit of an export does.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hansa.broker.codec import Limits, decode, encode
from hansa.broker.errors import Refused
from hansa.broker.identity import PublicIdentity
from hansa.broker.records import from_plain, to_plain
from hansa.ledger.bodies import Body, UnknownBody, decode_body
from hansa.ledger.chain import ChainedEntry, check_hash, check_receipt, check_signature
from hansa.ledger.checkpoints import (
    Checkpoint,
    Cosignature,
    check_cosigned,
    check_signed,
    read_checkpoint,
    signature_of,
)
from hansa.ledger.clock import moment
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import BadEntry, BadNote, BadProof, LedgerError
from hansa.ledger.membership import Charter, KeeperChanged, KeyRotated, MemberAdmitted
from hansa.ledger.merkle import HASH_BYTES, MOST_LEAVES, check_inclusion, leaf_hash
from hansa.ledger.notes import Note, read_note
from hansa.ledger.roster import LEAST
from hansa.ledger.rules import check_founding

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MOST_BYTES = 4 * 2**20  # of a file: the keys of a few hundred members
MOST_HASHES = 62
MOST_SUPPORTS = 2_000

_LIMITS = Limits(message_bytes=MOST_BYTES)
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Support:
    """An entry from which a signer has its key, and its path in the checkpoint's tree."""

    entry: ChainedEntry
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Extra:
    """What the form's `extra` holds.

    Attributes:
        entry: the one that is shown.
        charter: entry 0.
        supports: by index; neither of those two is among them.
    """

    entry: ChainedEntry
    charter: ChainedEntry
    supports: tuple[Support, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof's file holds; nothing of it has been checked.

    Attributes:
        path: (32,) hashes from the entry to the root.
        note: the signed checkpoint.
    """

    extra: Extra
    path: tuple[bytes, ...]
    note: Note

    def encoded(self) -> bytes:
        """Return the file's content; BadProof if it is too long for a reader."""
        lines = [
            FIRST_LINE,
            f"extra {_base64(encode(to_plain(self.extra)))}",
            f"index {self.extra.entry.index}",
            *map(_base64, self.path),
        ]
        content = "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note.encoded()
        if len(content) > MOST_BYTES:
            raise BadProof(f"a proof has at most {MOST_BYTES} bytes, and this one would have {len(content)}")
        return content


@dataclass(frozen=True, slots=True)
class Shown:
    """What a proof that holds has shown.

    Attributes:
        said: the entry's fields; `body` is what they say.
        cosigned: by whom, and when by their own clocks.
        keepers: of the epochs that the file tells of, in order: (entry, epoch, keeper, those who agreed).
        keys: of everybody who signed here, in use at the checkpoint.
        offered: the head is one at which its keeper was to take over; whether it did is not shown.
    """

    entry: ChainedEntry
    said: EntryFields
    body: Body | UnknownBody
    checkpoint: Checkpoint
    cosigned: tuple[Cosignature, ...]
    keepers: tuple[tuple[int, int, str, tuple[str, ...]], ...]
    keys: tuple[PublicIdentity, ...] = field(repr=False)
    offered: bool = False

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was shown, and what was not, in plain words; who wrote the entry chose some of them."""
        head, index = self.checkpoint, self.entry.index
        signed = f"under a head of {head.size:,} entries " + (
            f"at which {head.keeper} was to take over as keeper of epoch {head.epoch}"
            if self.offered
            else f"that {head.keeper} signed as keeper of epoch {head.epoch}"
        )
        names = [f"{each.member} ({moment(each.time_s)})" for each in self.cosigned]
        changes = [
            f"{keeper} took over the ledger at entry {at}, in epoch {epoch}, with the names of {', '.join(agreed)}."
            for at, epoch, keeper, agreed in self.keepers
        ]
        when = moment(self.said.time_ms / 1000)
        return (
            f"{self.said.author} wrote this entry of kind {self.said.kind}, at {when} by its own clock.",
            f"It is entry {index} of the ledger of {self.said.federation}, {signed}.",
            f"Cosigned by {', '.join(names)}." if names else "Nobody else has put their name to that head.",
            *changes,
            "Not shown here: that those who signed are enough, were members still, and that the entry was theirs to"
            " write. An audit of the whole ledger shows that.",
        )


def read_proof(content: bytes) -> Proof:
    """Read a proof's file.

    Raises:
        BadProof: not of the form, or anything in it in another form than its own.
        BadNote: the checkpoint is no signed note.
    """
    if len(content) > MOST_BYTES:
        raise BadProof(f"a proof has at most {MOST_BYTES} bytes, not {len(content)}")
    head, empty, note = content.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise BadProof("a proof is ASCII down to the checkpoint") from None
    if not empty or len(lines) < 3 or lines[0] != FIRST_LINE:
        raise BadProof(
            f"no proof: expected {FIRST_LINE!r}, extra, index, hashes, an empty line and a checkpoint"
        )
    extra, index = _read_extra(lines[1]), _INDEX.fullmatch(lines[2])
    if index is None or int(index[1]) != extra.entry.index:
        raise BadProof(f"expected the line 'index {extra.entry.index}', found {lines[2]!r:.60}")
    if len(lines) - 3 > MOST_HASHES:
        raise BadProof(f"a path has at most {MOST_HASHES} hashes, not {len(lines) - 3}")
    return Proof(extra, tuple(_unbase64(line) for line in lines[3:]), read_note(note))


def check_proof(proof: Proof, fingerprint: bytes) -> Shown:
    """Check everything in a proof.

    Args:
        fingerprint: (32,) hash of the charter, as the checker has it from elsewhere.

    Raises:
        BadProof: names what does not hold.
    """
    try:
        return _check(proof, fingerprint)
    except BadProof:
        raise
    except BadEntry as error:
        raise BadProof(f"entry {error.index} in the proof does not hold: {error.reason}") from None
    except LedgerError as error:
        raise BadProof(str(error)) from None


def _check(proof: Proof, fingerprint: bytes) -> Shown:
    extra, checkpoint = proof.extra, read_checkpoint(proof.note.text)
    people = _People(extra.charter, fingerprint, checkpoint)
    said, body = people.said, people.body
    shown = Support(extra.entry, proof.path)
    if extra.entry.index == 0:
        if extra.entry != extra.charter:
            raise BadProof("two entries 0 that are not one")
        check_inclusion(leaf_hash(fingerprint), 0, checkpoint.size, proof.path, checkpoint.root)
    for support in _in_order(extra.supports, shown if extra.entry.index else None):
        fields, found = people.meet(support)
        if support is shown:
            said, body = fields, found
        elif not isinstance(found, MemberAdmitted | KeyRotated | KeeperChanged):
            raise BadProof(f"entry {support.entry.index} of kind {fields.kind} gives nobody a key")
    cosigned = people.check_note(proof.note)
    keys = (people.keeper, *(people.keys[each.member][0] for each in cosigned))
    offered = checkpoint.epoch > people.epoch
    return Shown(extra.entry, said, body, checkpoint, cosigned, tuple(people.changes), keys, offered)


def _in_order(supports: Iterable[Support], shown: Support | None) -> Iterator[Support]:
    """Yield supports and the entry that is shown, by index; BadProof if two stand at one."""
    last = 0
    for support in sorted([*supports, *([shown] if shown else [])], key=lambda each: each.entry.index):
        if support.entry.index <= last:
            raise BadProof(f"two entries {support.entry.index} in the proof")
        last = support.entry.index
        yield support


class _People:
    """Who has which keys, as far as a proof tells, from the charter on.

    Attributes:
        said, body: what the charter says.
        keeper, epoch: as of the entries met.
        keys: by name, the present ones first, then those before them.
        changes: of keepers.
    """

    def __init__(self, charter: ChainedEntry, fingerprint: bytes, checkpoint: Checkpoint) -> None:
        if charter.index != 0 or charter.previous != bytes(HASH_BYTES):
            raise BadProof("the charter is entry 0, and nothing comes before it")
        if charter.hash != fingerprint:
            raise BadProof(f"of another federation: its charter has the fingerprint {charter.hash.hex()}")
        check_hash(charter)
        self.said = read_entry(charter.signed)
        self.body = decode_body(self.said.kind, self.said.schema, self.said.body)
        self.keeper = check_founding(self.said, self.body)
        check_signature(charter, self.keeper)
        check_receipt(charter, self.said.federation, self.keeper, 0)
        if (checkpoint.federation, checkpoint.fingerprint) != (self.said.federation, fingerprint):
            raise BadProof(f"the checkpoint is of {checkpoint.origin}, not of this charter")
        self.epoch = 0
        self.keys: dict[str, tuple[PublicIdentity, ...]] = {self.keeper.name: (self.keeper,)}
        self.changes: list[tuple[int, int, str, tuple[str, ...]]] = []
        successor = self.body.successor if isinstance(self.body, Charter) else ""
        self._successors = {successor, self.keeper.name} if successor else set()
        self._checkpoint = checkpoint

    def meet(self, support: Support) -> tuple[EntryFields, Body | UnknownBody]:
        """Check an entry by the keys of those before it, and take in whom it gives which keys."""
        entry, head = support.entry, self._checkpoint
        check_hash(entry)
        check_inclusion(leaf_hash(entry.hash), entry.index, head.size, support.path, head.root)
        fields = read_entry(entry.signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        if fields.federation != self.said.federation or isinstance(body, Charter):
            raise BadProof(f"entry {entry.index} is not of this ledger")
        author = self._key(fields.author)
        check_signature(entry, author)
        if isinstance(body, KeeperChanged):
            self._succeed(entry.index, author, body)
        check_receipt(entry, fields.federation, self.keeper, self.epoch)
        if isinstance(body, MemberAdmitted):
            if author.name != self.keeper.name:
                raise BadProof(f"entry {entry.index}: {author.name} admits a member, and is not the keeper")
            self.keys[body.name] = (body.public,)
        elif isinstance(body, KeyRotated):
            if author.name != body.name:
                raise BadProof(f"entry {entry.index}: {author.name} replaces the keys of {body.name}")
            self.keys[body.name] = (body.public, author)
        return fields, body

    def check_note(self, note: Note) -> tuple[Cosignature, ...]:
        """Return who has cosigned the checkpoint; BadNote or BadProof unless every line is right."""
        head = self._checkpoint
        offered = head.epoch > self.epoch and head.keeper in self.keys
        if not offered and (head.epoch, head.keeper) != (self.epoch, self.keeper.name):
            raise BadProof(f"signed in epoch {head.epoch} by {head.keeper}, of whom the proof tells nothing")
        signer = self._key(head.keeper) if offered else self.keeper
        found, strangers = self._names(head, note, signer)
        if strangers:
            raise BadProof(f"a line under the checkpoint is of nobody in the proof: {strangers[0]!r:.160}")
        if offered and not self._may_agree(found):  # else any member could name itself keeper of some epoch
            raise BadProof(f"too few agreed that {head.keeper} keeps the ledger in epoch {head.epoch}")
        return tuple(each for each in found if offered or each.member != signer.name)

    def _may_agree(self, found: Iterable[Cosignature]) -> bool:
        """Whether so many names may be enough for another keeper; how many are needed is not told here."""
        names = {each.member for each in found}
        return len(names) >= LEAST or (bool(names) and self._successors.issuperset(names))

    def _succeed(self, index: int, author: PublicIdentity, body: KeeperChanged) -> None:
        note = read_note(body.certificate)
        head = read_checkpoint(note.text)
        expected = (self._checkpoint.origin, index, author.name)
        if (head.origin, head.size, head.keeper) != expected or head.epoch <= self.epoch:
            raise BadProof(f"entry {index}: its certificate is of {head}")
        found, _ = self._names(
            head, note, author
        )  # a stranger's line is passed over, as the ledger's rules do
        names = tuple(each.member for each in found)
        if not self._may_agree(found):
            raise BadProof(f"entry {index}: too few agreed that {author.name} keeps the ledger: {names}")
        self.keeper, self.epoch = author, head.epoch
        self.changes.append((index, head.epoch, author.name, names))

    def _names(
        self, head: Checkpoint, note: Note, signer: PublicIdentity
    ) -> tuple[tuple[Cosignature, ...], list[str]]:
        """Return a note's cosignatures by name, and the names of lines that are nobody's here."""
        own = signature_of(note, head, signer)
        check_signed(head, own, signer)
        found: dict[str, Cosignature] = {}
        strangers = []
        for line in note.signatures:
            if line is own:
                continue
            name = line.name.rpartition("/")[2]
            for public in self.keys.get(name, ()):
                try:
                    found[name] = check_cosigned(head, line, public)
                    break
                except BadNote:
                    continue
            else:
                strangers.append(line.name)
        return tuple(found[name] for name in sorted(found)), strangers

    def _key(self, name: str) -> PublicIdentity:
        if name not in self.keys:
            raise BadProof(f"the proof does not tell who {name!r:.60} is")
        return self.keys[name][0]


def _read_extra(line: str) -> Extra:
    label, _, content = line.partition(" ")
    if label != "extra":
        raise BadProof(f"expected the line 'extra …', found {line!r:.60}")
    try:
        raw = base64.b64decode(content, validate=True)
        if _base64(raw) != content:
            raise BadProof("base64 in another form than its own")
        extra = from_plain(Extra, decode(raw, _LIMITS))
    except binascii.Error:
        raise BadProof("no base64 in the line 'extra …'") from None
    except Refused as error:
        raise BadProof(f"what 'extra' holds is not as it should be: {error}") from None
    if encode(to_plain(extra)) != raw:
        raise BadProof("what 'extra' holds is in another form than its own")
    indices = [each.entry.index for each in extra.supports]
    if len(indices) > MOST_SUPPORTS or indices != sorted(set(indices)) or extra.entry.index in indices:
        raise BadProof(f"expected at most {MOST_SUPPORTS} entries beside the one that is shown, by index")
    if not 0 <= extra.entry.index < MOST_LEAVES or (indices and indices[0] < 1):
        raise BadProof("entries in a proof are numbered from 0, those beside the charter from 1")
    return extra


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _unbase64(line: str) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise BadProof(f"no hash: {line!r:.60}") from None
    if _base64(found) != line or len(found) != HASH_BYTES:
        raise BadProof(f"no hash of {HASH_BYTES} bytes: {line!r:.60}")
    return found
