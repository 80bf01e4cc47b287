"""The heavy work: lists, matches, counts and answers."""

from typing import Any

import numpy as np
import pytest

from hansa.protocols.alignment import tasks
from hansa.protocols.alignment.curve import blind, raised
from hansa.protocols.alignment.job import SENTINELS
from hansa.protocols.alignment.lists import Block
from hansa.protocols.alignment.secret import private_key
from hansa.protocols.alignment.tasks import (
    FIRST_SENTINEL,
    PADDING,
    Answer,
    Pairing,
    Preparation,
    Prepared,
    Tags,
    Tally,
)
from hansa.protocols.errors import IdError, LocalProtocolError, PeerError
from hansa.protocols.model import Array
from hansa.protocols.workbench import IdsWorkbench, RowlessWorkbench
from tests.protocols.alignment.parts import ANN, BOB

SESSION, ONE, TWO = bytes(32), b"\x01" * 32, b"\x02" * 32


def prepared(texts: tuple[str, ...] = ANN, pad_to: int = 0, block: int = 64, secret: bytes = ONE) -> Prepared:
    return tasks.prepare(Preparation(SESSION, secret, pad_to, block), IdsWorkbench(texts, 2), 0)


def test_a_list_holds_rows_sentinels_and_padding_in_secret_order() -> None:
    made = prepared(pad_to=32, block=10)
    labels = made.labels.tolist()
    assert sorted(label for label in labels if label >= 0) == [0, 1, 2, 3, 4]
    assert sorted(label for label in labels if label < PADDING) == list(range(-1 - SENTINELS, -1))
    assert labels.count(PADDING) == 32 - 5 - SENTINELS
    assert [len(each) for each in made.digests] == [10, 10, 10, 2]
    assert labels != prepared(pad_to=32, secret=TWO).labels.tolist()
    assert labels == prepared(pad_to=32).labels.tolist()


@pytest.mark.parametrize(("pad_to", "size"), [(0, 21), (1, 21), (21, 21), (22, 22), (20, 40)])
def test_a_list_is_filled_up_to_a_multiple(pad_to: int, size: int) -> None:
    assert len(prepared(pad_to=pad_to).labels) == size


def test_ids_that_can_not_be_aligned_are_refused_by_row() -> None:
    with pytest.raises(IdError, match="row 3: the id is empty"):
        prepared(("Ada", " "))


def test_a_list_that_would_be_too_long_is_refused() -> None:
    with pytest.raises(IdError, match="a list of 67108862 points is longer than 33554432"):
        tasks.prepare(Preparation(SESSION, ONE, 2**26 - 2, 64), IdsWorkbench(ANN), 0)


def test_an_agent_without_ids_is_our_own_mistake() -> None:
    def no_model() -> Any:
        raise AssertionError

    with pytest.raises(LocalProtocolError, match="holds no ids"):
        tasks.prepare(Preparation(SESSION, ONE, 0, 64), RowlessWorkbench(no_model), 0)


def under_both(made: Prepared) -> Array:
    return raised(blind(np.concatenate(made.digests), private_key(ONE)), private_key(TWO))


def pairing(ours: Array, theirs: Array) -> Pairing:
    return Pairing(SESSION, ONE, prepared().labels, (Block(0, ours),), (Block(0, theirs),))


OURS = under_both(prepared())
THEIRS = under_both(prepared(BOB, secret=TWO))


def test_a_match_names_our_rows() -> None:
    matched = tasks.match(pairing(OURS, THEIRS), IdsWorkbench(()), 0)
    assert {ANN[row] for row in matched.rows} == {"Cid", "Eve"}
    assert matched.rows.dtype == np.int64
    assert len(matched.digest) == 32


def test_lists_with_nobody_in_common_match_in_nothing() -> None:
    matched = tasks.match(pairing(OURS, under_both(prepared(("Zoe",), secret=TWO))), IdsWorkbench(()), 0)
    assert matched.rows.shape == (0,)


def test_padding_that_is_found_elsewhere_is_nobodys_honest_work() -> None:
    labels = prepared().labels.copy()
    labels[labels == ANN.index("Eve")] = PADDING
    with pytest.raises(PeerError, match="the sentinels are not where we put them"):
        tasks.own_rows(labels, np.arange(len(labels)))


LABELS = prepared().labels
SENTINEL_PLACES = np.flatnonzero(LABELS <= FIRST_SENTINEL)
EVES = np.flatnonzero(LABELS == ANN.index("Eve"))
ADAS = np.flatnonzero(LABELS == ANN.index("Ada"))


def test_positions_become_rows_in_the_order_given_or_ascending() -> None:
    positions = np.concatenate([EVES, SENTINEL_PLACES, ADAS])
    assert tasks.settle(Answer(LABELS, positions, True), IdsWorkbench(()), 0).rows.tolist() == [4, 0]
    assert tasks.settle(Answer(LABELS, positions, False), IdsWorkbench(()), 0).rows.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (SENTINEL_PLACES.astype(np.int32), r"expected \(m,\) int64 positions"),
        (SENTINEL_PLACES.reshape(-1, 1), r"not \(16, 1\) int64"),
        (np.concatenate([SENTINEL_PLACES, [21]]), "outside our list of 21"),
        (np.concatenate([SENTINEL_PLACES, [-1]]), "outside our list of 21"),
        (np.concatenate([SENTINEL_PLACES, EVES, EVES]), "named twice"),
        (SENTINEL_PLACES[1:], "the sentinels are not where we put them"),
        (np.zeros(0, dtype=np.int64), "the sentinels are not where we put them"),
    ],
)
def test_an_answer_that_can_not_be_is_refused(positions: Array, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        tasks.settle(Answer(LABELS, positions, True), IdsWorkbench(()), 0)


def test_a_count_names_positions_and_the_number_of_ids() -> None:
    lists = tuple(Tags(name, (Block(0, each),)) for name, each in (("ann", OURS), ("bob", THEIRS)))
    counted = tasks.tally(Tally(lists, 2), IdsWorkbench(()), 0)
    assert counted.common == 2
    assert {int(LABELS[place]) for place in counted.positions[0] if LABELS[place] >= 0} == {2, 4}


def test_no_key_shows_in_a_repr() -> None:
    key = private_key(ONE)
    shown = repr(tasks.Exponents(OURS, key)) + repr(Preparation(SESSION, ONE, 0, 64))
    assert repr(key) not in shown
    assert repr(ONE) not in shown
    assert repr(ONE) not in repr(pairing(OURS, THEIRS))
