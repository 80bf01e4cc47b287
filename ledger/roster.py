"""Whose names make a checkpoint final? The members' as of its size, and how many of them the charter asks for.

The keeper's own name does not count: it is whom the others guard against. Of the others, its witnesses, more than
half must have cosigned, and never fewer than two; so two final histories need a witness that signed both. A charter
may ask for more (`cosigners`), not for fewer: with two of five, two histories could both be final. Where there is
one other member alone, it counts if the charter names it as successor.

Another keeper takes over with as many names. So at least one of them has cosigned whatever was final before, and
would not give its name to a ledger without it; and of two who would take over at once, one lacks a name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hansa.broker.identity import PublicIdentity
from hansa.ledger.checkpoints import (
    Checkpoint,
    Cosignature,
    check_cosigned,
    check_signed,
    read_checkpoint,
    signature_of,
)
from hansa.ledger.errors import BadNote, NotFinal
from hansa.ledger.notes import COSIGNATURE, Note, key_id

LEAST = 2  # witnesses, where there are two


@dataclass(frozen=True, slots=True)
class Roster:
    """Who kept the ledger, and who witnessed it, from one membership entry to the next.

    Attributes:
        origin: of the ledger's checkpoints.
        epoch: whose keeper is `keeper`.
        keeper: its keys.
        witnesses: the other active members, each with its keys and those before them, by name.
        cosigners: what the charter asks for at least; 0: more than half of the witnesses.
        successor: who may witness alone; "": nobody.
    """

    origin: str
    epoch: int
    keeper: PublicIdentity
    witnesses: Mapping[str, tuple[PublicIdentity, ...]] = field(default_factory=dict)
    cosigners: int = 0
    successor: str = ""

    @property
    def needed(self) -> int:
        """How many witnesses must cosign a checkpoint for it to be final."""
        if len(self.witnesses) == 1 and self.successor in self.witnesses:
            return 1
        return max(LEAST, self.cosigners, len(self.witnesses) // 2 + 1)

    @property
    def needed_to_succeed(self) -> int:
        """How many witnesses, the new keeper among them, must agree that it takes over: as many as for the rest."""
        return self.needed

    @property
    def attainable(self) -> bool:
        """Whether there are as many witnesses as are needed."""
        return len(self.witnesses) >= self.needed

    def cosignatures(self, checkpoint: Checkpoint, note: Note) -> tuple[Cosignature, ...]:
        """Return the witnesses' valid cosignatures in a note, one of each, by name.

        Lines of names that are nobody's here are passed over.

        Raises:
            BadNote: a line under a witness's own name and key is not its cosignature.
        """
        found: dict[str, Cosignature] = {}
        for line in note.signatures:
            name = line.name.rpartition("/")[2]
            for public in self.witnesses.get(name, ()):
                if _is_under(line.key_id, checkpoint, public) and line.name == checkpoint.cosigner(name):
                    found[name] = check_cosigned(checkpoint, line, public)
        return tuple(found[name] for name in sorted(found))

    def check_final(self, note: Note) -> Checkpoint:
        """Return the checkpoint of a note that this epoch's keeper signed and enough witnesses cosigned.

        Whether it is of the ledger's entries is for the caller to see: compare its root.

        Raises:
            BadNote: no checkpoint of this ledger and epoch, or not signed by whom it says.
            NotFinal: too few have cosigned it.
        """
        checkpoint = self.read(note)
        self._check_count(self.cosignatures(checkpoint, note), self.needed, "final")
        return checkpoint

    def read(self, note: Note) -> Checkpoint:
        """Return the checkpoint of a note that this epoch's keeper signed; BadNote as `check_final`."""
        checkpoint = read_checkpoint(note.text)
        if (checkpoint.origin, checkpoint.epoch, checkpoint.keeper) != (
            self.origin,
            self.epoch,
            self.keeper.name,
        ):
            raise BadNote(
                f"a checkpoint of {checkpoint.origin}, epoch {checkpoint.epoch} of {checkpoint.keeper};"
                f" expected {self.origin}, epoch {self.epoch} of {self.keeper.name}"
            )
        check_signed(checkpoint, signature_of(note, checkpoint, self.keeper), self.keeper)
        return checkpoint

    def check_succession(self, note: Note) -> Checkpoint:
        """Return the head at which a member takes over, as enough witnesses have cosigned it.

        The keeper may do so itself: if some have pledged themselves to a later epoch that never came.

        Whether it is of the ledger's entries is for the caller to see: compare its size and root.

        Raises:
            BadNote: no checkpoint of this ledger and a later epoch under one of its members, or not signed by it.
            NotFinal: too few agree.
        """
        checkpoint = read_checkpoint(note.text)
        if checkpoint.origin != self.origin or checkpoint.epoch <= self.epoch:
            raise BadNote(f"not of {self.origin} and an epoch after {self.epoch}: {checkpoint}")
        itself = (self.keeper,) if checkpoint.keeper == self.keeper.name else None
        keys = self.witnesses.get(checkpoint.keeper, itself)
        if keys is None:
            raise BadNote(f"{checkpoint.keeper} can't take over: not an active member")
        check_signed(checkpoint, signature_of(note, checkpoint, keys[0]), keys[0])
        self._check_count(self.cosignatures(checkpoint, note), self.needed_to_succeed, "a change of keeper")
        return checkpoint

    def _check_count(self, found: Iterable[Cosignature], needed: int, what: str) -> None:
        names = [each.member for each in found]
        if len(names) < needed:
            by = ", ".join(names) or "nobody"
            raise NotFinal(
                f"not {what}: cosigned by {by}, {len(names)} of the {needed} needed"
                f" ({len(self.witnesses)} members beside the keeper)"
            )


def _is_under(line_id: bytes, checkpoint: Checkpoint, public: PublicIdentity) -> bool:
    return line_id == key_id(checkpoint.cosigner(public.name), COSIGNATURE, public.verify_key)
