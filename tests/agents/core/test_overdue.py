"""Messages that are lost although everybody follows the rules: nothing waits for them for ever."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.deliveries import FETCH_PAUSE_S, MOST_MAIL
from hansa.agents.core.journal import MemoryJournal
from hansa.agents.core.messages import LedgerAppend, LedgerFetch, LedgerHeld, SignedRow
from hansa.agents.core.outbox import EXPIRY_S
from hansa.agents.core.overdue import RESEND_S
from hansa.broker import Identity
from hansa.broker.inbox import LOOSE_S
from hansa.ledger import DatasetRegistered, LedgerStore, MemberAdmitted, MemberSuspended, Replica
from tests.agents.hall import NORTH, TOWN, Hall

AHEAD_S = 400.0


def admission(identity: Identity) -> MemberAdmitted:
    return MemberAdmitted(identity.name, identity.public.verify_key, identity.public.seal_key, "")


def dataset(name: str) -> DatasetRegistered:
    return DatasetRegistered(dataset=name, rows=3, columns=("a",), target="y", commitment=bytes(32))


@dataclass(slots=True)
class Town:
    """A keeper, and one member whose clock may be wrong."""

    hall: Hall
    north: Agent
    ahead_s: float = 0.0

    def go(self, seconds: int, *, north: bool = True) -> None:
        for _ in range(seconds):
            self.hall.agent.step()
            if north:
                self.north.step()
            self.hall.now_s += 1

    def agree(self) -> bool:
        return self.hall.agent.clerk.head == self.north.clerk.head

    def registered(self) -> set[str]:
        return {name for _, name in self.hall.standing.datasets}

    def letters(self) -> int:
        return self.hall.agent.outbox.unconfirmed("north")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    hall = Hall.found(tmp_path)
    hall.broker.declare("north")
    hall.agent.write(admission(NORTH))
    hall.settle()
    charter = next(hall.agent.clerk.store.read(0, 1))
    store = LedgerStore.open(f"sqlite:///{tmp_path / 'north.sqlite'}", create=True)
    Replica(store, charter.hash, TOWN).accept([charter])
    config = AgentConfig.model_validate(
        {
            "agent": {"name": "north", "roles": ["party"]},
            "federation": {"id": TOWN, "keeper": "guild", "charter": charter.hash.hex()},
        }
    )
    town = Town(hall, north=None)  # type: ignore[arg-type]  # it needs the town's clock, which follows
    town.north = Agent(
        identity=NORTH,
        config=config,
        journal=MemoryJournal(),
        files=MemoryFiles(),
        store=store,
        transport=hall.broker.connect("north"),
        executor=ThreadPoolExecutor(1),
        clock=lambda: hall.now_s + town.ahead_s,
    )
    yield town
    town.north.close()
    hall.close()


def test_a_member_that_was_away_until_its_mail_expired_asks_for_what_it_missed(town: Town) -> None:
    town.hall.agent.write(admission(Identity.generate("east")))
    town.hall.settle()
    town.hall.now_s += EXPIRY_S + 3_600
    town.go(5)
    assert (
        town.north.intake.refused["Expired"] == 4
    )  # each time entries, and the keeper's question for a name
    assert town.agree()
    assert town.north.intake.gaps(town.hall.now_s, 0.0) == ()


def test_what_a_wrong_clock_dated_is_refused_and_sent_again_once_it_is_right(town: Town) -> None:
    town.go(5)
    town.ahead_s = AHEAD_S
    town.north.write(dataset("ahead"))
    town.go(5)
    assert town.hall.agent.intake.refused == {"ClockSkew": 1}
    town.ahead_s = 0.0
    town.go(int(AHEAD_S + RESEND_S))
    assert town.registered() == {"ahead"}
    town.north.write(dataset("right"))
    town.go(5)
    assert town.registered() == {"ahead", "right"}
    assert town.agree()
    assert not town.north.clerk.waiting()


def test_an_entry_that_was_lost_goes_before_the_next_one_or_is_refused_by_its_reason(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.go(5)
    town.ahead_s = AHEAD_S
    town.north.write(dataset("ahead"))
    town.go(5)
    town.ahead_s = 0.0
    town.north.write(dataset("right"))
    town.go(5)
    assert town.registered() == {"right"}
    assert "north's clock is 39" in caplog.text
    assert not town.north.clerk.waiting()


def test_what_a_suspended_member_says_is_sent_again_when_it_is_reinstated(town: Town) -> None:
    town.go(5)
    town.hall.agent.write(MemberSuspended("north", "dues"))
    town.hall.settle()
    town.north.write(dataset("meanwhile"))
    town.go(5)
    assert town.hall.agent.intake.refused == {"SuspendedSender": 1}
    town.hall.agent.write(admission(NORTH))
    town.go(5)
    assert town.registered() == {"meanwhile"}
    assert town.agree()


def test_a_gap_that_nobody_closes_is_passed_over_between_keeper_and_member(town: Town) -> None:
    town.go(5)
    town.hall.agent.outbox._sequences = {
        stream: number + 1 for stream, number in town.hall.agent.outbox._sequences.items()
    }
    town.hall.agent.write(admission(Identity.generate("east")))
    town.go(5)
    assert not town.agree()
    town.go(int(LOOSE_S) + 5)
    assert town.agree()


def test_a_member_that_asks_again_and_again_is_answered_once_in_a_while(town: Town) -> None:
    town.go(5)
    clerk, sent = town.hall.agent.clerk, 0
    for _ in range(int(FETCH_PAUSE_S) - 3):
        town.north._post("ledger", "guild", LedgerFetch(0))
        town.north._post("ledger", "guild", LedgerHeld(0))  # says that it holds nothing, unasked
        town.north.step()
        town.hall.agent.step()
        sent += town.letters()
        town.north.step()
        town.hall.now_s += 1
    assert sent == 2  # the entries, and that these are all
    assert clerk.next_answer() is not None
    town.go(int(FETCH_PAUSE_S))
    assert clerk.next_answer() is None
    assert town.agree()


def test_a_member_that_must_go_back_further_is_answered_once_without_a_pause(town: Town) -> None:
    town.go(5)
    clerk = town.hall.agent.clerk
    for start, answered in ((2, True), (1, True), (0, False)):
        town.north._post("ledger", "guild", LedgerFetch(start))
        town.go(3)
        assert (clerk.next_answer() is None) == answered
    town.go(int(FETCH_PAUSE_S))
    assert clerk.next_answer() is None
    town.go(int(FETCH_PAUSE_S) + 1)
    for start in (1, 0):  # after a pause, once more
        town.north._post("ledger", "guild", LedgerFetch(start))
        town.go(3)
        assert clerk.next_answer() is None


def test_an_answer_that_is_due_survives_a_restart_of_the_keeper(town: Town) -> None:
    town.go(5)
    for _ in range(2):
        town.north._post("ledger", "guild", LedgerFetch(0))
        town.go(3)
    town.hall.restart()
    assert town.hall.agent.clerk.next_answer() is not None
    town.go(3)
    assert town.hall.agent.clerk.next_answer() is None


def test_a_member_that_never_reads_gets_no_more_than_a_little_and_then_all(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.go(5)
    monkeypatch.setattr("hansa.agents.core.deliveries.PUSH_ENTRIES", 1)
    for number in range(2 * MOST_MAIL):
        town.hall.agent.write(dataset(f"set-{number}"))
        town.go(1, north=False)
    assert town.letters() == MOST_MAIL
    town.go(10)
    assert town.agree()


def test_refusals_that_nobody_reads_are_not_kept_without_end(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.go(5)
    monkeypatch.setattr("hansa.agents.core.clerk.MOST_REFUSALS", 3)
    town.north._post("ledger", "guild", LedgerAppend((SignedRow(b"scribble", bytes(64)),) * 10))
    town.north.step()
    town.hall.agent.step()
    assert town.letters() == 3
