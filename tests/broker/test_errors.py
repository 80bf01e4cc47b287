"""The error tree: drawn as it is."""

import inspect
import re

import hansa.broker as broker
from hansa.broker import BrokerError, Equivocation, MalformedMessage, errors


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([ │├└─]*)([A-Z]\w+)(?:  | \(|$)", line)
        if found and line.startswith("    "):
            indent = len(found[1])
            above = [(depth, name) for depth, name in above if depth < indent]
            if above:
                drawn[found[2]] = above[-1][1]
            above.append((indent, found[2]))
    real = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, BrokerError) and cls is not BrokerError
    }
    assert drawn == real


def test_every_error_is_offered_by_the_room() -> None:
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        assert getattr(broker, name) is cls


def test_a_malformed_message_says_where() -> None:
    error = MalformedMessage("expected int, got str").under("1").under("rows")
    assert str(error) == "rows.1: expected int, got str"
    assert str(MalformedMessage("expected int, got str")) == "expected int, got str"
    assert error.reason == "MalformedMessage"


def test_equivocation_names_what_it_compares_in_short() -> None:
    text = str(Equivocation("alice", "job-1", 3, b"\x0a" * 32, b"\x0b" * 32))
    assert text == "alice signed two messages 3 in session 'job-1': 0a0a0a0a0a0a0a0a and 0b0b0b0b0b0b0b0b"
