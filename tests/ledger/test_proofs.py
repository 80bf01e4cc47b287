"""A proof shows one entry to whoever has the charter's fingerprint; a changed byte anywhere shows nothing."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker.codec import encode
from hansa.broker.identity import Identity
from hansa.broker.records import to_plain
from hansa.ledger import (
    BadNote,
    BadProof,
    Body,
    Charter,
    KeeperChanged,
    KeyRotated,
    LedgerStore,
    MemberLeft,
    link,
    sign_entry,
)
from hansa.ledger.checkpoints import Checkpoint, cosign, read_checkpoint, sign_checkpoint
from hansa.ledger.merkle import Frontier, inclusion_spans, leaf_hash, node_hash
from hansa.ledger.notes import Note
from hansa.ledger.proofs import MOST_BYTES, Extra, Proof, Support, check_proof, read_proof
from hansa.ledger.prover import prove
from tests.ledger.chronicle import WISMAR, Chronicle, founded, told
from tests.ledger.town import BREMEN, CHARTER, DANZIG, LUBECK, STRANGER, admission, signed_note


def stored(made: Chronicle, path: Path) -> LedgerStore:
    """Put a chronicle into a store."""
    store = LedgerStore.open(path)
    store.append(made.entries)
    for note in made.notes:
        store.add_checkpoint(note)
    for kind, content in made.evidence:
        store.add_evidence(kind, content)
    return store


TOLD = told()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerStore]:
    opened = stored(TOLD, tmp_path_factory.mktemp("proofs") / "ledger.sqlite")
    yield opened
    opened.close()


def holds(content: bytes, fingerprint: bytes) -> bool:
    """Say whether a file is a proof; nothing but the house's own errors may come of it."""
    try:
        check_proof(read_proof(content), fingerprint)
    except (BadProof, BadNote):
        return False
    return True


@pytest.mark.parametrize("index", range(16))
def test_every_entry_under_a_final_head_is_proven(store: LedgerStore, index: int) -> None:
    proof, final = prove(store, index)
    content = proof.encoded()
    assert final
    shown = check_proof(read_proof(content), TOLD.fingerprint)
    assert shown.entry == TOLD.entries[index]
    assert (shown.checkpoint.size, shown.checkpoint.epoch, shown.checkpoint.keeper) == (16, 1, "bremen")
    assert [each.member for each in shown.cosigned] == ["danzig", "wismar"]
    assert [key.name for key in shown.keys] == ["bremen", "danzig", "wismar"]
    assert shown.keepers == ((14, 1, "bremen", ("bremen", "danzig")),)
    assert len(content) < 40_000


def test_a_proof_says_in_words_what_it_shows_and_what_it_can_not(store: LedgerStore) -> None:
    proof, _ = prove(store, 10)
    said = check_proof(proof, TOLD.fingerprint).sentences
    assert said[0] == (
        "lubeck wrote this entry of kind model-evaluated, at 2027-01-15 08:10 UTC by its own clock."
    )
    assert said[1] == (
        "It is entry 10 of the ledger of hansa, under a head of 16 entries that bremen signed as keeper of epoch 1."
    )
    assert said[2] == "Cosigned by danzig (2027-01-15 08:16 UTC), wismar (2027-01-15 08:16 UTC)."
    assert said[3] == (
        "bremen took over the ledger at entry 14, in epoch 1, with the names of bremen, danzig."
    )
    assert said[4].startswith("Not shown here: ")


def test_a_proof_has_the_lines_of_the_c2sp_form(store: LedgerStore) -> None:
    proof, _ = prove(store, 5)
    lines = proof.encoded().decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 5"
    assert [base64.b64decode(line) for line in lines[3:7]] == list(proof.path)
    assert lines[7] == ""
    assert lines[8].startswith("hansa/hansa/")


def test_an_entry_that_no_head_covers_cannot_be_proven_yet(store: LedgerStore) -> None:
    with pytest.raises(BadProof, match="no signed head covers entry 17 yet"):
        prove(store, 17)
    with pytest.raises(BadProof, match="no entry 18: the ledger has 18"):
        prove(store, 18)


