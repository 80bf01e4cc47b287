"""The attack on group averages recovers what is steady, and gets nowhere where groups are."""

import numpy as np
import pytest

from benchmarks import group_leak
from benchmarks.group_leak import FIRM, Prior, Watched, attack, solve, watch, weights
from benchmarks.report import Section

ROUNDS = 12


@pytest.fixture(scope="module")
def steady_steps() -> Watched:
    """Return a job in which every party sends the same update in each round, beside what all have in common."""
    generator = np.random.default_rng(3)
    own, common = generator.normal(size=(6, 20)), generator.normal(size=(ROUNDS, 1, 20))
    names = tuple(f"party-{number}" for number in range(6))
    return Watched(names, np.array([10.0, 20, 30, 40, 50, 60]), own + common, np.zeros(10))


def test_groups_drawn_anew_give_the_steady_part_of_every_update_away(steady_steps: Watched) -> None:
    errors = [attack(steady_steps, rounds, 0, steady=False).error for rounds in (1, 3, ROUNDS)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.7
    assert errors[-1] < 0.01


def test_one_partition_tells_no_more_in_the_last_round_than_in_the_first(steady_steps: Watched) -> None:
    first, last = (attack(steady_steps, rounds, 0, steady=True).error for rounds in (1, ROUNDS))
    assert last == pytest.approx(first, abs=1e-3)
    assert last > 0.7
    weighed = weights(steady_steps, ROUNDS, 0, steady=True)
    assert np.all(weighed == weighed[0])
    assert weighed.sum(axis=2) == pytest.approx(1)


def test_members_of_one_group_differ_by_their_rows_alone(steady_steps: Watched) -> None:
    weighed = weights(steady_steps, 1, 0, steady=True)
    seen = np.random.default_rng(1).normal(size=(1, 2, 20))
    estimates = solve(weighed, seen, Prior(4.0, 0.5, 0.0))
    for group in weighed[0] > 0:
        each = estimates[group] / steady_steps.rows[group][:, None]
        assert each == pytest.approx(np.broadcast_to(each[0], each.shape))


def test_who_holds_a_digit_has_most_of_its_rows_and_is_found_if_updates_are_seen_through() -> None:
    job = watch(6, 0, rounds=10)
    assert job.steps.shape == (10, 6, 650)
    assert job.averages.shape == (10, 650)
    anew, firm = (attack(job, 10, 0, steady=False, priors=each) for each in (group_leak.PRIORS, (FIRM,)))
    kept = attack(job, 10, 0, steady=True)
    assert anew.error < 0.5 < kept.error
    assert anew.found > kept.found
    assert anew.error <= firm.error < 0.6


def test_a_quick_run_measures_and_draws() -> None:
    section = group_leak.run(quick=True)
    assert isinstance(section, Section)
    [figure] = section.figures
    assert figure.png.startswith(b"\x89PNG")
    assert [row.name for row in section.rows] == [
        "6 parties, 1 round, groups drawn anew",
        "6 parties, 5 rounds, groups drawn anew",
        "6 parties, 5 rounds, drawn anew, a prior fixed beforehand",
    ]
