"""Masks: powers of the generator, from tables, each used once."""

import pytest

from hansa.protocols.crypto import masks
from hansa.protocols.crypto.errors import MasksExhausted, WrongKey
from hansa.protocols.crypto.keys import KeyKind, PublicKey
from hansa.protocols.crypto.masks import FreshMasks, MaskPool, MaskTable, best_window, mask_block, table_for
from hansa.protocols.crypto.stream import SeedStream
from tests.protocols.crypto.keyring import KINDS, masks_for, secret_key, seeded

SUBGROUP = secret_key(KeyKind.SUBGROUP).public
STANDARD = secret_key(KeyKind.STANDARD).public
SEED = bytes(range(32))


@pytest.mark.parametrize("window", [4, 5, 8, 11])
@pytest.mark.parametrize("public", [SUBGROUP, STANDARD], ids=["subgroup", "standard"])
def test_a_mask_is_the_generator_to_the_digits_that_were_drawn(public: PublicKey, window: int) -> None:
    count, table = 7, MaskTable(public, window)
    drawn = seeded("digits")(2 * count * len(table.rows))
    for index, mask in enumerate(table.masks(count, seeded("digits"))):
        exponent = 0
        for place in range(len(table.rows)):
            at = 2 * (index * len(table.rows) + place)
            width = min(window, public.randomness_bits - place * window)
            digit = int.from_bytes(drawn[at : at + 2], "little") % (1 << width)
            exponent += digit << (place * window)
        assert exponent < 1 << public.randomness_bits
        assert mask == pow(int(public.h_s), exponent, int(public.n_squared))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_encrypt_nothing_but_zero_and_differ(kind: KeyKind) -> None:
    secret = secret_key(kind)
    p, q, n = int(secret.p), int(secret.q), int(secret.public.n)
    made = masks_for(secret.public).take(20)
    assert len(set(made)) == 20
    assert all(pow(int(mask), (p - 1) * (q - 1), n * n) == 1 for mask in made)


def test_masks_drawn_in_several_batches_are_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "DRAWN_AT_ONCE", 3)
    made = MaskTable(SUBGROUP, 4).masks(8, seeded("batches"))
    assert len(set(made)) == len(made) == 8


@pytest.mark.parametrize("window", [3, 15])
def test_windows_out_of_range_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match="windows have 4 to 14 bits"):
        MaskTable(SUBGROUP, window)


def test_more_masks_ask_for_wider_windows_as_far_as_memory_allows() -> None:
    widths = [best_window(SUBGROUP, count) for count in (1, 100, 10_000, 1_000_000)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]
    assert best_window(SUBGROUP, 1_000_000, memory_bytes=1) == 4
    tight = 200_000
    assert masks.table_bytes(SUBGROUP, best_window(SUBGROUP, 1_000_000, memory_bytes=tight)) <= tight


def test_a_table_is_made_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_tables", {})
    first = table_for(SUBGROUP, 4)
    assert table_for(SUBGROUP, 4) is first
    table_for(SUBGROUP, 5)
    assert table_for(SUBGROUP, 4) is first  # used last, so it stays
    table_for(STANDARD, 4)
    assert table_for(SUBGROUP, 4) is first
    assert len(masks._tables) == masks.TABLES_KEPT
    assert "subgroup" in repr(first)


def test_a_block_from_a_worker_fills_the_pool_and_every_mask_leaves_it_once() -> None:
    pool = MaskPool(SUBGROUP)
    pool.put_block(mask_block(SUBGROUP.to_bytes(), 4, 5, SEED))
    assert len(pool) == 5
    taken = pool.take(2) + pool.take(3)
    assert len(set(taken)) == 5
    assert len(pool) == 0
    assert taken == table_for(SUBGROUP, 4).masks(5, SeedStream(SEED))
    assert "0 ready" in repr(pool)


def test_an_empty_pool_says_so_and_keeps_what_it_has() -> None:
    pool = MaskPool(SUBGROUP)
    ready = masks_for(SUBGROUP).take(2)
    pool.put(ready)
    with pytest.raises(MasksExhausted, match="3 masks wanted, 2 ready"):
        pool.take(3)
    assert pool.take(2) == ready


def test_a_pool_with_a_spare_source_makes_what_is_missing() -> None:
    pool = MaskPool(SUBGROUP, spare=FreshMasks(table_for(SUBGROUP, 4), seeded("spare")))
    pool.put(masks_for(SUBGROUP).take(1))
    assert len(set(pool.take(3))) == 3
    assert pool.take(0) == []


def test_a_torn_block_and_another_keys_are_refused() -> None:
    block = mask_block(SUBGROUP.to_bytes(), 4, 2, SEED)
    with pytest.raises(ValueError, match="no whole number of masks"):
        MaskPool(SUBGROUP).put_block(block[:-1])
    with pytest.raises(WrongKey, match="standard"):
        MaskPool(STANDARD).put_block(block)
    with pytest.raises(WrongKey, match="spare"):
        MaskPool(STANDARD, spare=masks_for(SUBGROUP))
