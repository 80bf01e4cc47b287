"""The chain binds every entry to its place; a verifier takes nothing else."""

from dataclasses import replace
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.identity import Identity
from hansa.ledger import (
    EMPTY,
    BadEntry,
    ChainedEntry,
    Charter,
    Head,
    JobAccepted,
    SignedEntry,
    Verifier,
    link,
    sign_entry,
)
from hansa.ledger.chain import chain_hash
from tests.ledger.town import BREMEN, CATCH, CHARTER, DANZIG, FEDERATION, LUBECK, STRANGER, Town, admission

MATERIAL = ("index", "previous", "signed", "signature")


def charter_entry(author: Identity = LUBECK, charter: Charter = CHARTER) -> SignedEntry:
    return sign_entry(author, federation=charter.federation, author_seq=0, body=charter, time_ms=0)


def chain_of(*entries: SignedEntry, keeper: Identity = LUBECK) -> list[ChainedEntry]:
    chain, head = [], EMPTY
    for entry in entries:
        chain.append(link(keeper, FEDERATION, head, entry))
        head = chain[-1].head
    return chain


GENESIS = chain_of(charter_entry())[0]


def test_a_verifier_follows_a_chain_from_its_genesis(town: Town) -> None:
    town.run_job()
    verifier = Verifier(town.genesis.hash, FEDERATION)
    for entry in town.entries():
        verifier.accept(entry)
    assert verifier.head == town.keeper.head == Head(12, town.entries()[-1].hash)
    assert verifier.standing.jobs == town.keeper.standing.jobs
    assert str(verifier.head).startswith("12 entries, ")


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.binary(), st.binary(), st.data())
def test_every_part_of_an_entry_is_in_its_hash(
    index: int, previous: bytes, signed: bytes, signature: bytes, data: st.DataObject
) -> None:
    digest = chain_hash(index, previous, signed, signature)
    cut = data.draw(st.integers(0, len(signed)))
    assert chain_hash(index + 1, previous, signed, signature) != digest
    assert chain_hash(index, previous[1:], signed, signature) != digest
    if cut:  # bytes can't slide from one field into the next
        assert chain_hash(index, previous, signed[:-cut], signed[-cut:] + signature) != digest


@pytest.mark.parametrize("field", ["previous", "signature", "hash", "receipt"])
def test_a_field_of_another_length_is_refused(field: str) -> None:
    longer = replace(GENESIS, **{field: attrgetter(field)(GENESIS) + b"\0"})
    with pytest.raises(BadEntry, match=r"entry 0: (previous|signature|hash|receipt|does not continue)"):
        Verifier().accept(longer)


def test_a_refused_entry_leaves_the_verifier_where_it_was() -> None:
    verifier = Verifier()
    with pytest.raises(BadEntry):
        verifier.accept(replace(GENESIS, receipt=bytes(64)))
    assert verifier.head == EMPTY
    assert not verifier.standing.founded
    verifier.accept(GENESIS)


def test_the_chain_starts_at_zero_and_has_no_gaps() -> None:
    with pytest.raises(BadEntry, match="entry 0: missing: the next entry is 1"):
        Verifier().accept(replace(GENESIS, index=1))


def test_an_entry_must_name_the_one_before_it() -> None:
    with pytest.raises(BadEntry, match="does not continue the entry before it"):
        Verifier().accept(replace(GENESIS, previous=bytes(31) + b"\1"))


def test_content_must_have_its_hash() -> None:
    with pytest.raises(BadEntry, match="content does not have its hash"):
        Verifier().accept(replace(GENESIS, hash=bytes(32)))


def test_the_pinned_charter_is_the_only_one() -> None:
    Verifier(GENESIS.hash).accept(GENESIS)
    with pytest.raises(BadEntry, match="not the pinned charter"):
        Verifier(bytes(32)).accept(GENESIS)


def test_another_federations_chain_is_refused() -> None:
    with pytest.raises(BadEntry, match="of 'hansa', not of 'league'"):
        Verifier(federation="league").accept(GENESIS)


def test_the_charter_must_be_signed_by_the_keeper_it_names() -> None:
    usurped = replace(charter_entry(), signature=STRANGER.sign(charter_entry().signed))
    with pytest.raises(BadEntry, match="the signature is not lubeck's"):
        Verifier().accept(chain_of(usurped)[0])
    with pytest.raises(BadEntry, match="names 'lubeck' as keeper, but 'stranger' wrote it"):
        Verifier().accept(chain_of(charter_entry(STRANGER))[0])


def test_a_chain_starts_with_nothing_but_a_charter() -> None:
    entry = sign_entry(LUBECK, federation=FEDERATION, author_seq=0, body=JobAccepted("herring"), time_ms=0)
    with pytest.raises(BadEntry, match="first entry must be a charter"):
        Verifier().accept(chain_of(entry)[0])


def test_only_the_keepers_receipt_counts() -> None:
    entry = chain_of(charter_entry(), keeper=STRANGER)[0]
    with pytest.raises(BadEntry, match="receipt is not signed by the keeper, lubeck"):
        Verifier().accept(entry)


def test_only_the_authors_signature_counts() -> None:
    honest = sign_entry(BREMEN, federation=FEDERATION, author_seq=0, body=CATCH, time_ms=0)
    admit = [
        sign_entry(LUBECK, federation=FEDERATION, author_seq=number, body=admission(who), time_ms=0)
        for number, who in ((1, BREMEN), (2, DANZIG))
    ]
    forged = SignedEntry(honest.signed, DANZIG.sign(honest.signed))
    *before, last = chain_of(charter_entry(), *admit, forged)
    verifier = Verifier()
    for entry in before:
        verifier.accept(entry)
    with pytest.raises(BadEntry, match="entry 3: the signature is not bremen's"):
        verifier.accept(last)


def test_a_malformed_entry_is_a_bad_one() -> None:
    with pytest.raises(BadEntry, match="entry 0: not an entry"):
        Verifier().accept(chain_of(SignedEntry(b"nonsense", bytes(64)))[0])


def test_our_own_copy_can_be_followed_without_signatures() -> None:
    verifier = Verifier()
    verifier.accept(replace(GENESIS, receipt=bytes(64)), signatures=False)
    assert verifier.head == GENESIS.head
    with pytest.raises(BadEntry, match="does not have its hash"):
        Verifier().accept(replace(GENESIS, signature=bytes(64)), signatures=False)


def test_an_unknown_kind_is_verified_and_kept(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.admit_both()
    monkeypatch.setattr("hansa.ledger.entry.schema_of", lambda body: 2)
    newer = town.sign(BREMEN, CATCH)
    verifier = Verifier()
    for entry in town.entries():
        verifier.accept(entry)
    verifier.accept(link(LUBECK, FEDERATION, verifier.head, newer))
    assert verifier.standing.unknown_kinds == {"dataset-registered"}
    assert verifier.standing.next_author_seq("bremen") == 1


def test_a_shown_entry_is_short() -> None:
    assert len(repr(GENESIS)) < 400
