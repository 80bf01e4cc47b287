"""What an agent looks after once a minute."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.agents.core.clerk import SESSION as LEDGER_SESSION
from hansa.agents.core.forgetting import CLOCKS_S
from hansa.agents.core.housekeeping import HOUSEKEEPING_S
from hansa.agents.core.outbox import EXPIRY_S
from hansa.broker.layout import DOOR_UNUSED_MS
from hansa.ledger import JobAborted, JobProposed
from tests.agents.hall import Hall


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall.found(tmp_path)
    yield hall
    hall.close()


def keep_house(hall: Hall, after_s: float) -> None:
    hall.now_s += after_s
    hall.settle()


def test_the_numbers_of_a_door_go_once_it_is_shut_and_its_letters_have_expired(hall: Hall) -> None:
    invite = hall.invite()
    hall.knock(invite)
    assert hall.answers(invite)
    assert invite.door in hall.agent.outbox.sessions()
    keep_house(hall, HOUSEKEEPING_S)
    assert invite.door in hall.agent.outbox.sessions()
    keep_house(hall, DOOR_UNUSED_MS / 1000 + 3_600.0)
    keep_house(hall, HOUSEKEEPING_S)
    assert invite.door in hall.agent.outbox.sessions()
    keep_house(hall, EXPIRY_S + CLOCKS_S)
    keep_house(hall, HOUSEKEEPING_S)
    assert invite.door not in hall.agent.outbox.sessions()


def test_a_job_that_is_called_as_the_ledgers_session_takes_no_number_of_that_with_it(hall: Hall) -> None:
    hall.knock(hall.invite(automatic=True))
    assert LEDGER_SESSION in hall.agent.outbox.sessions()
    hall.agent.write(
        JobProposed(
            job=LEDGER_SESSION, protocol="alignment", model="", settings={}, parties=("north",),
            dataset="loans", quorum=1, deadline_s=60.0, specification=bytes(32),
        )
    )  # fmt: skip
    hall.settle()
    hall.agent.write(JobAborted(job=LEDGER_SESSION, reason="never meant"))
    hall.settle()
    assert hall.standing.jobs[LEDGER_SESSION].status == "aborted"
    for wait in (HOUSEKEEPING_S, EXPIRY_S + CLOCKS_S, HOUSEKEEPING_S):
        keep_house(hall, wait)
    assert LEDGER_SESSION in hall.agent.outbox.sessions()
