"""To which head has this agent put its name? It never gives it to one that does not continue that.

A witness's rules, after c2sp.org/tlog-witness: it cosigns what lies in its own copy of the ledger and continues the
newest head it has cosigned; never a lower epoch than before, and in one epoch one keeper alone. The newest head
goes into the journal in the same transaction as the message that carries the name, so it is on the disk before
anybody reads the answer, and a process killed in between has given nothing.

A takeover that enough members agreed to may leave out a head that we cosigned and that was never final: it lies
below it, or the former keeper had shown us another history than them. Whoever has followed it (`Replica.accept` has
seen that enough agreed, and that nothing final is left out) gives its name to what comes after. Nothing final is
lost by that: of those who agreed one had signed whatever was final, and agreed to nothing that did not continue it.

Where a keeper is proven to have signed two histories, and witnesses have put their names to different ones, so that
no takeover finds enough of them, a person may have an agent abandon what it signed for that keeper, down to what it
knows to be final (`abandon`).

An agent that was restored from a backup may have forgotten to what it gave its name. It gives it to nothing until
more than half of the other members have told it the newest head they know; where its own name stands under one of
these, that is what it continues.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from hansa.agents.core.journal import Changes, Journal
from hansa.agents.core.restored import restoration
from hansa.agents.errors import JournalError, Unwilling
from hansa.broker import Identity, PublicIdentity
from hansa.ledger import BadNote, Standing
from hansa.ledger.checkpoints import Checkpoint, check_cosigned, cosign, read_checkpoint
from hansa.ledger.notes import COSIGNATURE, Note, NoteSignature, key_id

_SPACE, _NEWEST, _ABANDONED = "pledge", b"newest", b"abandoned"
_HEADS_KNOWN = b"heads-known"

log = logging.getLogger("hansa.agent")


class Tree(Protocol):
    """Our own copy's Merkle tree."""

    @property
    def size(self) -> int:
        """How many entries."""
        ...

    def root(self, size: int) -> bytes:
        """Return the (32,) root as of so many entries."""
        ...


