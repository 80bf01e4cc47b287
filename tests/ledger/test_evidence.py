"""A keeper that signs two histories is convicted by its own signatures, and nobody else by anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker.codec import encode
from hansa.broker.identity import Identity, PublicIdentity
from hansa.ledger import BadNote, BadProof, ChainedEntry, Checkpoint, Head, Note, link, sign_entry
from hansa.ledger.evidence import (
    MOST_BYTES,
    MOST_HASHES,
    Evidence,
    ForkEvidence,
    ReceiptEvidence,
    fork_between,
    read_evidence,
)
from tests.ledger.slowtree import consistency_proof, tree_hash
from tests.ledger.town import BREMEN, CATCH, DANZIG, FEDERATION, LUBECK, signed_note

FINGERPRINT = bytes(range(32))
HONEST = [bytes([each]) * 32 for each in range(13)]
FORKED = [*HONEST[:5], *(bytes([each + 100]) * 32 for each in range(5, 13))]


@dataclass(frozen=True)
class SlowTree:
    """One's own copy."""

    data: Sequence[bytes]

    @property
    def size(self) -> int:
        return len(self.data)

    def root(self, size: int) -> bytes:
        return tree_hash(self.data[:size])

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        return tuple(consistency_proof(old, self.data[:new]))


def head(data: Sequence[bytes], size: int, *, epoch: int = 0, keeper: Identity = LUBECK) -> Checkpoint:
    return Checkpoint(FEDERATION, FINGERPRINT, size, tree_hash(data[:size]), epoch, keeper.name)


def note(data: Sequence[bytes], size: int, *, epoch: int = 0, keeper: Identity = LUBECK) -> Note:
    return signed_note(head(data, size, epoch=epoch, keeper=keeper), keeper, BREMEN)


ORIGIN = head(HONEST, 1).origin
KEEPERS = {0: LUBECK.public, 1: BREMEN.public, 2: LUBECK.public}


def keepers(epoch: int) -> PublicIdentity | None:
    return KEEPERS.get(epoch)


def forked(shorter: int, longer: int) -> ForkEvidence:
    """Return what a member with the longer, forked copy holds against the keeper."""
    found = fork_between(SlowTree(FORKED[:longer]), note(FORKED, longer), note(HONEST, shorter))
    assert found is not None
    return found


@pytest.mark.parametrize(("shorter", "longer"), [(6, 6), (6, 7), (6, 12), (7, 13), (8, 13), (8, 9), (13, 13)])
def test_two_heads_of_two_histories_convict_their_keeper(shorter: int, longer: int) -> None:
    evidence = forked(shorter, longer)
    assert read_evidence(evidence.encoded()) == evidence
    words = evidence.check(ORIGIN, keepers)
    assert words.startswith("lubeck, who kept the ledger in epoch 0, has signed two histories: one of")
    assert f"{longer} entries with root" in words
    assert b"bremen" not in evidence.first  # the cosignatures are nobody's fault


@given(st.integers(6, 13), st.integers(6, 13))
def test_either_of_two_members_finds_what_its_own_copy_can_prove(held: int, shown: int) -> None:
    found = fork_between(SlowTree(HONEST), note(HONEST, held), note(FORKED, shown))
    assert (found is None) == (held < shown)  # the other one has that proof
    if found is not None:
        found.check(ORIGIN, keepers)


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (note(HONEST, 9), note(HONEST, 9)),
        (note(HONEST, 9), note(HONEST, 6)),
        (note(HONEST, 9), note(FORKED, 5)),  # before they part
        (note(HONEST, 9), note(HONEST, 0)),
        (note(HONEST, 9), note(FORKED, 9, epoch=2)),
        (note(HONEST, 9), note(FORKED, 9, keeper=BREMEN)),
        (note(HONEST, 9), Note(replace(head(FORKED, 9), federation="league").text, ())),
        (note(FORKED, 9), note(HONEST, 6)),  # the longer one is not ours
        (note([*HONEST, b"newer"], 14), note(FORKED, 6)),  # nor here: our copy is behind
    ],
    ids=["one", "consistent", "common", "empty", "epochs", "keepers", "origins", "not-ours", "behind"],
)
def test_heads_that_our_copy_can_hold_against_nobody(held: Note, shown: Note) -> None:
    assert fork_between(SlowTree(HONEST), held, shown) is None


