"""A share of the fault table, at other instants each time; `python -m tests.faults` prints all of it."""

import random
from pathlib import Path

import pytest

from tests.faults import campaign
from tests.faults.campaign import Plan
from tests.faults.reckoning import Result, Tally
from tests.faults.table import document, markdown

SHARE = ("killed", "stopped", "alarm", "reset", "delivered twice", "quorum 2")


def plan(**changes: object) -> Plan:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    return Plan(**({"seed": seed, "times": 1, "stopped_s": 5.0} | changes))  # type: ignore[arg-type]


def holds(results: list[Result]) -> bool:
    """Print the table, and say whether it keeps the bar."""
    print(markdown(results))
    print(*(note for result in results for note in result.notes), sep="\n")
    return all(result.tally.clean and result.tally.ok > 0 for result in results)


def quietly(_: Result) -> None:
    """Say nothing while it runs."""


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_processes_broker_or_connections_break(tmp_path: Path) -> None:
    assert holds(campaign.on_one_node(tmp_path, plan(only=SHARE, kills=3), quietly))


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_a_node_of_three_is_lost(tmp_path: Path) -> None:
    assert holds(campaign.on_a_cluster(tmp_path, plan(), quietly))


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_a_database_restarts(tmp_path: Path) -> None:
    assert holds(campaign.on_postgresql(tmp_path, plan(), quietly))


def test_the_document_tells_seed_settings_and_every_instant() -> None:
    results = [
        Result("undisturbed", Tally(5, 5, 5), 1, ("finished",)),
        Result(
            "power cut", Tally(7, 6, 6, recovered=1), 2, ("finished", "aborted"), (1.0, 3.0), ("at noon",)
        ),
    ]
    text = document(results, Plan(seed=77, times=2, stopped_s=60.0), 3.0)
    assert "seed 77" in text
    assert "stopped for 60 s" in text
    assert "- power cut: at noon" in text
    ends = "finished × 1; aborted × 1"
    [row] = [line for line in text.splitlines() if line.startswith("| power cut")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "power cut",
        "2",
        "7",
        "6",
        "6",
        "0",
        "0",
        "1",
        "0",
        ends,
        "2.0 / 3.0 s",
    ]
    [total] = [line for line in text.splitlines() if line.startswith("| all")]
    assert total.split("|")[3].strip() == "12"
