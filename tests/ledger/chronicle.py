"""A ledger with everything that an audit looks at: signed heads, a change of keepers, new keys, withdrawn rows."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    ChainedEntry,
    Charter,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobFinished,
    KeeperChanged,
    KeyRotated,
    ModelEvaluated,
    ModelUsed,
    RoundClosed,
    RowsWithdrawn,
    SignedEntry,
    Verifier,
    link,
    sign_entry,
)
from hansa.ledger.checkpoints import Checkpoint, cosign, sign_checkpoint
from hansa.ledger.export import ExportWriter
from hansa.ledger.notes import Note
from tests.ledger.town import BREMEN, DANZIG, DIGEST, FEDERATION, LUBECK, NOW_S, PROPOSAL, admission

WISMAR = Identity.generate("wismar")
NEW_DANZIG = DANZIG.rotated()
START_S = int(NOW_S)


@dataclass(slots=True)
class Chronicle:
    """Writes a ledger entry by entry, as its keepers would, and signs its heads.

    Attributes:
        keeper: of the present epoch.
        notes: signed heads, in order.
    """

    keeper: Identity = LUBECK
    verifier: Verifier = field(default_factory=Verifier)
    entries: list[ChainedEntry] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    evidence: list[tuple[str, bytes]] = field(default_factory=list)
    epoch: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.entries)

    @property
    def fingerprint(self) -> bytes:
        """The charter's hash."""
        return self.entries[0].hash

    def sign(self, author: Identity, body: Body) -> SignedEntry:
        """Sign an author's next entry; entries are a minute apart."""
        number = self.numbers.get(author.name, 0)
        self.numbers[author.name] = number + 1
        time_ms = (START_S + 60 * self.size) * 1000
        return sign_entry(author, federation=FEDERATION, author_seq=number, body=body, time_ms=time_ms)

    def write(self, author: Identity, *bodies: Body) -> None:
        """Sign and chain."""
        for body in bodies:
            self.chain(self.sign(author, body))

    def chain(self, signed: SignedEntry) -> None:
        """Chain an entry, which must be allowed."""
        entry = link(self.keeper, FEDERATION, self.verifier.head, signed, self.epoch)
        self.verifier.accept(entry)
        self.entries.append(entry)

    def head(self) -> Checkpoint:
        """Return the head as it is to be signed."""
        return self.verifier.standing.head_checkpoint()

    def note(self, *witnesses: Identity, time_s: int = 0) -> Note:
        """Sign the head, with cosignatures."""
        head = self.head()
        when = time_s or START_S + 60 * self.size
        lines = (sign_checkpoint(self.keeper, head), *(cosign(each, head, when) for each in witnesses))
        return Note(head.text, lines)

    def checkpoint(self, *witnesses: Identity) -> None:
        """Keep a signed head."""
        self.notes.append(self.note(*witnesses))

    def take_over(self, keeper: Identity, *witnesses: Identity) -> None:
        """Have another member keep the ledger from here on; it counts itself."""
        now = self.head()
        head = Checkpoint(now.federation, now.fingerprint, now.size, now.root, self.epoch + 1, keeper.name)
        when = START_S + 60 * self.size
        lines = (sign_checkpoint(keeper, head), *(cosign(each, head, when) for each in (keeper, *witnesses)))
        certificate = Note(head.text, lines)
        signed = self.sign(keeper, KeeperChanged(certificate.encoded()))
        self.keeper, self.epoch = keeper, self.epoch + 1
        self.chain(signed)

    def exported(self) -> bytes:
        """Return the export of all of it."""
        return exported(self.entries, [note.encoded() for note in self.notes], self.evidence)

    def write_to(self, path: Path) -> Path:
        """Write the export."""
        path.write_bytes(self.exported())
        return path


def exported(
    entries: list[ChainedEntry], notes: list[bytes], evidence: list[tuple[str, bytes]] | None = None
) -> bytes:
    """Return an export of whatever is given, closed as it should be."""
    file = io.BytesIO()
    writer = ExportWriter(file)
    for entry in entries:
        writer.entry(entry)
    for note in notes:
        writer.frame("note", note)
    for kind, content in evidence or []:
        writer.frame("evidence", kind, content)
    writer.end()
    return file.getvalue()


def founded(
    purpose: str = "salt and herring", members: tuple[Identity, ...] = (BREMEN, DANZIG, WISMAR)
) -> Chronicle:
    """Found a federation, of four if nothing else is said."""
    made = Chronicle()
    made.write(LUBECK, Charter(FEDERATION, LUBECK.public, organisation="City of Lübeck", purpose=purpose))
    made.write(LUBECK, *(admission(member) for member in members))
    made.checkpoint(*members[:2])
    return made


def told(purpose: str = "salt and herring") -> Chronicle:
    """Return a ledger of two epochs and 18 entries, the newest of which are not final."""
    made = founded(purpose)
    made.write(BREMEN, DatasetRegistered("catch", 700, ("length", "weight"), "fresh", DIGEST))
    made.write(DANZIG, DatasetRegistered("catch", 300, ("length", "weight"), "fresh", DIGEST))
    made.write(LUBECK, PROPOSAL)
    made.write(BREMEN, JobAccepted("herring"))
    made.write(DANZIG, JobAccepted("herring"))
    made.write(
        LUBECK,
        RoundClosed("herring", 0, DIGEST, ("bremen", "danzig")),
        ModelEvaluated("herring", 0, DIGEST, 0.25, 0.9, "accuracy", 360),
        ContributionMeasured("herring", "volume", {"bremen": 700, "danzig": 300}),
        JobFinished("herring", DIGEST, loss=0.25, score=0.9, metric="accuracy", rounds=1),
    )
    made.checkpoint(BREMEN, DANZIG, WISMAR)
    keys = NEW_DANZIG.public
    made.write(DANZIG, KeyRotated("danzig", keys.verify_key, keys.seal_key))
    made.checkpoint(WISMAR)
    made.take_over(BREMEN, NEW_DANZIG)
    made.write(NEW_DANZIG, RowsWithdrawn("catch", (3, 5), "asked for"))
    made.checkpoint(NEW_DANZIG, WISMAR)
    made.write(LUBECK, ModelUsed("herring", 12, "the market of Scania"))
    made.write(WISMAR, DatasetRegistered("salt", 40, ("weight",), None, DIGEST))
    return made
