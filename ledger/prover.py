"""How does a member make the proof of one entry (`proofs`) from its copy of the ledger?"""

from dataclasses import dataclass, field

from hansa.ledger.bodies import Body, UnknownBody
from hansa.ledger.chain import Verifier
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import BadNote, BadProof, NotFinal
from hansa.ledger.finality import check_final
from hansa.ledger.membership import KeeperChanged, KeyRotated, MemberAdmitted
from hansa.ledger.notes import COSIGNATURE, ED25519, Note, key_id, read_note
from hansa.ledger.proofs import Extra, Proof, Support
from hansa.ledger.standing import Standing
from hansa.ledger.store import LedgerStore


@dataclass(slots=True)
class _Membership:
    """Which entries give whom a key, and who agreed to a change of keepers.

    Attributes:
        keys: (index, name).
        changes: (index, names of the new keeper and of those under its certificate).
    """

    keys: list[tuple[int, str]] = field(default_factory=list)
    changes: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def take(self, index: int, fields: EntryFields, body: Body | UnknownBody) -> None:
        match body:
            case MemberAdmitted(name) | KeyRotated(name):
                self.keys.append((index, name))
            case KeeperChanged(certificate):
                self.changes.append((index, frozenset({fields.author, *_names(read_note(certificate))})))
            case _:
                pass

    def supports(self, names: set[str], size: int) -> list[int]:
        """Return the entries, of the first `size`, that tell the keys of these and of all who kept the ledger."""
        changes = [(index, agreed) for index, agreed in self.changes if index < size]
        wanted = names.union(*(agreed for _, agreed in changes))
        told = {index for index, name in self.keys if index < size and name in wanted}
        return sorted(told.union(index for index, _ in changes))


def prove(store: LedgerStore, index: int) -> tuple[Proof, bool]:
    """Prove an entry under the newest final head that covers it, or else the newest signed one.

    The copy is followed from its first entry, as whenever it is opened; its signatures were checked when they came.

    Returns:
        The proof, and whether its head is final.

    Raises:
        BadProof: there is no such entry, or no signed head covers it yet.
        BadEntry: the copy is damaged.
        StoreError: the store can't be read.
    """
    verifier, membership = Verifier(), _Membership()
    for entry in store.read(stop=store.head().size):
        fields, body = verifier.look(entry, signatures=False)
        verifier.extend(entry, fields, body)
        membership.take(entry.index, fields, body)
    standing = verifier.standing
    if not 0 <= index < standing.tree.size:
        raise BadProof(f"there is no entry {index}: the ledger has {standing.tree.size}, numbered from 0")
    note, final = _head(store, standing, index)
    checkpoint, tree = read_checkpoint(note.text), store.tree()
    shown, charter = next(store.read(index, index + 1)), next(store.read(0, 1))
    names = {read_entry(shown.signed).author, checkpoint.keeper, *_names(note)}
    supports = tuple(
        Support(next(store.read(each, each + 1)), tree.inclusion(each, checkpoint.size))
        for each in membership.supports(names, checkpoint.size)
        if each != index
    )
    return Proof(Extra(shown, charter, supports), tree.inclusion(index, checkpoint.size), note), final


def _head(store: LedgerStore, standing: Standing, index: int) -> tuple[Note, bool]:
    """Return the head to prove under, with the names under it that count, and whether it is final."""
    tree, signed = store.tree(), None
    for note in store.checkpoints(start_size=index + 1, newest_first=True):
        checkpoint = read_checkpoint(note.text)
        if checkpoint.size > standing.tree.size or tree.root(checkpoint.size) != checkpoint.root:
            continue
        try:
            check_final(standing, note)
        except NotFinal:
            if checkpoint.epoch == standing.roster_at(checkpoint.size).epoch:  # not one that was only offered
                signed = signed or _counting(note, standing)
        except BadNote:
            continue
        else:
            return _counting(note, standing), True
    if signed is None:
        raise BadProof(f"no signed head covers entry {index} yet: the keeper signs one within some minutes")
    return signed, False


def _counting(note: Note, standing: Standing) -> Note:
    """Return a checked head with the lines that a roster knows: its keeper's and its witnesses'."""
    checkpoint = read_checkpoint(note.text)
    roster = standing.roster_at(checkpoint.size)
    known = {checkpoint.origin: (roster.keeper, *roster.witnesses.get(checkpoint.keeper, ()))}
    known |= {checkpoint.cosigner(name): keys for name, keys in roster.witnesses.items()}
    ids = {
        (name, key_id(name, ED25519 if name == checkpoint.origin else COSIGNATURE, public.verify_key))
        for name, keys in known.items()
        for public in keys
    }
    return Note(note.text, tuple(line for line in note.signatures if (line.name, line.key_id) in ids))


def _names(note: Note) -> set[str]:
    """Return the last parts of the names under a note: members', and nobody's."""
    return {line.name.rpartition("/")[2] for line in note.signatures}
