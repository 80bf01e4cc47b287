"""A roll call: everybody who is there answers, nobody too often, and what is no answer is passed over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import hansa
from hansa.agents.care.keeping import GoOn
from hansa.agents.core import rollcall
from hansa.agents.core.desk import Desk
from hansa.agents.core.herald import Listener
from hansa.agents.core.rollcall import MOST_CALLS, CallRoll, RollCall
from hansa.agents.errors import AgentError
from hansa.agents.service.office import Office
from hansa.broker import BrokerUnreachable, Health
from tests.agents.federations import found
from tests.agents.offices import office, order


@dataclass(slots=True)
class Ear:
    """Stands for herald and transport: it keeps who listens."""

    listeners: list[Listener] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)

    def listen(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def subscribe(self, pattern: str) -> None:
        self.patterns.append(pattern)

    def say(self, sender: str, kind: str, **fields: Any) -> None:
        for listener in self.listeners:
            listener(sender, kind, fields)


@dataclass(slots=True)
class Hall:
    """One agent's ear and voice, and a clock."""

    now_s: float = 100.0
    ear: Ear = field(default_factory=Ear)
    desk: Desk = field(init=False)
    roll: RollCall = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk("north", lambda: self.now_s, lambda *_: None, lambda *_: None)
        self.roll = RollCall(self.desk, self.ear, self.ear)  # type: ignore[arg-type]

    def said(self) -> list[tuple[str, Mapping[str, Any]]]:
        events, self.desk.events = self.desk.events, []
        return list(events)


def test_a_question_is_answered_with_version_and_time() -> None:
    hall = Hall()
    assert hall.ear.patterns == ["*.all.event"]
    hall.ear.say("east", "roll-call", call="c")
    assert hall.said() == [("here", {"call": "c", "version": hansa.__version__, "time_s": 100.0})]


def test_nobody_is_answered_more_than_once_a_second_and_we_do_not_answer_ourselves() -> None:
    hall = Hall()
    for _ in range(3):
        hall.ear.say("east", "roll-call", call="c")
    hall.ear.say("west", "roll-call", call="c")
    hall.ear.say("north", "roll-call", call="c")
    assert len(hall.said()) == 2
    hall.now_s += 1
    hall.ear.say("east", "roll-call", call="d")
    assert [fields["call"] for _, fields in hall.said()] == ["d"]


def test_answers_are_kept_by_member_with_what_their_clocks_are_ahead() -> None:
    hall = Hall()
    call = hall.roll.ask()
    assert hall.said() == [("roll-call", {"call": call})]
    hall.ear.say("east", "here", call=call, version="9.9", time_s=130.0)
    hall.ear.say("west", "here", call="another", version="9.9", time_s=130.0)
    assert hall.roll.answers(call) == {"east": {"version": "9.9", "ahead_s": 30.0}}
    assert hall.roll.answers("another") == {}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("roll-call", {}),
        ("roll-call", {"call": 7}),
        ("here", {"call": "c", "version": 1, "time_s": 1.0}),
        ("here", {"call": "c", "version": "1"}),
        ("round-closed", {"round": 3}),
    ],
)
def test_what_is_neither_question_nor_answer_is_passed_over(kind: str, fields: dict[str, Any]) -> None:
    hall = Hall()
    hall.ear.say("east", kind, **fields)
    assert hall.said() == []


def test_old_calls_make_room_for_new_ones() -> None:
    hall = Hall()
    calls = [hall.roll.ask() for _ in range(MOST_CALLS + 1)]
    for call in calls:
        hall.ear.say("east", "here", call=call, version="1", time_s=100.0)
    assert [bool(hall.roll.answers(call)) for call in calls] == [False] + MOST_CALLS * [True]


def test_the_order_waits_for_all_and_names_who_is_silent() -> None:
    with found() as federation:
        told = order(federation, "north", CallRoll(10.0))
        assert told["answers"].keys() == {"aggregator", "east", "west"}
        assert told["silent"] == []
        assert all(abs(each["ahead_s"]) < 5 for each in told["answers"].values())
    with found() as federation:
        federation.agents["west"].rollcall._answered_at["north"] = 1e12  # it has answered for a long time
        assert order(federation, "north", CallRoll(0.3))["silent"] == ["west"]


def test_who_is_not_connected_cannot_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollcall, "LONGEST_S", 0.1)
    with found() as federation:
        there = office(federation, "north")

        class Away:
            started, health_url = 0.0, ""

            def health(self) -> Health:
                return Health("connecting", BrokerUnreachable("no connection to hub:5672"))

        away = Office(there.home, there.agent, there.transport, Away())  # type: ignore[arg-type]
        with pytest.raises(AgentError, match="north has no connection to the broker: connecting: no conn"):
            CallRoll().carry_out(away)


def test_a_keeper_that_waits_for_nobody_says_so() -> None:
    with found() as federation, pytest.raises(AgentError, match="waits for nobody"):
        order(federation, "aggregator", GoOn(("west",)))
