"""What a seed stands for never changes, and favours nobody."""

from collections import Counter
from hashlib import sha256

import pytest

from hansa.ledger.contribution import Game, Stream, partition
from hansa.ledger.contribution.stream import DOMAIN, WORDS

SEED = bytes(range(32))
LETTERS = "abcdefghij"


def test_a_seed_means_the_same_for_ever() -> None:
    stream = Stream(SEED, "permutation", 3)
    assert "".join(stream.shuffled(LETTERS)) == "bhjgaecidf"
    assert stream.below(10) == 6
    assert stream.subset(LETTERS) == frozenset("adefhj")
    assert partition(Game.of(2, LETTERS + "k"), SEED) == (
        ("c", "f", "h", "k"),
        ("a", "b", "d", "i"),
        ("e", "g", "j"),
    )


def test_words_are_those_of_sha256_over_domain_seed_label_number_and_counter() -> None:
    stream = Stream(SEED, "permutation", 3)
    prefix = DOMAIN + SEED + b"\x0bpermutation" + (3).to_bytes(8, "big")
    blocks = b"".join(sha256(prefix + counter.to_bytes(8, "big")).digest() for counter in range(2))
    assert b"".join(stream.word().to_bytes(8, "big") for _ in range(8)) == blocks


def test_seeds_labels_and_numbers_have_streams_of_their_own() -> None:
    streams = [
        Stream(SEED, "gtg", 1),
        Stream(SEED, "gtg", 2),
        Stream(SEED, "group", 1),
        Stream(SEED[::-1], "gtg", 1),
    ]
    assert len({stream.word() for stream in streams}) == 4


def test_all_orders_are_equally_likely() -> None:
    stream = Stream(SEED, "orders")
    counted = Counter(stream.shuffled("abc") for _ in range(3_000))
    assert len(counted) == 6
    assert all(abs(count - 500) < 100 for count in counted.values())  # over 4 standard deviations


def test_words_that_would_favour_small_numbers_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    words = iter([WORDS - 1, 7])  # 2^64 − 1 is a multiple of 3, and the only word beyond the last whole one
    monkeypatch.setattr(Stream, "word", lambda _: next(words))
    assert Stream(SEED, "below").below(3) == 1
    assert next(words, None) is None


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        Stream(SEED[:31], "gtg")