FORK = forked(6, 11)
SAME_SIZE = forked(9, 9)


def faked(**changes: object) -> ForkEvidence:
    return replace(FORK, **changes)  # type: ignore[arg-type]


def consistent() -> ForkEvidence:
    path = (tree_hash(HONEST[:6]), *consistency_proof(6, HONEST[:11]))
    return ForkEvidence(note(HONEST, 6).encoded(), note(HONEST, 11).encoded(), path)


FAKES: dict[str, tuple[Callable[[], Evidence], str]] = {
    "two heads that agree": (consistent, "nothing shows"),
    "two heads that agree, another beginning": (
        lambda: replace(consistent(), path=(bytes(32), *consistent().path[1:])),
        "does not continue",
    ),
    "one head twice": (lambda: faked(second=FORK.first, path=()), "that are one"),
    "one head twice, signed by others": (
        lambda: ForkEvidence(note(HONEST, 6).encoded(), signed_note(head(HONEST, 6), LUBECK).encoded()),
        "that are one",
    ),
    "a path beside heads of one size": (lambda: replace(SAME_SIZE, path=FORK.path), "with a path besides"),
    "no path": (lambda: faked(path=()), "nothing shows"),
    "a path cut short": (lambda: faked(path=FORK.path[:-1]), "shorter"),
    "a longer path": (lambda: faked(path=(*FORK.path, bytes(32))), "longer"),
    "a path of no hashes": (lambda: faked(path=(FORK.path[0], b"short")), "expected hashes"),
    "heads in the wrong order": (lambda: faked(first=FORK.second, second=FORK.first), "can't be shown"),
    "the empty head": (lambda: faked(first=note(HONEST, 0).encoded()), "can't be shown"),
    "heads of two epochs": (
        lambda: ForkEvidence(note(HONEST, 9).encoded(), note(FORKED, 9, epoch=2).encoded()),
        "two epochs",
    ),
    "another's epoch": (
        lambda: ForkEvidence(note(HONEST, 9, epoch=1).encoded(), note(FORKED, 9, epoch=1).encoded()),
        "expected hansa/.* and bremen",
    ),
    "an epoch that nobody kept": (
        lambda: faked(second=note(FORKED, 11, epoch=7).encoded()),
        "nobody is known to have kept the ledger in epoch 7",
    ),
    "another keeper's signature": (
        lambda: faked(second=signed_note(head(FORKED, 11), DANZIG).encoded()),
        "not signed under the key of lubeck",
    ),
    "another head's signature": (
        lambda: faked(second=Note(head(FORKED, 11).text, note(HONEST, 6).signatures).encoded()),
        "signature is not lubeck's",
    ),
    "a cosignature alone": (
        lambda: faked(second=Note(head(FORKED, 11).text, note(FORKED, 11).signatures[1:]).encoded()),
        "not signed",
    ),
    "another ledger": (
        lambda: faked(second=signed_note(replace(head(FORKED, 11), fingerprint=bytes(32)), LUBECK).encoded()),
        "a head of hansa/",
    ),
    "no note": (lambda: faked(second=b"two histories, believe me"), "a note is"),
}


@pytest.mark.parametrize(("fake", "reason"), FAKES.values(), ids=FAKES.keys())
def test_fakes_convict_nobody(fake: Callable[[], Evidence], reason: str) -> None:
    with pytest.raises((BadNote, BadProof), match=reason):
        read_evidence(fake().encoded()).check(ORIGIN, keepers)


@settings(max_examples=60)
@given(st.integers(6, 12), st.data())
def test_no_bit_of_a_fork_can_be_turned(longer: int, data: st.DataObject) -> None:
    """What is turned in a path's first hash, or in a signature, is refused; nothing of it proves another thing."""
    evidence = forked(6, longer)
    content = bytearray(evidence.encoded())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((BadNote, BadProof)):
        read_evidence(bytes(content)).check(ORIGIN, keepers)


# --- receipts -------------------------------------------------------------------------------------------
BEFORE = Head(5, bytes(range(1, 33)))


def chained(number: int, *, epoch: int = 0, keeper: Identity = LUBECK, head: Head = BEFORE) -> ChainedEntry:
    entry = sign_entry(BREMEN, federation=FEDERATION, author_seq=number, body=CATCH, time_ms=0)
    return link(keeper, FEDERATION, head, entry, epoch)