def test_without_a_final_head_the_newest_signed_one_serves(tmp_path: Path) -> None:
    made = founded()
    made.write(BREMEN, MemberLeft("bremen"))
    made.checkpoint(DANZIG)
    made.write(DANZIG, MemberLeft("danzig"))
    made.checkpoint()
    made.write(WISMAR, MemberLeft("wismar"))
    store = stored(made, tmp_path / "ledger.sqlite")
    last, final = prove(store, 5)
    assert not final
    shown = check_proof(last, made.fingerprint)
    assert shown.checkpoint.size == 6
    assert "Nobody else has put their name to that head." in shown.sentences
    first, final = prove(store, 3)
    assert final
    assert read_checkpoint(first.note.text).size == 4
    store.close()


def test_lines_that_do_not_count_and_heads_that_do_not_hold_are_left_out(tmp_path: Path) -> None:
    made = founded()
    note = made.note(BREMEN, DANZIG, STRANGER, LUBECK)
    made.notes = [note]
    other = founded("another history")
    other.write(BREMEN, MemberLeft("bremen"))
    elsewhere = other.note(DANZIG, WISMAR)
    made.write(BREMEN, MemberLeft("bremen"))
    bad = made.note(DANZIG, WISMAR)
    made.notes += [elsewhere, replace(bad, signatures=(replace(bad.signatures[0], signature=bytes(64)),))]
    store = stored(made, tmp_path / "ledger.sqlite")
    proof, final = prove(store, 2)
    assert final
    assert [each.member for each in check_proof(proof, made.fingerprint).cosigned] == ["bremen", "danzig"]
    with pytest.raises(BadProof, match=r"of nobody in the proof: 'hansa/hansa/.*/stranger'"):
        check_proof(replace(proof, note=note), made.fingerprint)
    store.close()


def test_an_offer_to_keep_the_ledger_proves_too(tmp_path: Path) -> None:
    made = founded()
    now = made.head()
    offer = Checkpoint(now.federation, now.fingerprint, now.size, now.root, 3, "wismar")
    lines = (sign_checkpoint(WISMAR, offer), cosign(WISMAR, offer, 7), cosign(BREMEN, offer, 7))
    made.notes = [Note(offer.text, lines)]
    store = stored(made, tmp_path / "ledger.sqlite")
    proof, final = prove(store, 1)
    shown = check_proof(proof, made.fingerprint)
    assert final
    assert (shown.checkpoint.epoch, [each.member for each in shown.cosigned]) == (3, ["bremen", "wismar"])
    assert "at which wismar was to take over as keeper of epoch 3" in shown.sentences[1]
    store.close()


@pytest.mark.parametrize("successor", ["", "wismar"])
def test_no_member_alone_names_itself_keeper_of_some_epoch(tmp_path: Path, successor: str) -> None:
    made = Chronicle()
    made.write(LUBECK, replace(CHARTER, successor=successor))
    made.write(LUBECK, *map(admission, (BREMEN, DANZIG, WISMAR)))
    now = made.head()
    offer = Checkpoint(now.federation, now.fingerprint, now.size, now.root, 3, "danzig")
    made.notes = [signed_note(offer, DANZIG, DANZIG, BREMEN)]
    store = stored(made, tmp_path / "ledger.sqlite")
    proof, _ = prove(store, 1)
    for names in ((), (DANZIG,)):
        with pytest.raises(BadProof, match="too few agreed that danzig keeps the ledger in epoch 3"):
            check_proof(replace(proof, note=signed_note(offer, DANZIG, *names)), made.fingerprint)
    store.close()
    made.notes = [signed_note(offer, DANZIG, DANZIG)]
    alone = stored(made, tmp_path / "alone.sqlite")
    with pytest.raises(BadProof, match="no signed head covers entry 1 yet"):
        prove(alone, 1)
    alone.close()


# --- what is changed, is refused ---------------------------------------------------------------------------
def refuses_flips(content: bytes, fingerprint: bytes, positions: range) -> None:
    """Flip one bit of each of these bytes; each of the eight in turn."""
    assert holds(content, fingerprint)
    for at in positions:
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        assert not holds(bytes(changed), fingerprint), at


def test_a_flip_of_any_byte_is_refused(tmp_path: Path) -> None:
    made = founded()
    store = stored(made, tmp_path / "ledger.sqlite")
    content = prove(store, 2)[0].encoded()
    refuses_flips(content, made.fingerprint, range(len(content)))
    store.close()


