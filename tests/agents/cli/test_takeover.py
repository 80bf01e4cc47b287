"""What `hansa ledger takeover` says while it waits, and how it ends."""

from collections.abc import Iterable
from typing import Any

import pytest

from hansa.agents.cli import takeover
from hansa.agents.errors import FederationError

TOLD: dict[str, Any] = {
    "keeper": "hub",
    "epoch": 0,
    "candidate": True,
    "new_epoch": 3,
    "needed": 2,
    "answered": ["east"],
    "agreed": [],
    "undecided": {},
    "refused": {},
    "silent": ["west"],
    "offers": {},
    "ended": "",
}


class Played:
    """Answers one thing after the other."""

    def __init__(self, answers: Iterable[dict[str, Any]]) -> None:
        self._answers = iter(answers)

    def __call__(self, order: object, timeout_s: float = 0.0) -> dict[str, Any]:
        try:
            return next(self._answers)
        except StopIteration:
            raise KeyboardInterrupt from None


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "POLL_S", 0.0)


def test_it_says_once_what_it_waits_for_and_ends_when_the_agent_keeps_the_ledger(
    capsys: pytest.CaptureFixture[str],
) -> None:
    proposed = TOLD | {
        "agreed": ["north"],
        "undecided": {"east": "no"},
        "refused": {"west": "late"},
        "silent": [],
    }
    done = TOLD | {"keeper": "north", "epoch": 3, "candidate": False}
    takeover._follow("north", Played([TOLD, proposed, done]), TOLD)
    assert capsys.readouterr().out.splitlines() == [
        "hub keeps the ledger, in epoch 0",
        "north wants to, in epoch 3: 0 of 2 have agreed",
        "  asks what the others hold of the ledger: 1 have answered",
        "  west: no answer yet",
        "hub keeps the ledger, in epoch 0",
        "north wants to, in epoch 3: 1 of 2 have agreed (north)",
        "  east: no",
        "    a person there may type: hansa ledger takeover --approve north",
        "  west will not, in this round: late",
        "north keeps the ledger, in epoch 3",
    ]


def test_after_a_ctrl_c_it_goes_on_in_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    takeover._follow("north", Played([]), TOLD)
    assert (
        "it goes on in the agent of north; to see how: hansa ledger takeover --status"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("ended", "said"), [("given up: enough", "given up: enough"), ("", "hub keeps the ledger")]
)
def test_an_attempt_that_has_ended_without_success_is_an_error(ended: str, said: str) -> None:
    with pytest.raises(FederationError, match=said):
        takeover._follow("north", Played([]), TOLD | {"candidate": False, "ended": ended})


def test_at_a_witness_it_says_who_wants_to_keep_the_ledger() -> None:
    told = TOLD | {"candidate": False, "silent": [], "offers": {"east": "heard\x1b"}, "ended": "given up"}
    assert takeover._lines("north", told) == [
        "hub keeps the ledger, in epoch 0",
        "north does not take over: given up",
        "east wants to keep the ledger; north has not agreed: heard\\x1b",
        "  to agree: hansa ledger takeover --approve east",
    ]


def test_abandoning_says_what_it_means_and_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = TOLD | {"candidate": False, "silent": []}
    asked: list[str] = []
    monkeypatch.setattr("click.confirm", lambda text, abort: asked.append(text))
    for yes in (False, True):
        takeover._abandon("west", Played([idle]), yes)
    assert asked == ["Abandon it?"]
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        takeover.WARNING,
        "hub keeps the ledger, in epoch 0",
        "west has set aside what is not final here, and may agree to another history",
    ]
