"""Ids of any text, and what is refused of them."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.alignment.ids import id_digests, normalised, sentinel_digests
from hansa.protocols.errors import IdError

SESSION = bytes(32)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  A-17\t", "A-17"),
        ("Zoe\u0301", "Zo\u00e9"),
        (" \u00a0Zo\u00e9\u2003", "Zo\u00e9"),
        ("007", "007"),
        ("a b", "a b"),
        ("\u212b", "\u00c5"),
    ],
)
def test_ids_are_trimmed_and_composed(text: str, expected: str) -> None:
    assert normalised(text) == expected


@given(TEXT)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@given(st.lists(TEXT.filter(lambda text: normalised(text) != ""), min_size=1, unique_by=normalised))
def test_equal_ids_have_equal_digests_and_others_have_others(texts: list[str]) -> None:
    digests = id_digests(texts, SESSION)
    assert digests.shape == (len(texts), 32)
    assert len({each.tobytes() for each in digests}) == len(texts)
    assert np.array_equal(id_digests([f" {text}\n" for text in texts], SESSION), digests)


def test_another_session_has_other_digests() -> None:
    assert not np.array_equal(id_digests(["Ada"], SESSION), id_digests(["Ada"], b"\x01" * 32))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "there are no ids to align"),
        (["Ada", "", "Bea"], "row 3: the id is empty"),
        (["Ada", " \t", "Bea"], "row 3: the id is empty"),
        (["Ada", "Bea", "Ada "], "row 4: its id stands in row 2 too, once both are normalised"),
        (["Zo\u00e9", "Zoe\u0301"], "row 3: its id stands in row 2 too"),
        (["Ada", "\ud800"], "row 3: the id is no valid Unicode text"),
    ],
)
def test_ids_that_can_not_be_aligned_are_refused_by_row_and_never_quoted(
    texts: list[str], message: str
) -> None:
    with pytest.raises(IdError, match=f"^{message}") as caught:
        id_digests(texts, SESSION, first_row=2)
    assert "Ada" not in str(caught.value)
    assert "Zo" not in str(caught.value)


def test_sentinels_are_the_same_for_all_and_nobodys_id() -> None:
    sentinels = sentinel_digests(SESSION, 16)
    assert np.array_equal(sentinels, sentinel_digests(SESSION, 16))
    assert len({each.tobytes() for each in sentinels}) == 16
    assert not np.array_equal(sentinels, sentinel_digests(b"\x01" * 32, 16))
    ids = id_digests([str(number) for number in range(16)], SESSION)
    assert not {each.tobytes() for each in ids} & {each.tobytes() for each in sentinels}


def test_the_digest_is_sha256_of_domain_session_and_text() -> None:
    # Another digest would be another protocol: peers of different versions would find nothing in common.
    expected = hashlib.sha256(b"hansa/alignment/id/1\x00" + SESSION + "Zo\u00e9".encode()).digest()
    assert id_digests(["Zoe\u0301"], SESSION).tobytes() == expected