def test_a_flip_in_a_proof_of_two_epochs_is_refused(store: LedgerStore) -> None:
    content = prove(store, 15)[0].encoded()
    checkpoint = content.index(b"\n\n")
    refuses_flips(content, TOLD.fingerprint, range(0, checkpoint, 17))
    refuses_flips(content, TOLD.fingerprint, range(checkpoint, len(content)))


def test_a_proof_is_refused_when_cut_off_or_with_anything_more(store: LedgerStore) -> None:
    content = prove(store, 15)[0].encoded()
    for length in range(0, len(content), 7):
        assert not holds(content[:length], TOLD.fingerprint)
    for more in (b"\n", b" ", b"\xe2\x80\x94 x AAAAAAA=\n"):
        assert not holds(content + more, TOLD.fingerprint)
    with pytest.raises(BadProof, match="at most"):
        read_proof(bytes(MOST_BYTES + 1))


def test_a_proof_holds_under_its_own_charter_only(store: LedgerStore) -> None:
    proof, _ = prove(store, 15)
    with pytest.raises(BadProof, match="of another federation: its charter has the fingerprint"):
        check_proof(proof, founded("another").fingerprint)


def changed(proof: Proof, *, extra: Extra | None = None, path: tuple[bytes, ...] | None = None) -> Proof:
    """Return a proof with another part."""
    return Proof(extra or proof.extra, proof.path if path is None else path, proof.note)


