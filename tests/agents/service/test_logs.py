"""What an agent's log looks like."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hansa.agents.core.tally import STEP_BOUNDS_S, Tally, log_event
from hansa.agents.service.logs import Form, printable, write_logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root, house = logging.getLogger(), logging.getLogger("hansa")
    before = root.handlers[:], root.level, house.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]
    house.setLevel(before[2])


def logged(form: Form, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    write_logs("north", form, level, stream)
    return stream


def test_a_text_line_has_time_level_and_message() -> None:
    stream = logged("text")
    logging.getLogger("hansa.daemon").warning("%s: not connected", "north")
    day, clock, level, *words = stream.getvalue().split()
    assert (len(day), clock[-1], level, words) == (10, "Z", "WARNING", ["north:", "not", "connected"])


def test_what_others_wrote_cannot_forge_a_line() -> None:
    stream = logged("text")
    logging.getLogger("hansa.agent").info("reason: %s", "a\n2026-01-01 00:00:00Z ERROR forged \x1b[2J")
    assert len(stream.getvalue().splitlines()) == 1
    assert printable("a\x1b\tö\n") == r"a\x1b\tö\n"


def test_a_json_line_has_the_events_own_fields() -> None:
    stream = logged("json")
    log_event("north", "job-over", {"job": "demo", "outcome": "finished", "reason": ""})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "hansa.agent",
        "agent": "north",
        "message": "north: job-over job=demo outcome=finished",
        "event": "job-over",
        "fields": {"job": "demo", "outcome": "finished", "reason": ""},
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_leaves_its_traceback(form: Form) -> None:
    stream = logged(form)
    try:
        raise MemoryError("no more")
    except MemoryError:
        logging.getLogger("hansa.daemon").critical("north: ends", exc_info=True)
    assert "MemoryError: no more" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_single_entries_and_other_libraries_are_quiet_unless_debugging() -> None:
    stream = logged("text")
    logging.getLogger("pika.adapters").info("chatter")
    log_event("north", "entry-chained", {"entry": "round-closed"})
    log_event("north", "message-refused", {"error": "BadSignature"})  # told in full where it was refused
    assert stream.getvalue() == ""
    stream = logged("text", "debug")
    log_event("north", "entry-chained", {"entry": "round-closed"})
    assert len(stream.getvalue().splitlines()) == 1


def test_steps_are_counted_by_how_long_they_took() -> None:
    tally = Tally()
    for seconds in (0.0005, 0.001, 0.5, 60.0):
        tally.stepped(seconds)
    assert tally.steps == [2, 0, 0, 0, 0, 0, 1, 0, 1]
    assert len(tally.steps) == len(STEP_BOUNDS_S) + 1
    assert tally.step_s == pytest.approx(60.5015)
