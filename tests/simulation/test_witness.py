"""Names under the ledger's heads, in whole federations. Under harm: `test_federation`."""

from hansa.agents.simulation import CALM, KEEPER, PARTIES, Harm, simulate
from tests.simulation.names import check_names


def test_in_calm_weather_what_came_of_the_job_is_final_at_everybodys() -> None:
    run = simulate(CALM)
    check_names(run)
    assert all(run.pledged[name] for name in PARTIES)
    assert run.final == dict.fromkeys((KEEPER, *PARTIES), len(run.entries[KEEPER]))


def test_a_minority_that_is_absent_holds_up_nothing() -> None:
    run = simulate(Harm(seed=1, crash=0.0, absent=("west",)))
    check_names(run)
    assert run.final[KEEPER] == len(run.entries[KEEPER])


def test_without_a_quorum_nothing_is_final() -> None:
    run = simulate(Harm(seed=1, crash=0.0, absent=("west", "east")))
    check_names(run)
    assert run.pledged["north"]
    assert run.final == {}