REFUSED: dict[str, tuple[Callable[[Proof], Proof], str]] = {
    "another entry": (
        lambda proof: changed(proof, extra=replace(proof.extra, entry=TOLD.entries[13])),
        "two entries 13 in the proof",
    ),
    "an entry beside it": (
        lambda proof: changed(proof, extra=replace(proof.extra, entry=TOLD.entries[12])),
        "does not lead to the root",
    ),
    "a longer path": (lambda proof: changed(proof, path=(*proof.path, bytes(32))), "longer"),
    "a shorter path": (lambda proof: changed(proof, path=proof.path[:-1]), "shorter"),
    "another's receipt": (
        lambda proof: changed(
            proof,
            extra=replace(proof.extra, entry=replace(proof.extra.entry, receipt=TOLD.entries[3].receipt)),
        ),
        "the receipt is not signed by the keeper, bremen",
    ),
    "another's signature": (
        lambda proof: changed(
            proof, extra=replace(proof.extra, entry=replace(proof.extra.entry, signature=bytes(64)))
        ),
        "its content does not have its hash",
    ),
    "no change of keepers": (
        lambda proof: changed(proof, extra=replace(proof.extra, supports=proof.extra.supports[:-1])),
        "the receipt is not signed by the keeper, lubeck",
    ),
    "nobody admitted": (
        lambda proof: changed(proof, extra=replace(proof.extra, supports=proof.extra.supports[-1:])),
        "does not tell who 'bremen' is",
    ),
    "a support twice": (
        lambda proof: changed(
            proof, extra=replace(proof.extra, supports=(proof.extra.supports[0], *proof.extra.supports))
        ),
        "two entries 1 in the proof",
    ),
    "another charter": (
        lambda proof: changed(
            proof, extra=replace(proof.extra, charter=replace(proof.extra.charter, previous=bytes([1]) * 32))
        ),
        "nothing comes before it",
    ),
    "a charter in its place": (
        lambda proof: changed(proof, extra=replace(proof.extra, entry=founded("x").entries[0])),
        "two entries 0 that are not one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_proof_with_another_part_is_refused(store: LedgerStore, case: str) -> None:
    change, why = REFUSED[case]
    with pytest.raises(BadProof, match=why):
        check_proof(change(prove(store, 15)[0]), TOLD.fingerprint)


def test_an_entry_that_gives_nobody_a_key_does_not_belong_in_a_proof(store: LedgerStore) -> None:
    proof, _ = prove(store, 15)
    path = store.tree().inclusion(6, 16)
    supports = sorted(
        (*proof.extra.supports, Support(TOLD.entries[6], path)), key=lambda each: each.entry.index
    )
    with pytest.raises(BadProof, match="entry 6 of kind job-proposed gives nobody a key"):
        check_proof(changed(proof, extra=replace(proof.extra, supports=tuple(supports))), TOLD.fingerprint)


def forged(*steps: tuple[Identity, Body], signers: tuple[Identity, ...] = (LUBECK,)) -> Proof:
    """Return the proof that a member makes of a ledger that it wrote itself, after the three admissions.

    Args:
        steps: who writes what, with its own receipt.
        signers: the keeper that signs the head, and who cosigns it.
    """
    entries = list(TOLD.entries[:4])
    for author, body in steps:
        signed = sign_entry(author, federation="hansa", author_seq=90, body=body, time_ms=0)
        entries.append(link(signers[0], "hansa", entries[-1].head, signed))
    frontier = Frontier()
    for entry in entries:
        frontier, _ = frontier.append(leaf_hash(entry.hash))
    head = Checkpoint("hansa", TOLD.fingerprint, len(entries), frontier.root, 0, signers[0].name)
    note = Note(
        head.text, (sign_checkpoint(signers[0], head), *(cosign(each, head, 5) for each in signers[1:]))
    )
    leaves = [leaf_hash(entry.hash) for entry in entries]
    supports = [Support(entry, path_of(leaves, entry.index)) for entry in entries[1:-1]]
    return Proof(Extra(entries[-1], entries[0], tuple(supports)), path_of(leaves, len(entries) - 1), note)


def path_of(leaves: list[bytes], index: int) -> tuple[bytes, ...]:
    """Return a leaf's path."""

    def root(start: int, stop: int) -> bytes:
        if stop - start == 1:
            return leaves[start]
        middle = start + (1 << ((stop - start - 1).bit_length() - 1))
        return node_hash(root(start, middle), root(middle, stop))

    return tuple(root(start, stop) for start, stop in inclusion_spans(index, len(leaves)))


def test_a_forged_ledger_of_the_keepers_own_shows_that_nobody_else_signed(store: LedgerStore) -> None:
    shown = check_proof(forged((LUBECK, admission(STRANGER))), TOLD.fingerprint)
    assert shown.cosigned == ()


FORGED = {
    "a member admits another": (
        forged((BREMEN, admission(STRANGER)), signers=(LUBECK,)),
        "bremen admits a member, and is not the keeper",
    ),
    "a member takes another's keys": (
        forged((BREMEN, KeyRotated("danzig", STRANGER.public.verify_key, STRANGER.public.seal_key))),
        "bremen replaces the keys of danzig",
    ),
    "a stranger writes": (forged((STRANGER, MemberLeft("stranger"))), "does not tell who 'stranger' is"),
    "a member keeps it all": (
        forged((BREMEN, admission(STRANGER)), signers=(BREMEN, BREMEN)),
        "the receipt is not signed by the keeper, lubeck",
    ),
    "a second charter": (
        forged((LUBECK, Charter("hansa", LUBECK.public))),
        "entry 4 is not of this ledger",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_membership_is_refused(case: str) -> None:
    proof, why = FORGED[case]
    with pytest.raises(BadProof, match=why):
        check_proof(proof, TOLD.fingerprint)


def usurped(*agreed: Identity, epoch: int = 1, size: int = 4) -> Proof:
    """Return a proof under a head of Bremen's, who took over with these names alone."""
    made = founded()
    now = made.head()
    head = Checkpoint(now.federation, now.fingerprint, size, now.root, epoch, "bremen")
    lines = (sign_checkpoint(BREMEN, head), *(cosign(each, head, 5) for each in agreed))
    signed = made.sign(BREMEN, KeeperChanged(Note(head.text, lines).encoded()))
    entry = link(BREMEN, "hansa", made.verifier.head, signed, epoch)
    entries = [*made.entries, entry]
    leaves = [leaf_hash(each.hash) for each in entries]
    frontier = made.verifier.standing.tree.append(leaves[-1])[0]
    mine = Checkpoint("hansa", made.fingerprint, 5, frontier.root, epoch, "bremen")
    supports = tuple(Support(each, path_of(leaves, each.index)) for each in entries[1:4])
    note = Note(mine.text, (sign_checkpoint(BREMEN, mine),))
    return Proof(Extra(entry, entries[0], supports), path_of(leaves, 4), note)


def test_a_member_that_takes_over_alone_proves_nothing() -> None:
    def verdict(proof: Proof) -> str:
        try:
            return check_proof(proof, proof.extra.charter.hash).sentences[3]
        except BadProof as error:
            return str(error)

    assert verdict(usurped(BREMEN, WISMAR)).startswith("bremen took over the ledger at entry 4, in epoch 1")
    assert verdict(usurped(BREMEN, WISMAR, STRANGER)).endswith("with the names of bremen, wismar.")
    assert "too few agreed that bremen keeps the ledger" in verdict(usurped(BREMEN))
    assert "too few agreed that bremen keeps the ledger" in verdict(usurped(STRANGER))
    assert "its certificate is of" in verdict(usurped(BREMEN, WISMAR, size=3))
    assert "its certificate is of" in verdict(usurped(BREMEN, WISMAR, epoch=0))


def test_a_head_of_an_unknown_keeper_is_refused(store: LedgerStore) -> None:
    proof, _ = prove(store, 15)
    head = TOLD.notes[-1]
    for keeper, epoch in ((STRANGER, 1), (STRANGER, 2), (LUBECK, 0)):
        now = read_checkpoint(head.text)
        other = Checkpoint(now.federation, now.fingerprint, now.size, now.root, epoch, keeper.name)
        note = Note(other.text, (sign_checkpoint(keeper, other),))
        with pytest.raises(BadProof, match="of whom the proof tells nothing"):
            check_proof(replace(proof, note=note), TOLD.fingerprint)
    elsewhere = replace(read_checkpoint(head.text), federation="elsewhere")
    note = Note(elsewhere.text, (sign_checkpoint(BREMEN, elsewhere),))
    with pytest.raises(BadProof, match="not of this charter"):
        check_proof(replace(proof, note=note), TOLD.fingerprint)


# --- how it is read ----------------------------------------------------------------------------------------
def file(extra: object, *, lines: str = "", index: int = 15) -> bytes:
    """Return a proof's file with another extra, or other lines after the index."""
    coded = base64.b64encode(encode(extra)).decode()  # type: ignore[arg-type]
    return (
        f"c2sp.org/tlog-proof@v1\nextra {coded}\nindex {index}\n{lines}\n".encode() + TOLD.notes[-1].encoded()
    )


def test_a_file_of_another_form_is_refused_in_words(store: LedgerStore) -> None:
    proof, _ = prove(store, 15)
    plain = to_plain(proof.extra)
    assert isinstance(plain, dict)
    late = [to_plain(each) for each in reversed(proof.extra.supports)]
    cases = {
        b"": "no proof",
        b"\xff\n\nx": "ASCII",
        proof.encoded().replace(b"@v1", b"@v2"): "no proof",
        proof.encoded().replace(b"extra ", b"extras "): "expected the line 'extra",
        proof.encoded().replace(b"index 15", b"index 015"): "expected the line 'index 15'",
        proof.encoded().replace(b"index 15", b"index 14"): "expected the line 'index 15'",
        proof.encoded().replace(b"extra g", b"extra !"): "no base64",
        proof.encoded()[:23] + b"extra gB==\nindex 15\n\n": "base64 in another form than its own",
        file({}): "not as it should be",
        file({**plain, "more": 1}): "not as it should be",
        file(
            {name: plain[name] for name in ("charter", "entry", "supports")}
        ): "in another form than its own",
        file({name: plain[name] for name in ("entry", "charter")}): "in another form than its own",
        file({**plain, "supports": late}): "by index",
        file({**plain, "entry": {**plain["entry"], "index": 2**62}}): "numbered from 0",  # type: ignore[dict-item]
        file(plain, lines="x\n"): "no hash: 'x'",
        file(plain, lines="AAAA\n"): "no hash of 32 bytes",
        file(plain, lines=f"{base64.b64encode(bytes(32)).decode()}\n" * 63): "at most 62 hashes",
    }
    for content, why in cases.items():
        with pytest.raises(BadProof, match=why):
            read_proof(content)


def test_a_proof_that_no_reader_would_take_is_not_written(store: LedgerStore) -> None:
    proof, _ = prove(store, 15)
    entry = replace(proof.extra.entry, signed=bytes(MOST_BYTES))
    with pytest.raises(BadProof, match="this one would have"):
        changed(proof, extra=replace(proof.extra, entry=entry)).encoded()


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert not holds(content, TOLD.fingerprint)
    assert not holds(b"c2sp.org/tlog-proof@v1\nextra " + content, TOLD.fingerprint)


@settings(max_examples=50, deadline=None)
@given(
    extra=st.recursive(
        st.none() | st.integers(0, 9) | st.binary(max_size=8),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(("entry", "charter", "supports", "index")), inner)
        ),
    )
)
def test_any_plain_value_as_extra_is_refused(extra: object) -> None:
    assert not holds(file(extra), TOLD.fingerprint)
