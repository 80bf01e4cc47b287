"""What other methods would have said follows from the values of all coalitions, and from the seed, alone."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from hansa.ledger import BadValue, CoalitionsValued
from hansa.ledger.contribution import Chosen, LeaveOneOut, Permutation, Shapley, measure_rounds
from hansa.ledger.contribution.comparison import compare, spearman
from tests.ledger.contribution.games import PLAYERS, ROWS, SEED

EVERY = tuple(range(2 ** len(PLAYERS)))
HOWS = (
    Chosen("leave-one-out", "score"),
    Chosen("permutation", "score", settings=(("permutations", 4),)),
    Chosen("gtg", "score", settings=(("cycles", 1),)),
    Chosen("group", "score"),
)


def worth(number: int, coalition: frozenset[str]) -> float:
    return sum(ROWS[name] for name in coalition) * number + ("riga" in coalition and "visby" in coalition)


def members(coalition: int) -> frozenset[str]:
    return frozenset(name for place, name in enumerate(PLAYERS) if coalition >> place & 1)


def valued(
    number: int, value: Callable[[int, frozenset[str]], float] = worth, coalitions: tuple[int, ...] = EVERY
) -> CoalitionsValued:
    """Return a round as a job measured exactly leaves it on the ledger."""
    return CoalitionsValued(
        "herring",
        number,
        PLAYERS,
        tuple(ROWS[name] for name in PLAYERS),
        coalitions,
        tuple(value(number, members(each)) for each in coalitions),
    )


def test_each_method_says_what_it_would_have_said_of_the_job() -> None:
    rounds = {number: PLAYERS for number in (1, 2)}
    found = {each.name: each for each in compare([valued(1), valued(2)], SEED, HOWS)}
    assert [*found] == ["shapley", "leave-one-out", "permutation", "gtg", "group", "volume"]
    for method in (Shapley(), LeaveOneOut(), Permutation(4)):
        alone = measure_rounds(method, rounds, worth, SEED)
        assert found[method.name].shares == alone.shares
        assert found[method.name].values == alone.evaluations
    assert {each.of for each in found.values()} == {2 * 2 ** len(PLAYERS)}
    assert found["volume"].values == 0
    assert sum(found["volume"].shares.values()) == sum(found["shapley"].shares.values())


def test_errors_are_parts_of_the_gain_and_exact_shapley_has_none() -> None:
    exact, volume = compare([valued(1)], SEED, [])
    assert exact.error == 0.0
    assert exact.rank == pytest.approx(1.0)
    gain = sum(exact.shares.values())
    worst = max(abs(exact.shares[name] - volume.shares[name]) for name in PLAYERS)
    assert volume.error == float(worst / gain) > 0
    assert volume.rank == pytest.approx(1.0)


def test_another_seed_draws_other_orders() -> None:
    how = [Chosen("permutation", "score", settings=(("paired", False), ("permutations", 1)))]
    pairs = [(a, b) for place, a in enumerate(PLAYERS) for b in PLAYERS[place + 1 :]]

    def crowded(number: int, coalition: frozenset[str]) -> float:
        return worth(number, coalition) - sum({*pair} <= coalition for pair in pairs) ** 2

    found = {
        tuple(compare([valued(1, crowded)], bytes([seed]) * 32, how)[1].shares.items()) for seed in range(4)
    }
    assert len(found) > 1


def test_players_of_a_round_that_others_missed_are_added_up_with_them() -> None:
    some = CoalitionsValued("herring", 2, ("riga", "visby"), (5, 20), (0, 1, 2, 3), (0.0, 1.0, 2.0, 3.0))
    exact = compare([valued(1), some], SEED, [])[0]
    alone = compare([valued(1)], SEED, [])[0]
    assert exact.shares == {
        **alone.shares,
        "riga": alone.shares["riga"] + 1,
        "visby": alone.shares["visby"] + 2,
    }


def test_a_job_without_all_values_can_not_be_compared() -> None:
    with pytest.raises(BadValue, match=r"round 1, .*there is no value"):
        compare([valued(1, coalitions=EVERY[:-2] + EVERY[-1:])], SEED, [])
    with pytest.raises(ValueError, match="no rounds"):
        compare([], SEED, [])
    with pytest.raises(ValueError, match="nothing was gained"):
        compare([valued(1, lambda *_: 1.0)], SEED, [])


@pytest.mark.parametrize(
    ("one", "other", "correlation"),
    [
        ([1, 2, 3], [10, 20, 21], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 1], [3, 2, 1], 0.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486832980505138),
        ([4, 3, 1, 2], [1, 2, 4, 3], -1.0),
    ],
)
def test_ranks_are_compared_and_equals_share_theirs(
    one: list[int], other: list[int], correlation: float
) -> None:
    assert spearman([*map(Fraction, one)], [*map(Fraction, other)]) == pytest.approx(correlation)
