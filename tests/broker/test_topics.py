"""Topics: AMQP's rules, checked against a slow and simple oracle."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import BadName, check_pattern, matches, parse_key, routing_key
from hansa.broker.topics import TRAFFICS, Traffic

WORDS = st.sampled_from(["a", "b", "ab", "control"])
KEYS = st.lists(WORDS, max_size=6).map(".".join)
PATTERNS = st.lists(WORDS | st.sampled_from(["*", "#"]), min_size=1, max_size=6).map(".".join)


def oracle(pattern: str, key: str) -> bool:
    """Match with a regular expression over words, each closed by a dot."""
    parts = {"*": r"[^.]+\.", "#": r"(?:[^.]+\.)*"}
    expression = "".join(parts.get(word, re.escape(word) + r"\.") for word in pattern.split("."))
    return re.fullmatch(expression, f"{key}." if key else "") is not None


@given(PATTERNS, KEYS)
def test_matching_agrees_with_a_regular_expression(pattern: str, key: str) -> None:
    assert matches(pattern, key) == oracle(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("a.#", "a", True),
        ("#.a", "a", True),
        ("#", "", True),
        ("*", "", False),
        ("a.#.b", "a.b", True),
        ("#.#", "a", True),
        ("a.*", "a", False),
        ("*.bob.control", "alice.bob.control", True),
        ("*.bob.control", "alice.bob.data", False),
        ("a.b.#", "b.#", False),
    ],
)
def test_hash_stands_for_no_word_too_and_star_for_exactly_one(pattern: str, key: str, expected: bool) -> None:
    assert matches(pattern, key) is expected


def test_many_wildcards_cost_no_more_than_few() -> None:
    assert not matches("#.a." * 40 + "b", "a." * 60 + "c")


@pytest.mark.parametrize("pattern", ["#", "*", "a.*.#", "alice.all.event"])
def test_patterns_of_whole_words_are_fine(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "a..b", ".a", "a.", "a*", "##", "x#.b", "a" * 256])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"empty word|whole words|at most 255"):
        check_pattern(pattern)


@pytest.mark.parametrize("traffic", TRAFFICS)
def test_a_routing_key_names_sender_recipient_and_traffic(traffic: Traffic) -> None:
    recipient = "all" if traffic == "event" else "bob"
    key = routing_key("alice", recipient, traffic)
    assert key == f"alice.{recipient}.{traffic}"
    assert parse_key(key) == ("alice", recipient, traffic)


@pytest.mark.parametrize(
    ("sender", "recipient", "traffic"),
    [("alice", "bob", "event"), ("alice", "all", "control"), ("alice", "all", "data")],
)
def test_events_and_only_events_go_to_everybody(sender: str, recipient: str, traffic: Traffic) -> None:
    with pytest.raises(ValueError, match="events, and only events"):
        routing_key(sender, recipient, traffic)


@pytest.mark.parametrize(
    ("sender", "recipient"), [("a.b", "bob"), ("all", "bob"), ("alice", "b*"), ("alice", "")]
)
def test_a_name_cannot_change_the_shape_of_a_key(sender: str, recipient: str) -> None:
    with pytest.raises(BadName):
        routing_key(sender, recipient, "control")


@pytest.mark.parametrize(
    "key", ["", "alice", "alice.bob", "alice.bob.control.x", "alice.bob.mail", "#.bob.data"]
)
def test_what_is_no_routing_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"routing keys are|names are"):
        parse_key(key)