ONE, OTHER = chained(0), chained(1)
TWO_RECEIPTS = ReceiptEvidence(ONE, OTHER, 0)


@pytest.mark.parametrize("epoch", [0, 2])
def test_two_receipts_for_one_place_convict_their_keeper(epoch: int) -> None:
    evidence = ReceiptEvidence(chained(0, epoch=epoch), chained(1, epoch=epoch), epoch)
    assert read_evidence(evidence.encoded()) == evidence
    words = evidence.check(ORIGIN, keepers)
    assert words.startswith(f"lubeck, who kept the ledger in epoch {epoch}, has signed two entries 5")


FAKE_RECEIPTS: dict[str, tuple[ReceiptEvidence, str]] = {
    "one entry twice": (replace(TWO_RECEIPTS, second=ONE), "are the same"),
    "two places": (replace(TWO_RECEIPTS, second=chained(1, head=OTHER.head)), "don't both follow one entry"),
    "after two entries": (
        replace(TWO_RECEIPTS, second=chained(1, head=Head(5, bytes(32)))),
        "don't both follow one entry",
    ),
    "two charters": (
        ReceiptEvidence(chained(0, head=Head(0, bytes(32))), chained(1, head=Head(0, bytes(32))), 0),
        "don't both follow one entry",
    ),
    "two epochs": (replace(TWO_RECEIPTS, second=chained(1, epoch=2)), "receipt is not signed"),
    "another epoch": (replace(TWO_RECEIPTS, epoch=2), "receipt is not signed"),
    "another's epoch": (replace(TWO_RECEIPTS, epoch=1), "receipt is not signed"),
    "nobody's epoch": (replace(TWO_RECEIPTS, epoch=3), "nobody is known"),
    "another's receipt": (replace(TWO_RECEIPTS, second=chained(1, keeper=DANZIG)), "receipt is not signed"),
    "another entry": (
        replace(TWO_RECEIPTS, second=replace(OTHER, signed=ONE.signed)),
        "content does not have its hash",
    ),
    "no receipt": (replace(TWO_RECEIPTS, second=replace(OTHER, receipt=b"")), "expected 64 bytes"),
}


@pytest.mark.parametrize(("fake", "reason"), FAKE_RECEIPTS.values(), ids=FAKE_RECEIPTS.keys())
def test_receipts_that_convict_nobody(fake: ReceiptEvidence, reason: str) -> None:
    with pytest.raises((BadNote, BadProof), match=reason):
        read_evidence(fake.encoded()).check(ORIGIN, keepers)


def test_receipts_of_another_federation_convict_nobody() -> None:
    with pytest.raises(BadProof, match="receipt is not signed"):
        TWO_RECEIPTS.check(ORIGIN.replace("hansa/hansa", "hansa/league"), keepers)


# --- reading --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        encode({}),
        encode([]),
        encode({"fork": {}}),
        encode({"fork": []}),
        encode({"slander": {}}),
        encode({"fork": {}, "receipts": {}}),
        encode({"receipts": {"first": 1, "second": 2, "epoch": 0}}),
        bytes(MOST_BYTES + 1),
    ],
)
def test_what_is_no_evidence(content: bytes) -> None:
    with pytest.raises(BadProof, match="no evidence"):
        read_evidence(content)


@given(st.binary(max_size=300))
def test_noise_is_no_evidence(content: bytes) -> None:
    with pytest.raises(BadProof):
        read_evidence(content)


def test_what_evidence_can_never_hold() -> None:
    with pytest.raises(ValueError, match="at most 64 hashes"):
        ForkEvidence(b"", b"", (bytes(32),) * (MOST_HASHES + 1))
    for wrong in (-1, 2**62 + 1):
        with pytest.raises(ValueError, match="indices and epochs"):
            ReceiptEvidence(ONE, OTHER, wrong)
        with pytest.raises(ValueError, match="indices and epochs"):
            ReceiptEvidence(ONE, replace(OTHER, index=wrong), 0)


def test_evidence_says_what_a_store_calls_it() -> None:
    assert (FORK.kind, TWO_RECEIPTS.kind) == ("fork", "receipts")
