"""What can go wrong in the ledger?

    LedgerError
    ├── MalformedEntry      bytes that are no entry, or a body that its kind does not allow
    ├── ForgedEntry         the signature is not the author's
    ├── RuleBroken          a well-formed entry that its author may not write, or not now
    ├── BadEntry            verification failed, at this index
    ├── ForkFound           there are two chains, both properly signed
    ├── Behind              entries are missing before the ones offered
    ├── NotTheKeeper        this identity does not keep this ledger
    ├── StaleEpoch          of a keeper whom another has succeeded
    ├── BadProof            a Merkle proof that proves nothing
    ├── BadNote             no signed note, no checkpoint, or not by whom it says
    ├── NotFinal            too few have cosigned a checkpoint
    ├── BadExport           an exported ledger that is none, or not whole
    ├── BadValue            of a coalition: missing, not finite, or not what it was before
    └── StoreError
        ├── StoreMissing    no ledger there
        ├── StoreNewer      written by a later version of hansa
        ├── StoreCorrupt    not a ledger, or damaged beneath its entries
        └── HeadMoved       another writer appended first; read again and retry

The message of every error says what was expected and what was found. Bad arguments are `ValueError`.
"""


class LedgerError(Exception):
    """The ledger could not do, or does not show, what it should."""


class MalformedEntry(LedgerError):
    """These bytes are no entry, or the body is not one that its kind allows."""


class ForgedEntry(LedgerError):
    """The signature does not belong to these bytes and the author's key."""


class RuleBroken(LedgerError):
    """The author may not write this entry, or not now; the standing is unchanged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadEntry(LedgerError):
    """The entry at this index is not what was signed, chained and receipted there."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"entry {index}: {reason}")
        self.index = index
        self.reason = reason


class ForkFound(LedgerError):
    """Two different entries for one index are properly signed: evidence, or a final head that has been undone.

    Attributes:
        ours: (32,) hash of the entry held.
        theirs: (32,) hash of the entry offered.
        final_size: of the final checkpoint that a takeover would undo; 0 of a keeper that signed both.
    """

    def __init__(self, index: int, ours: bytes, theirs: bytes, final_size: int = 0) -> None:
        reason = f"the keeper has signed {theirs.hex()[:16]}… where we hold {ours.hex()[:16]}…"
        if final_size:
            reason = (
                f"{theirs.hex()[:16]}… is offered by a new keeper where we hold {ours.hex()[:16]}…,"
                f" which is under the final checkpoint of {final_size} entries: some have cosigned both"
            )
        super().__init__(f"entry {index}: {reason}")
        self.final_size = final_size
        self.index = index
        self.ours = ours
        self.theirs = theirs


class Behind(LedgerError):
    """The entries offered start after our end; ask for those from `expected_index` on."""

    def __init__(self, expected_index: int, offered_index: int) -> None:
        super().__init__(f"entry {expected_index} is missing: the first one offered is {offered_index}")
        self.expected_index = expected_index


class NotTheKeeper(LedgerError):
    """This identity does not keep this ledger: the charter names another, or another has taken over."""


class StaleEpoch(LedgerError):
    """It is of an epoch that has ended: another keeper has taken over since."""


class BadProof(LedgerError):
    """The path does not prove what it is to prove, or is not of the form that its sizes ask for."""


class BadNote(LedgerError):
    """The bytes are no signed note or no checkpoint, or a signature is not of whom it says."""


class NotFinal(LedgerError):
    """Fewer members have cosigned a checkpoint than the charter asks for."""


class BadExport(LedgerError):
    """The file is no exported ledger, or a part of it is missing."""


class BadValue(LedgerError):
    """A coalition's value is missing, is no finite number, or is not what it was before."""


class StoreError(LedgerError):
    """The database of a ledger can't be used."""


class StoreMissing(StoreError):
    """There is no ledger at this address, and none was to be created."""


class StoreNewer(StoreError):
    """The ledger's tables are of a revision that this version of hansa does not know."""


class StoreCorrupt(StoreError):
    """The database holds no ledger, or is damaged beneath the entries."""


class HeadMoved(StoreError):
    """Another writer has appended since the head was read: nothing was written."""