class Pledge:
    """The newest head that this agent has put its name to.

    Args:
        identity: who signs.
        journal: where it is kept.
        standing: what our copy of the ledger amounts to.

    Raises:
        JournalError: what is journalled is no checkpoint.
    """

    def __init__(self, identity: Identity, journal: Journal, standing: Callable[[], Standing]) -> None:
        self._identity = identity
        self._standing = standing
        self.newest = _load(journal)
        self.abandoned = int.from_bytes(
            journal.load(_SPACE).get(_ABANDONED, b"\xff"), signed=True
        )  # epoch; -1: none
        restored = restoration(journal)
        self._restored_at = b"" if restored is None else restored.at_ms.to_bytes(8)
        self._forgetful = restored is not None and (
            journal.load("meta").get(_HEADS_KNOWN) != self._restored_at
        )
        self._told_by: set[str] = set()

    def give(self, changes: Changes, checkpoint: Checkpoint, now_s: float, tree: Tree) -> NoteSignature:
        """Put our name to a head, and remember it with this step's changes, which must carry the name too.

        Args:
            now_s: UTC seconds; stands in the cosignature.
            tree: our own copy's.

        Raises:
            Unwilling: it does not continue what we have seen and signed, and how; nothing is remembered.
        """
        if self.abstains():
            raise Unwilling(
                f"{self._identity.name} was restored from a backup and may have put its name to a later head:"
                f" it waits for the newest head that {', '.join(self.silent())} know"
            )
        self._check_in(checkpoint, tree)
        if self.newest is not None:
            self._check_epoch(checkpoint, self.newest)
            self._check_continues(checkpoint, self.newest, tree)
        self._note(changes, checkpoint)
        return cosign(self._identity, checkpoint, int(now_s))

    def abandon(self, changes: Changes, epoch: int, final: Checkpoint | None) -> None:
        """Stand by what we signed in an epoch and before it no more, down to what is final.

        Args:
            final: the newest final head that we know, if any.

        Raises:
            Unwilling: we have put our name to a later epoch, and stand by that.
        """
        if self.newest is not None and self.newest.epoch > epoch:
            raise Unwilling(
                f"we have put our name to epoch {self.newest.epoch} of {self.newest.keeper}, and stand by it"
            )
        self.newest, self.abandoned = final, epoch
        changes.put(_SPACE, _ABANDONED, epoch.to_bytes(8, signed=True))
        if final is None:
            changes.drop(_SPACE, _NEWEST)
        else:
            changes.put(_SPACE, _NEWEST, final.text.encode())

    # --- restored ----------------------------------------------------------------------------------------
    def abstains(self) -> bool:
        """Whether it gives its name to nothing for now, since it was restored from a backup."""
        return self._forgetful

    def silent(self) -> tuple[str, ...]:
        """Return the other members that have not told us the newest head they know, if we wait for them."""
        return tuple(sorted(self._others() - self._told_by)) if self._forgetful else ()

    def told(self, changes: Changes, sender: str) -> None:
        """A member has told us the newest head it knows, and `found` has seen it."""
        if not self._forgetful:
            return
        self._told_by.add(sender)
        others = self._others()
        if 2 * len(others & self._told_by) > len(others):
            self._forgetful = False
            changes.put("meta", _HEADS_KNOWN, self._restored_at)
            log.info("%s: knows again what it has cosigned: %s", self._identity.name, self.newest)

    def found(self, changes: Changes, note: Note) -> None:
        """Continue the head of a note that bears our own name, if it is newer than what we remember.

        Raises:
            BadNote: it is of no ledger of ours, or what stands under our name and key is not our signature.
        """
        checkpoint = read_checkpoint(note.text)
        if checkpoint.epoch <= self.abandoned:
            return
        if self.newest is not None and _age(checkpoint) <= _age(self.newest):
            return
        for line in note.signatures:
            for public in self._own_keys():
                name = checkpoint.cosigner(public.name)
                if (line.name, line.key_id) == (name, key_id(name, COSIGNATURE, public.verify_key)):
                    check_cosigned(checkpoint, line, public)
                    self._note(changes, checkpoint)

    # --- the rules ---------------------------------------------------------------------------------------
    def _check_in(self, checkpoint: Checkpoint, tree: Tree) -> None:
        if checkpoint.size > tree.size:
            raise Unwilling(
                f"our copy has {tree.size} entries, the head {checkpoint.size}: we know nothing of what is new"
            )
        if tree.root(checkpoint.size) != checkpoint.root:
            raise Unwilling(f"the first {checkpoint.size} entries of our copy have another root")
        if checkpoint.epoch < self._standing().epoch:
            raise Unwilling(f"epoch {self._standing().epoch} has begun on our copy of the ledger")

    def _check_epoch(self, checkpoint: Checkpoint, newest: Checkpoint) -> None:
        if checkpoint.origin != newest.origin:
            raise Unwilling(f"we witness {newest.origin}, not {checkpoint.origin}")
        if checkpoint.epoch < newest.epoch:
            raise Unwilling(
                f"we have put our name to epoch {newest.epoch} of {newest.keeper}, and serve no lower one"
            )
        if checkpoint.epoch == newest.epoch and checkpoint.keeper != newest.keeper:
            raise Unwilling(f"in epoch {newest.epoch} we have put our name to {newest.keeper} as keeper")

    def _check_continues(self, checkpoint: Checkpoint, newest: Checkpoint, tree: Tree) -> None:
        if checkpoint.epoch > newest.epoch and self._follows(checkpoint):
            return
        if checkpoint.size < newest.size:
            raise Unwilling(f"we have put our name to a later head, of {newest.size} entries")
        if tree.root(newest.size) != newest.root:
            raise Unwilling(f"it does not continue the head of {newest.size} entries that we put our name to")

    def _follows(self, checkpoint: Checkpoint) -> bool:
        """Whether this epoch has begun under this keeper on our own copy, as enough members agreed."""
        rosters = (roster for _, roster in self._standing().rosters)
        return (checkpoint.epoch, checkpoint.keeper) in {(each.epoch, each.keeper.name) for each in rosters}

    def _note(self, changes: Changes, checkpoint: Checkpoint) -> None:
        if checkpoint != self.newest:
            self.newest = checkpoint
            changes.put(_SPACE, _NEWEST, checkpoint.text.encode())

    def _others(self) -> set[str]:
        members = self._standing().members.items()
        return {name for name, each in members if each.status == "active" and name != self._identity.name}

    def _own_keys(self) -> tuple[PublicIdentity, ...]:
        member = self._standing().members.get(self._identity.name)
        former = None if member is None else member.former
        return (self._identity.public,) if former is None else (self._identity.public, former)


def _age(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.epoch, checkpoint.size


def _load(journal: Journal) -> Checkpoint | None:
    text = journal.load(_SPACE).get(_NEWEST)
    if text is None:
        return None
    try:
        return read_checkpoint(text.decode())
    except (BadNote, UnicodeDecodeError) as error:
        raise JournalError(f"the head that this agent has put its name to can't be read: {error}") from error
