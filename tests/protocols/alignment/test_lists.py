"""Lists on their way, block by block."""

import numpy as np
import pytest

from hansa.protocols.alignment.curve import hash_to_curve
from hansa.protocols.alignment.lists import (
    AHEAD,
    Block,
    Incoming,
    Outgoing,
    blocks_of,
    length_of,
    pending,
    whole,
)
from hansa.protocols.errors import PeerError
from hansa.protocols.model import Array


def points(count: int, start: int = 0) -> Array:
    raw = b"".join(hash_to_curve(number.to_bytes(32, "little")) for number in range(start, start + count))
    return np.frombuffer(raw, dtype=np.uint8).reshape(count, 32)


def test_a_list_is_cut_into_blocks_of_one_length_the_last_excepted() -> None:
    assert [length_of(10, 4, index) for index in range(blocks_of(10, 4))] == [4, 4, 2]
    assert [length_of(8, 4, index) for index in range(blocks_of(8, 4))] == [4, 4]


def test_blocks_are_put_in_order() -> None:
    all_points = points(5)
    blocks = (Block(1, all_points[2:4]), Block(2, all_points[4:]), Block(0, all_points[:2]))
    assert np.array_equal(whole(blocks), all_points)


def test_blocks_may_overtake_each_other() -> None:
    incoming = Incoming("bob").accept("cat", 6, 1, points(2, 4), 4).accept("cat", 6, 0, points(4), 4)
    assert (incoming.size, incoming.arrived, incoming.missing()) == (6, (1, 0), (0, 1))
    assert incoming.busy()
    assert not incoming.complete(4)
    done = incoming.finish(0).finish(1)
    assert done.complete(4)
    assert not done.busy()


@pytest.mark.parametrize(
    ("size", "index", "count", "message"),
    [
        (0, 0, 4, "which has 0 points; a list has 1 to"),
        (2**25 + 1, 0, 4, "a list has 1 to 33554432"),
        (7, 1, 3, "which has 7 points now and had 6"),
        (6, 2, 4, "cat sent block 2 of bob's list, which has 2"),
        (6, -1, 4, "cat sent block -1"),
        (6, 0, 4, "cat sent block 0 of bob's list twice"),
        (6, 1, 3, r"expected \(2, 32\) uint8, not \(3, 32\)"),
    ],
)
def test_a_block_that_can_not_be_is_refused_with_sender_and_owner(
    size: int, index: int, count: int, message: str
) -> None:
    incoming = Incoming("bob").accept("cat", 6, 0, points(4), 4)
    with pytest.raises(PeerError, match=message):
        incoming.accept("cat", size, index, points(count), 4)


def test_our_own_blocks_are_made_a_few_at_a_time() -> None:
    digests = tuple(points(1, number) for number in range(AHEAD + 2))
    mine, chosen = Outgoing(np.arange(AHEAD + 2), digests).begin()
    assert [block.index for block in chosen] == list(range(AHEAD))
    assert mine.begin()[1] == ()
    mine, chosen = mine.finish(5).begin()
    assert [block.index for block in chosen] == [AHEAD]
    assert mine.missing() == (*range(5), *range(6, AHEAD + 1))
    while not mine.complete():
        assert mine.busy()
        mine, _ = mine.finish(mine.missing()[-1]).begin()
    assert mine.size == AHEAD + 2
    assert sorted(mine.done) == list(range(AHEAD + 2))


def test_a_task_tells_its_block() -> None:
    assert pending("raise/7", "raise", (3, 7)) == 7
    assert pending("raise/7", "raise", (3,)) is None
    assert pending("blind/7", "raise", (7,)) is None
    assert pending("raise/x", "raise", (7,)) is None
