"""Heads of small ledgers, for whoever puts a name to them or compares them."""

import hashlib
from dataclasses import dataclass

from hansa.broker import Identity
from hansa.ledger import Standing
from hansa.ledger.checkpoints import Checkpoint, cosign, sign_checkpoint
from hansa.ledger.merkle import Frontier, leaf_hash
from hansa.ledger.notes import Note
from hansa.ledger.roster import Roster
from hansa.ledger.standing import Member

FINGERPRINT = b"\x11" * 32
NAMES = ("alice", "bob", "carol", "dora")
IDENTITIES = {name: Identity.generate(name) for name in NAMES}


@dataclass(frozen=True, slots=True)
class Leaves:
    """A tree over these leaves."""

    leaves: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return len(self.leaves)

    def root(self, size: int) -> bytes:
        if not 0 <= size <= self.size:
            raise ValueError(f"no root of {size}")
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier, _ = frontier.append(leaf_hash(leaf))
        return frontier.root


def history(size: int, name: str = "a", common: int = 0, of: str = "a") -> Leaves:
    """Return a history of so many entries, the first of them those of another one."""
    return Leaves(
        tuple(
            hashlib.sha256(f"{of if index < common else name}{index}".encode()).digest()
            for index in range(size)
        )
    )


def head(tree: Leaves, size: int, epoch: int = 0, keeper: str = "alice") -> Checkpoint:
    return Checkpoint("baltic", FINGERPRINT, size, tree.root(size), epoch, keeper)


def note(checkpoint: Checkpoint, *cosigners: str, time_s: int = 1_000) -> Note:
    """Return a head's note, signed by its keeper, with cosignatures."""
    names = [cosign(IDENTITIES[name], checkpoint, time_s) for name in cosigners]
    return Note(checkpoint.text, (sign_checkpoint(IDENTITIES[checkpoint.keeper], checkpoint), *names))


def standing(*takeovers: tuple[int, int, str], names: tuple[str, ...] = NAMES) -> Standing:
    """Return what a ledger kept by alice amounts to, with (size, epoch, keeper) of each takeover since."""
    found = Standing()
    found.members = {
        name: Member(IDENTITIES[name].public, "", "active", place, place) for place, name in enumerate(names)
    }
    origin = f"hansa/baltic/{FINGERPRINT.hex()}"
    found.rosters = ((1, _roster(origin, 0, "alice", names)),)
    for size, epoch, keeper in takeovers:
        found.rosters = (*found.rosters, (size + 1, _roster(origin, epoch, keeper, names)))
    return found


def _roster(origin: str, epoch: int, keeper: str, names: tuple[str, ...]) -> Roster:
    witnesses = {name: (IDENTITIES[name].public,) for name in names if name != keeper}
    return Roster(origin, epoch, IDENTITIES[keeper].public, witnesses)
