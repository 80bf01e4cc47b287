"""The inbox: any order in, one order out, and nothing twice."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import (
    Accepted,
    Duplicate,
    Equivocation,
    Held,
    Inbox,
    Message,
    SeenRow,
    SequenceGap,
    StaleIncarnation,
    TooFarAhead,
)
from hansa.broker.envelope import CLOCK_SKEW_MS
from hansa.broker.inbox import HOLD_MESSAGES
from tests.broker.builders import message


def numbers(outcome: Accepted | Held | Duplicate) -> list[int]:
    """Return the numbers an offer has released."""
    return [each.header.sequence for each in outcome.released] if isinstance(outcome, Accepted) else []


def row(of: Message) -> SeenRow:
    """Return the row a journal keeps."""
    header = of.header
    return SeenRow(header.sender, header.incarnation, header.session, header.sequence, of.frame_digest)


@given(st.lists(st.integers(0, 30), max_size=200), st.randoms(use_true_random=False))
def test_whatever_the_order_each_message_is_released_once_in_its_turn(
    extra: list[int], shuffler: random.Random
) -> None:
    arrivals = [*range(31), *extra]
    shuffler.shuffle(arrivals)
    inbox, released = Inbox(), []
    for now, sequence in enumerate(arrivals):
        released += numbers(inbox.offer(message(sequence), float(now)))
    assert released == list(range(31))
    assert inbox.gaps(1e9, 0) == ()


@given(st.permutations(range(8)), st.integers(0, 8))
def test_a_restored_inbox_goes_on_as_the_old_one_would(order: list[int], crash_at: int) -> None:
    calm, crashing = Inbox(), Inbox()
    rows: list[SeenRow] = []
    held: dict[int, Message] = {}
    for position, sequence in enumerate(order):
        if position == crash_at:
            crashing = Inbox.restore(rows[::-1], held.values())
        expected = calm.offer(message(sequence), 0)
        outcome = crashing.offer(message(sequence), 0)
        assert outcome == expected
        if isinstance(outcome, Accepted):
            rows += map(row, outcome.released)
            for each in outcome.released:
                held.pop(each.header.sequence, None)
        else:
            held[sequence] = message(sequence)
    for sequence in range(8):
        assert crashing.offer(message(sequence), 0) == Duplicate()


def test_streams_do_not_wait_for_each_other() -> None:
    inbox = Inbox()
    assert inbox.offer(message(1), 0) == Held()
    for other in (message(0, sender="carol"), message(0, session="job-2")):
        assert numbers(inbox.offer(other, 0)) == [0]


def test_the_same_message_again_is_a_duplicate_held_or_released() -> None:
    inbox = Inbox()
    inbox.offer(message(0), 0)
    inbox.offer(message(2), 0)
    assert inbox.offer(message(0), 0) == Duplicate()
    assert inbox.offer(message(2), 0) == Duplicate()


@pytest.mark.parametrize("sequence", [0, 2])
def test_another_message_under_a_used_number_is_evidence(sequence: int) -> None:
    inbox = Inbox()
    inbox.offer(message(0), 0)
    inbox.offer(message(2), 0)
    with pytest.raises(
        Equivocation, match=f"alice signed two messages {sequence} in session 'job-1'"
    ) as caught:
        inbox.offer(message(sequence, "another"), 0)
    evidence = caught.value
    assert (evidence.sender, evidence.session, evidence.sequence) == ("alice", "job-1", sequence)
    assert evidence.first_digest == f"digest {sequence}".encode()
    assert evidence.second_digest == b"another"
    assert numbers(inbox.offer(message(1), 0)) == [1, 2]


def test_a_newer_incarnation_begins_again_and_ends_the_older() -> None:
    inbox = Inbox()
    inbox.offer(message(0, incarnation=1), 0)
    assert numbers(inbox.offer(message(0, incarnation=2), 0)) == [0]
    with pytest.raises(StaleIncarnation, match="alice is in incarnation 2, this is from 1"):
        inbox.offer(message(1, incarnation=1), 0)
    with pytest.raises(StaleIncarnation):
        inbox.offer(message(0, incarnation=1, session="job-2"), 0)
    assert inbox.offer(message(0, incarnation=1), 0) == Duplicate()
    assert numbers(inbox.offer(message(0, sender="carol", incarnation=1), 0)) == [0]


def test_a_held_message_of_a_newer_incarnation_ends_the_older_too() -> None:
    inbox = Inbox()
    assert inbox.offer(message(3, incarnation=2), 0) == Held()
    with pytest.raises(StaleIncarnation):
        inbox.offer(message(0, incarnation=1), 0)


def test_no_more_messages_are_held_than_allowed() -> None:
    inbox = Inbox(hold_messages=3)
    for sequence in (3, 2, 1):
        assert inbox.offer(message(sequence), 0) == Held()
    with pytest.raises(TooFarAhead, match="message 4 of alice while 0 is awaited; at most 3"):
        inbox.offer(message(4), 0)
    assert numbers(inbox.offer(message(0), 0)) == [0, 1, 2, 3]
    assert numbers(inbox.offer(message(4), 0)) == [4]


def test_no_more_bytes_are_held_than_allowed() -> None:
    inbox = Inbox(hold_bytes=10)
    inbox.offer(message(1, body=b"12345678"), 0)
    with pytest.raises(TooFarAhead, match="exceed 10 bytes"):
        inbox.offer(message(2, body=b"123"), 0)
    assert numbers(inbox.offer(message(0, body=bytes(100)), 0)) == [0, 1]  # in turn, no limit applies
    assert inbox.offer(message(3, body=b"1234567890"), 0) == Held()


def test_a_refused_offer_leaves_no_trace() -> None:
    inbox = Inbox(hold_messages=1)
    with pytest.raises(TooFarAhead):
        inbox.offer(message(5, incarnation=9), 0)
    assert numbers(inbox.offer(message(0, incarnation=1), 0)) == [0]


def test_a_gap_is_named_once_it_has_lasted() -> None:
    inbox = Inbox()
    inbox.offer(message(0), 0)
    assert inbox.gaps(100, 0) == ()
    inbox.offer(message(2), 10)
    inbox.offer(message(3), 15)
    assert inbox.gaps(19.9, 10) == ()
    assert inbox.gaps(20, 10) == (SequenceGap("alice", "job-1", 1, 10.0),)
    assert str(inbox.gaps(20, 10)[0]) == "message 1 of alice in session 'job-1' has been missing for 10 s"
    assert str(SequenceGap("alice", "", 1, 10.0)) == "message 1 of alice has been missing for 10 s"
    inbox.offer(message(1), 20)
    assert inbox.gaps(1_000, 10) == ()


def test_the_next_gap_starts_its_own_wait() -> None:
    inbox = Inbox()
    inbox.offer(message(1), 0)
    inbox.offer(message(3), 0)
    inbox.offer(message(0), 50)
    assert inbox.gaps(55, 10) == ()
    assert inbox.gaps(60, 10) == (SequenceGap("alice", "job-1", 2, 10.0),)


def test_after_a_restart_a_gap_waits_anew() -> None:
    inbox = Inbox.restore([], [message(1)])
    assert inbox.gaps(1_000, 10) == ()
    assert inbox.gaps(1_010, 10) == (SequenceGap("alice", "job-1", 0, 10.0),)


def test_a_forgotten_session_takes_no_memory_but_incarnations_stay() -> None:
    inbox = Inbox()
    inbox.offer(message(0, incarnation=2), 0)
    inbox.offer(message(0, incarnation=2, session="job-2"), 0)
    inbox.forget("job-1")
    assert numbers(inbox.offer(message(0, incarnation=2), 0)) == [0]
    assert inbox.offer(message(0, incarnation=2, session="job-2"), 0) == Duplicate()
    with pytest.raises(StaleIncarnation):
        inbox.offer(message(0, incarnation=1, session="job-3"), 0)


def test_a_journal_that_cannot_be_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="alice's 1 follows 0 others"):
        Inbox.restore([row(message(1))], [])
    with pytest.raises(ValueError, match="alice's 0 follows 1 others"):
        Inbox.restore([row(message(0)), row(message(0))], [])
    for held in ([message(0)], [message(2), message(2)]):
        with pytest.raises(ValueError, match="held with no gap"):
            Inbox.restore([], held)


# --- restored from a backup -----------------------------------------------------------------------------
SENT_MS = message(0).header.sent_at_ms
LATER_MS = SENT_MS + CLOCK_SKEW_MS + 1


def torn(hold_messages: int = HOLD_MESSAGES) -> Inbox:
    """Return the inbox of an agent that was restored when the messages below were sent, or else."""
    return Inbox(restored_ms=SENT_MS, hold_messages=hold_messages)


def test_a_gap_that_a_restoration_may_have_torn_is_passed_over_after_a_while() -> None:
    inbox = torn()
    inbox.offer(message(0), 0)
    for sequence in (4, 3, 7):
        assert inbox.offer(message(sequence), 10) == Held()
    assert inbox.next_skip(5) == 15
    assert inbox.skip(14.9, 5) == ()
    [skipped] = inbox.skip(15, 5)
    assert (skipped.gap, skipped.until) == (SequenceGap("alice", "job-1", 1, 5), 3)
    assert [each.header.sequence for each in skipped.released] == [3, 4]
    assert [each.until for each in inbox.skip(20, 5)] == [7]  # the next gap has waits of its own
    assert inbox.next_skip(5) is None
    assert numbers(inbox.offer(message(8), 20)) == [8]


def test_no_gap_is_passed_over_by_an_agent_that_was_never_restored() -> None:
    inbox = Inbox()
    inbox.offer(message(1), 0)
    assert inbox.next_skip(5) is None
    assert inbox.skip(1e9, 5) == ()


def test_what_was_passed_over_is_accepted_once_if_it_comes_after_all() -> None:
    inbox = torn()
    inbox.offer(message(5), 0)
    inbox.skip(5, 5)
    assert numbers(inbox.offer(message(2), 6)) == [2]
    assert inbox.offer(message(2), 6) == Duplicate()
    with pytest.raises(Equivocation):
        inbox.offer(message(2, "another"), 6)
    assert numbers(inbox.offer(message(6), 6)) == [6]


def test_a_stream_is_whole_again_once_something_sent_after_the_restoration_was_released() -> None:
    inbox = torn()
    inbox.offer(message(0, sent_at_ms=LATER_MS, expires_at_ms=LATER_MS + 1), 0)
    inbox.offer(message(2), 0)
    assert inbox.skip(1e9, 5) == ()
    assert len(inbox.gaps(1e9, 5)) == 1


def test_a_restored_inbox_takes_rows_with_gaps_and_another_does_not() -> None:
    rows = [row(message(sequence)) for sequence in (0, 4, 5)]
    inbox = Inbox.restore(rows, [message(8)], restored_ms=SENT_MS)
    assert inbox.offer(message(4), 0) == Duplicate()
    assert numbers(inbox.offer(message(6), 0)) == [6]
    assert inbox.skip(0, 0)[0].until == 8
    with pytest.raises(ValueError, match="follows"):
        Inbox.restore(rows, [])
    with pytest.raises(ValueError, match="follows"):
        Inbox.restore([rows[0], rows[0]], [], restored_ms=SENT_MS)


def test_a_wait_that_began_before_a_restart_begins_anew() -> None:
    inbox = Inbox.restore([], [message(3)], restored_ms=SENT_MS)
    assert inbox.next_skip(5) == 5
    assert inbox.skip(100, 5) == ()
    assert inbox.skip(105, 5)[0].until == 3


def test_how_far_a_peer_has_come_is_no_matter_to_a_restored_inbox_but_how_much_it_holds() -> None:
    inbox = torn(hold_messages=3)
    for sequence in (10_000, 2**62, 20_000):
        assert inbox.offer(message(sequence), 0) == Held()
    with pytest.raises(TooFarAhead, match="at most 3"):
        inbox.offer(message(30_000), 0)
    assert [each.until for now in (5, 10, 15) for each in inbox.skip(now, 5)] == [10_000, 20_000, 2**62]


def test_what_waits_in_a_peers_earlier_life_is_dropped_when_asked_for() -> None:
    inbox = Inbox()
    assert inbox.incarnation("alice") == -1
    inbox.offer(message(2, incarnation=1), 0)
    inbox.offer(message(2, sender="bob"), 0)
    inbox.offer(message(0, incarnation=2), 0)
    assert inbox.incarnation("alice") == 2
    assert inbox.drop_stale("alice") == (message(2, incarnation=1),)
    assert inbox.drop_stale("alice") == ()
    assert [gap.sender for gap in inbox.gaps(1e9, 0)] == ["bob"]
