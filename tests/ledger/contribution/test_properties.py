"""Every property that is claimed holds on random games; every other one is false on some game."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger.contribution import (
    PROPERTIES,
    Guided,
    Method,
    measure_rounds,
)
from tests.ledger.contribution.games import (
    METHODS,
    PLAYERS,
    SEED,
    TABLES,
    Table,
    gain,
    name_of,
    shares,
    table,
)

ALL: tuple[Method | str, ...] = ("volume", *METHODS)
SEEDS = st.binary(min_size=32, max_size=32)
ONE, OTHER = "danzig", "riga"  # the twins, or the player that adds nothing
SOME_SEEDS = [bytes([number]) * 32 for number in range(20)]
FEW = settings(max_examples=12)


def having(name: str) -> list[Method | str]:
    return [each for each in ALL if getattr(PROPERTIES[name_of(each)], name)]


def lacking(name: str) -> list[Method | str]:
    return [each for each in ALL if not getattr(PROPERTIES[name_of(each)], name)]


def label(method: Method | str) -> str:
    return name_of(method)


def with_twins(game: Table) -> Table:
    """Let two players be worth the same to everybody: what counts is how many of them are there."""
    return table(
        lambda coalition: (
            game[(coalition - {ONE, OTHER}) | {ONE}]
            if OTHER in coalition and ONE not in coalition
            else game[coalition]
        )
    )


def without_effect(game: Table) -> Table:
    """Let a player add nothing to anybody."""
    return table(lambda coalition: game[coalition - {ONE}])


def mixed(one: Table, other: Table, a: int, b: int) -> Table:
    return table(lambda coalition: a * one[coalition] + b * other[coalition])


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    assert set(PROPERTIES) == {name_of(each) for each in ALL}


@pytest.mark.parametrize("method", having("efficiency"), ids=label)
@FEW
@given(game=TABLES, seed=SEEDS)
def test_efficient_shares_sum_to_the_gain(method: Method | str, game: Table, seed: bytes) -> None:
    assert sum(shares(method, game, seed).values()) == gain(game)


@pytest.mark.parametrize("method", having("symmetry"), ids=label)
@FEW
@given(game=TABLES, seed=SEEDS)
def test_symmetric_shares_are_the_same_for_twins(method: Method | str, game: Table, seed: bytes) -> None:
    got = shares(method, with_twins(game), seed)
    assert got[ONE] == got[OTHER]


@pytest.mark.parametrize("method", having("null_player"), ids=label)
@FEW
@given(game=TABLES, seed=SEEDS)
def test_who_adds_nothing_gets_nothing(method: Method | str, game: Table, seed: bytes) -> None:
    assert shares(method, without_effect(game), seed)[ONE] == 0


@pytest.mark.parametrize("method", having("linearity"), ids=label)
@FEW
@given(one=TABLES, other=TABLES, a=st.integers(-9, 9), b=st.integers(-9, 9), seed=SEEDS)
def test_linear_shares_of_a_mixture_are_mixed(
    method: Method | str, one: Table, other: Table, a: int, b: int, seed: bytes
) -> None:
    first, second = shares(method, one, seed), shares(method, other, seed)
    expected = {name: a * first[name] + b * second[name] for name in PLAYERS}
    assert shares(method, mixed(one, other, a, b), seed) == expected


# What is not claimed is false: a game for each.

SOLO = table(lambda coalition: 60.0 * ("bremen" in coalition))
CROWD = table(lambda coalition: 12.0 * len(coalition))
ONE_OF_MANY = table(lambda coalition: 60.0 * (len(coalition) >= 1))


@pytest.mark.parametrize(
    "method", [each for each in lacking("efficiency") if label(each) != "gtg"], ids=label
)
def test_who_is_not_called_efficient_is_not(method: Method | str) -> None:
    assert sum(shares(method, ONE_OF_MANY).values()) != gain(ONE_OF_MANY)


def test_gtg_pays_nobody_for_a_round_that_it_skips() -> None:
    gains = {1: 100.0, 2: 1.0}
    found = measure_rounds(
        Guided(between=0.05),
        {1: PLAYERS, 2: PLAYERS},
        lambda number, coalition: gains[number] * len(coalition) / len(PLAYERS),
        SEED,
    )
    assert [each.skipped for each in found.outcomes] == [False, True]
    assert sum(found.shares.values()) == 100
    assert found.gain == 101
    assert found.unpaid == 1
    assert "gtg" in map(label, lacking("efficiency"))


@pytest.mark.parametrize("method", lacking("symmetry"), ids=label)
def test_who_is_not_called_symmetric_is_not(method: Method | str) -> None:
    # With some seed one twin is luckier in what is drawn; volume looks at rows alone.
    game = with_twins(table(lambda each: float(len(each) ** 3 + 7 * ("visby" in each))))
    drawn = [shares(method, game, seed) for seed in SOME_SEEDS]
    assert any(got[ONE] != got[OTHER] for got in drawn)


@pytest.mark.parametrize("method", lacking("null_player"), ids=label)
def test_who_is_not_said_to_pay_nothing_for_nothing_does_pay(method: Method | str) -> None:
    assert any(shares(method, SOLO, seed)[ONE] != 0 for seed in SOME_SEEDS)


@pytest.mark.parametrize("method", lacking("linearity"), ids=label)
def test_who_is_not_called_linear_is_not(method: Method | str) -> None:
    both = mixed(SOLO, CROWD, 10, 1)
    first, second, together = (shares(method, each) for each in (SOLO, CROWD, both))
    assert together != {name: 10 * first[name] + second[name] for name in PLAYERS}


def test_every_claim_that_is_missing_has_its_counterexample() -> None:
    names = ("efficiency", "symmetry", "null_player", "linearity")
    assert {name: sorted({label(each) for each in lacking(name)}) for name in names} == {
        "efficiency": ["banzhaf", "banzhaf-sampled", "gtg", "leave-one-out"],
        "symmetry": ["banzhaf-sampled", "group", "gtg", "permutation", "stratified", "truncated", "volume"],
        "null_player": ["banzhaf-sampled", "group", "stratified", "volume"],
        "linearity": ["gtg", "truncated"],
    }
