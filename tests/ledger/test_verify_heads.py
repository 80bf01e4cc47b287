"""Whoever verifies a ledger compares the signed heads beside its entries with them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import BadNote, Checkpoint, LedgerStore, Note, verify_store
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from hansa.ledger.evidence import fork_between
from hansa.ledger.merkle import EMPTY_ROOT
from hansa.ledger.notes import NoteSignature
from tests.ledger.town import BREMEN, CATCH, DANZIG, LUBECK, Town, found_town

OTHER = bytes(range(32))


@pytest.fixture
def town() -> Iterator[Town]:
    """A town of three, whose ledger lies in memory, with an entry more after each head."""
    with closing(LedgerStore.open("sqlite://")) as store:
        town = found_town(store)
        town.admit_both()
        yield town


def head(town: Town) -> Checkpoint:
    """Return the ledger's present head."""
    return town.keeper.standing.head_checkpoint()


def signed(checkpoint: Checkpoint, *cosigners: NoteSignature, keeper: Identity = LUBECK) -> Note:
    """Return what a keeper signed, with other names under it."""
    return Note(checkpoint.text, (sign_checkpoint(keeper, checkpoint), *cosigners))


def test_heads_of_the_entries_verify_and_one_beyond_them_waits(town: Town) -> None:
    for number in range(4):
        here = head(town)
        town.store.add_checkpoint(signed(here, cosign(BREMEN, here, 5), cosign(DANZIG, here, number)))
        town.write(BREMEN, replace(CATCH, dataset=f"catch-{number}"))
    beyond = replace(head(town), size=99, root=OTHER)
    town.store.add_checkpoint(signed(beyond))
    assert verify_store(town.store).size == 7


def test_a_head_that_was_changed_is_named(town: Town) -> None:
    here = head(town)
    forged = replace(cosign(BREMEN, here, 5), signature=cosign(DANZIG, here, 5).signature)
    stranger = Identity.generate("lubeck")
    for note, reason in (
        (signed(here, forged), "bremen's cosignature is not of this checkpoint"),
        (signed(here, keeper=stranger), "not signed under the key of lubeck"),
        (signed(replace(here, epoch=1, keeper="zion")), "zion"),
        (signed(replace(here, fingerprint=OTHER)), "another ledger"),
        (signed(replace(here, root=OTHER)), "lubeck signed the root 000102"),
    ):
        with closing(LedgerStore.open("sqlite://")) as store:
            store.append(town.entries())
            store.add_checkpoint(note)
            with pytest.raises(BadNote, match=f"a checkpoint of 3 entries.*{reason}"):
                verify_store(store)


def test_nobody_signs_the_empty_ledger(town: Town) -> None:
    empty = Checkpoint("hansa", town.genesis.hash, 0, EMPTY_ROOT, 0, "lubeck")
    town.store.add_checkpoint(signed(empty))
    with pytest.raises(BadNote, match="nobody signs a ledger without a charter"):
        verify_store(town.store)


def test_a_fork_on_record_stands_beside_the_entries_rightly(town: Town) -> None:
    here = head(town)
    forked = replace(here, root=OTHER)
    for note in (signed(here), signed(forked)):
        town.store.add_checkpoint(note)
    with pytest.raises(BadNote, match="a head of another history"):
        verify_store(town.store)
    evidence = fork_between(town.store.tree(), signed(here), signed(forked))
    assert evidence is not None
    town.store.add_evidence(evidence.kind, evidence.encoded())
    assert verify_store(town.store).size == 3
