"""What a job's file says of contributions and money, and what follows from the charter where it says nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from hansa.agents.core.messages import Setting
from hansa.agents.errors import ConfigError
from hansa.agents.jobs.jobfile import read_job
from hansa.agents.local import AGGREGATOR
from hansa.ledger import Standing
from tests.agents.federations import found
from tests.agents.jobs.test_jobfile import JOB, standing

ALIGNMENT = 'job = "aligned"\nprotocol = "alignment"\ndataset = "rows"\n'


@pytest.fixture(scope="module")
def registered() -> Standing:
    with found(journalled=False) as local:
        now = standing(local)
    now.datasets[AGGREGATOR, "agreed"] = now.datasets["east", "rows"]
    return now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.toml"


def under(now: Standing, contribution: str, utility: str = "score") -> Standing:
    """Return what a federation with such a charter knows."""
    there = now.copy()
    there._charter = replace(now.charter, contribution=contribution, utility=utility)  # type: ignore[arg-type]
    return there


def with_lines(*lines: str) -> str:
    return JOB.replace("[settings]", "\n".join([*lines, "[settings]"]))


def test_without_a_word_contributions_are_volumes_and_nothing_is_agreed_on_money(
    path: Path, registered: Standing
) -> None:
    path.write_text(JOB)
    spec = read_job(path, AGGREGATOR, registered)
    assert (spec.contribution, spec.payout) == ({}, {})


@pytest.mark.parametrize(
    ("lines", "own"),
    [
        (['contribution = "gtg"', 'validation = "agreed"'], {}),
        (['validation = "agreed"', "[contribution]", 'method = "gtg"', "cycles = 6"], {"cycles": 6}),
        (['validation = "agreed"', "[contribution]", 'method = "gtg"', "within = 0.01"], {"within": 0.01}),
    ],
)
def test_a_method_is_a_name_or_a_table_with_its_settings(
    path: Path, registered: Standing, lines: list[str], own: dict[str, Setting]
) -> None:
    path.write_text(with_lines(*lines))
    spec = read_job(path, AGGREGATOR, registered)
    assert spec.contribution == {"method": "gtg", "utility": "score", "validation": "agreed"} | own


def test_the_charter_says_how_where_the_file_does_not(path: Path, registered: Standing) -> None:
    now = under(registered, "shapley", "loss")
    path.write_text(with_lines('validation = "agreed"'))
    how = read_job(path, AGGREGATOR, now).contribution
    assert how == {"method": "shapley", "utility": "loss", "validation": "agreed"}
    path.write_text(with_lines('contribution = "volume"'))
    assert read_job(path, AGGREGATOR, now).contribution == {}
    path.write_text(ALIGNMENT)  # which values nothing
    assert read_job(path, AGGREGATOR, now).contribution == {}


def test_amounts_are_read_exactly(path: Path, registered: Standing) -> None:
    terms = ['pot = "100000.00"', 'price_per_row = "0.005"', 'cost_per_row = "0.000001"', 'currency = "EUR"']
    path.write_text(with_lines("[payout]", *terms))
    assert read_job(path, AGGREGATOR, registered).payout == {
        "currency": "EUR",
        "pot_minor": 10_000_000,
        "price_micros": 5_000,
        "cost_micros": 1,
    }
    path.write_text(with_lines("[payout]", "pot = 7", 'currency = "JPY"', "price_per_row = 2"))
    terms_of = read_job(path, AGGREGATOR, registered).payout
    assert terms_of == {"currency": "JPY", "pot_minor": 7, "price_micros": 2_000_000}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["contribution = 3"], "contribution: expected the name of a method, or a table"),
        (['contribution = ""'], "contribution.method: expected the name of a method"),
        (['contribution = "auction"'], "contribution: expected one of volume, "),
        (['contribution = "gtg"'], "validation: missing"),
        (["[contribution]", "cycles = 3"], "contribution.method: expected the name of a method"),
        (['contribution = "gtg"', 'validation = "rows"'], "aggregator has not registered 'rows'"),
        (
            ['validation = "agreed"', "[contribution]", 'method = "gtg"', "rounds = 3"],
            "rounds: gtg has no such setting",
        ),
        (
            ["[contribution]", 'method = "gtg"', 'validation = "agreed"'],
            "contribution.validation: unknown key; validation stands beside dataset",
        ),
        (
            ['validation = "agreed"', "[contribution]", 'method = "gtg"', 'utility = "loss"'],
            "by the charter models are valued by their score, not by their loss",
        ),
        (
            ["[contribution]", 'method = "volume"', "cycles = 3"],
            "contribution.cycles: volumes take no settings",
        ),
        (['validation = "agreed"'], "validation: of no use, since contributions are volumes"),
        (["[payout]", 'pot = "1.00"'], "payout.currency: missing"),
        (["[payout]", 'currency = "euro"', 'pot = "1.00"'], "payout.pot: payout.currency: expected three"),
        (["[payout]", 'currency = "euro"'], "payout.currency: expected three capitals"),
        (["[payout]", 'currency = "EUR"', 'pot = "1.005"'], "payout.pot: '1.005': EUR has 2 decimal places"),
        (["[payout]", 'currency = "EUR"', "pot = 1.5"], "payout.pot: expected an amount in quotes"),
        (["[payout]", 'currency = "EUR"', "price_per_row = true"], "expected an amount in quotes"),
        (["[payout]", 'currency = "EUR"', 'price_per_row = "0.0000001"'], "with at most 6 decimal places"),
        (["[payout]", 'currency = "EUR"', 'cost_per_row = "0"'], "payout.cost_per_row: expected more than 0"),
        (["[payout]", 'currency = "EUR"', 'prize = "1"'], "payout.prize: unknown key"),
    ],
)
def test_whatever_cant_be_agreed_on_is_one_clear_line(
    path: Path, registered: Standing, lines: list[str], message: str
) -> None:
    path.write_text(with_lines(*lines))
    with pytest.raises(ConfigError) as told:
        read_job(path, AGGREGATOR, registered)
    assert str(told.value).startswith(f"{path}: ")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_protocol_that_values_nothing_takes_no_method(path: Path, registered: Standing) -> None:
    path.write_text(ALIGNMENT + 'contribution = "shapley"\n')
    with pytest.raises(ConfigError, match="contribution: alignment values no coalitions"):
        read_job(path, AGGREGATOR, registered)


def test_groups_need_rounds_of_three(path: Path, registered: Standing) -> None:
    path.write_text(
        with_lines('contribution = "group"', 'validation = "agreed"').replace("rounds", "quorum = 2\nrounds")
    )
    with pytest.raises(ConfigError, match=r"a round may close with 2; raise settings\.quorum"):
        read_job(path, AGGREGATOR, registered)
    path.write_text(
        with_lines('contribution = "group"', 'validation = "agreed"', 'parties = ["east", "west"]')
    )
    with pytest.raises(ConfigError, match=r"groups are of 3 parties at least, and only 2 are invited$"):
        read_job(path, AGGREGATOR, registered)


def test_rows_of_other_columns_can_value_nothing(path: Path, registered: Standing) -> None:
    there = registered.copy()
    there.datasets[AGGREGATOR, "agreed"] = replace(registered.datasets["east", "rows"], columns=("a", "b"))
    path.write_text(with_lines('contribution = "gtg"', 'validation = "agreed"'))
    with pytest.raises(ConfigError, match="'agreed' has other columns than east has in 'rows'"):
        read_job(path, AGGREGATOR, there)


def test_what_the_ledgers_rules_refuse_is_refused_here_by_the_same_words(
    path: Path, registered: Standing
) -> None:
    there, crowd = registered.copy(), [f"town-{number}" for number in range(8)]
    there.members |= dict.fromkeys(crowd, registered.members["east"])
    there.datasets |= {(name, "rows"): registered.datasets["east", "rows"] for name in crowd}
    path.write_text(with_lines('contribution = "shapley"', 'validation = "agreed"'))
    with pytest.raises(ConfigError, match="10 parties"):
        read_job(path, AGGREGATOR, there)
    path.write_text(with_lines('contribution = "volume"'))
    assert len(read_job(path, AGGREGATOR, there).parties) == 11
