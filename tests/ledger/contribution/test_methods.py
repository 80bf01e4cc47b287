"""Each method gives what its definition says, for as many values as it should take."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, permutations
from math import inf, sqrt

import pytest
from hypothesis import given

from hansa.ledger.contribution import (
    Banzhaf,
    Grouped,
    Guided,
    LeaveOneOut,
    Method,
    Permutation,
    SampledBanzhaf,
    Shapley,
    Stratified,
    Truncated,
    measure,
    measure_rounds,
    recomputed,
)
from hansa.ledger.contribution.gtg import circles
from hansa.ledger.contribution.walks import STRIDE
from tests.ledger.contribution.games import (
    EVERY,
    PLAYERS,
    ROWS,
    SEED,
    TABLES,
    Table,
    additive,
    shares,
    table,
)

ORDERS = tuple(permutations(PLAYERS))
UNEVEN = table(lambda coalition: 10.0 * len(coalition) ** 1.5 + 5 * ("riga" in coalition))
EXACT = shares(Shapley(), UNEVEN)


@given(TABLES)
def test_shapleys_value_is_the_mean_over_all_orders(game: Table) -> None:
    found = shares(Shapley(), game)
    for name in PLAYERS[:2]:
        added = [
            Fraction(game[frozenset(order[: order.index(name) + 1])])
            - Fraction(game[frozenset(order[: order.index(name)])])
            for order in ORDERS
        ]
        assert found[name] == sum(added) / len(ORDERS)


@given(TABLES)
def test_banzhafs_value_is_the_mean_over_all_coalitions_without_one(game: Table) -> None:
    found = shares(Banzhaf(), game)
    for name in PLAYERS:
        added = [Fraction(game[each | {name}] - game[each]) for each in EVERY if name not in each]
        assert found[name] == sum(added) / len(added)


@given(TABLES)
def test_leaving_one_out_shows_what_is_missing(game: Table) -> None:
    everybody = frozenset(PLAYERS)
    assert shares(LeaveOneOut(), game) == {
        name: game[everybody] - game[everybody - {name}] for name in PLAYERS
    }


@pytest.mark.parametrize(
    ("method", "evaluations"),
    [(LeaveOneOut(), 7), (Shapley(), 32), (Banzhaf(), 32), (Permutation(2), 10), (Grouped(ROWS), 2)],
)
def test_no_more_values_are_asked_for_than_it_takes(method: Method, evaluations: int) -> None:
    found = measure(method, PLAYERS, UNEVEN.__getitem__, SEED)
    assert found.evaluations == evaluations
    assert found.standard_errors == {} or isinstance(method, Permutation)


@pytest.mark.parametrize("method", [Shapley(), Banzhaf()])
def test_thirteen_players_are_too_many_for_an_exact_value(method: Method) -> None:
    with pytest.raises(
        ValueError, match=r"13 players have 2\^13 = 8,192 coalitions.*at most 12 .*permutation"
    ):
        measure(method, [f"p{number:02}" for number in range(13)], len, SEED)
    assert measure(method, ["alone"], len, SEED).shares == {"alone": 1}


@pytest.mark.parametrize(
    "method",
    [
        Permutation(400),
        Permutation(400, paired=False),
        Truncated(400, short=0.01),
        Guided(80, within=0.01),
        Stratified(80, ends=0),
    ],
)
def test_estimates_come_close_to_shapleys_value_within_their_standard_errors(method: Method) -> None:
    found = measure(method, PLAYERS, UNEVEN.__getitem__, SEED)
    for name, share in found.shares.items():
        assert abs(share - EXACT[name]) <= 4 * found.standard_errors[name] + 1e-9
        assert found.standard_errors[name] < 0.05 * found.gain


def test_the_sampled_banzhaf_value_comes_close_to_the_exact_one() -> None:
    exact, found = shares(Banzhaf(), UNEVEN), measure(SampledBanzhaf(2000), PLAYERS, UNEVEN.__getitem__, SEED)
    [outcome] = found.outcomes
    assert len(outcome.samples) == 2000
    for name, share in found.shares.items():
        assert sum(name in each for each in outcome.samples) == 1000
        assert abs(share - exact[name]) <= 4 * found.standard_errors[name]


def test_an_order_and_its_reverse_give_the_exact_value_of_a_game_of_pairs() -> None:
    game = table(lambda coalition: float(len(coalition) ** 2 + 3 * ("riga" in coalition)))
    found = measure(Permutation(2), PLAYERS, game.__getitem__, SEED)
    assert found.shares == shares(Shapley(), game)
    first, second = found.outcomes[0].permutations
    assert first == second[::-1]


def test_standard_errors_are_those_of_the_mean_over_orders() -> None:
    found = measure(Permutation(3, paired=False), PLAYERS, UNEVEN.__getitem__, SEED)
    [outcome] = found.outcomes
    for name in PLAYERS:
        added = [
            UNEVEN[frozenset(order[: order.index(name) + 1])] - UNEVEN[frozenset(order[: order.index(name)])]
            for order in outcome.permutations
        ]
        mean = sum(added) / 3
        spread = sqrt(sum((each - mean) ** 2 for each in added) / (3 * 2))
        assert found.shares[name] == pytest.approx(mean)
        assert found.standard_errors[name] == pytest.approx(spread)


def test_of_a_single_draw_no_standard_error_is_claimed() -> None:
    assert measure(Permutation(2), PLAYERS, UNEVEN.__getitem__, SEED).standard_errors == {}
    assert measure(Permutation(4), PLAYERS, UNEVEN.__getitem__, SEED).standard_errors != {}


def test_drawing_stops_once_standard_errors_are_small_enough() -> None:
    even = additive({name: float(len(name)) for name in PLAYERS})
    found = measure(Permutation(400, enough=0.01), PLAYERS, even, SEED)
    assert len(found.outcomes[0].permutations) == 2 * STRIDE
    wild = measure(Permutation(36, enough=1e-9), PLAYERS, UNEVEN.__getitem__, SEED)
    assert len(wild.outcomes[0].permutations) == 36
    assert not any(measure(Truncated(1, enough=0.5), PLAYERS, even, SEED).standard_errors)
    once = measure(Guided(50, enough=0.2), PLAYERS, UNEVEN.__getitem__, SEED)
    assert len(once.outcomes[0].permutations) == STRIDE * len(PLAYERS)


def test_a_circle_is_walked_both_ways_from_everybody_for_the_questions_of_one() -> None:
    found = measure(Guided(1, within=0.0, circles=True), PLAYERS, UNEVEN.__getitem__, SEED)
    [outcome] = found.outcomes
    count = len(PLAYERS)
    orders = outcome.permutations
    assert len(orders) == 2 * count
    assert all(order == other[::-1] for order, other in zip(orders[::2], orders[1::2], strict=True))
    for place in range(count):
        assert sorted(order[place] for order in orders) == sorted([*PLAYERS, *PLAYERS])
    assert found.evaluations == count * (count - 1) + 2
    many = measure(Guided(200, within=0.0, circles=True), PLAYERS, UNEVEN.__getitem__, SEED)
    assert recomputed(many) == many
    for name, share in many.shares.items():
        assert abs(share - EXACT[name]) <= 4 * many.standard_errors[name]


@pytest.mark.parametrize("count", range(1, 12))
def test_of_circles_everybody_is_everybodys_neighbour(count: int) -> None:
    names = [f"p{number:02}" for number in range(count)]
    found = circles(names)
    assert len(found) == max(count // 2, 1)
    assert all(sorted(each) == names for each in found)
    pairs = [frozenset(pair) for each in found for pair in zip(each, (*each[1:], each[0]), strict=True)]
    assert {pair for pair in pairs if len(pair) == 2} == {frozenset(pair) for pair in combinations(names, 2)}
    if count % 2 and count > 1:
        assert len(set(pairs)) == len(pairs)


def test_cycles_end_once_standard_errors_are_small_in_the_utilitys_unit() -> None:
    even = additive({name: float(len(name)) for name in PLAYERS})
    for around, orders in ((False, 5), (True, 10)):
        method = Guided(400, within=0.0, circles=around, error=0.5)
        [outcome] = measure(method, PLAYERS, even, SEED).outcomes
        assert len(outcome.permutations) == orders  # nothing varies
        spread = measure(method, PLAYERS, UNEVEN.__getitem__, SEED)
        assert orders < len(spread.outcomes[0].permutations) < 400 * orders
        assert max(spread.standard_errors.values()) <= 0.5
        assert len(measure(replace(method, cycles=1), PLAYERS, UNEVEN.__getitem__, SEED).standard_errors) == 5


def test_walks_that_end_early_ask_less_and_say_by_how_much_they_were_scaled() -> None:
    game = table(lambda coalition: 100 * (1 - 0.25 ** len(coalition)))
    whole = measure(Permutation(20, paired=False), PLAYERS, game.__getitem__, SEED)
    short = measure(Truncated(20, short=0.1), PLAYERS, game.__getitem__, SEED)
    assert short.evaluations < whole.evaluations
    assert short.outcomes[0].scale > 1
    assert short.unpaid == whole.unpaid == 0
    assert whole.outcomes[0].scale == 1


def test_where_nothing_is_gained_walks_go_to_the_end() -> None:
    game = table(lambda coalition: float(("riga" in coalition) - ("visby" in coalition)))
    found = shares(Truncated(short=0.9), game)
    assert found == {"bremen": 0, "danzig": 0, "lubeck": 0, "riga": 1, "visby": -1}


def test_guided_orders_let_everybody_come_first_once_a_cycle() -> None:
    [outcome] = measure(Guided(3), PLAYERS, UNEVEN.__getitem__, SEED).outcomes
    firsts = [order[0] for order in outcome.permutations]
    assert firsts == [*PLAYERS] * 3
    assert all(sorted(order) == list(PLAYERS) for order in outcome.permutations)
    assert len(set(outcome.permutations)) > 10


@given(TABLES)
def test_if_the_ends_are_all_there_is_means_by_size_give_shapleys_value(game: Table) -> None:
    found = measure(Stratified(ends=2), PLAYERS, game.__getitem__, SEED)
    assert found.shares == shares(Shapley(), game)
    assert found.standard_errors == {}
    assert found.outcomes[0].permutations == ()


def test_between_the_ends_everybody_is_in_equally_many_coalitions_of_a_size() -> None:
    names = [f"p{number}" for number in range(8)]
    found = measure(Stratified(2, ends=1), names, lambda each: float(len(each) ** 2), SEED)
    assert found.shares == dict.fromkeys(names, 8)
    first, second = found.outcomes[0].permutations[:8], found.outcomes[0].permutations[8:]
    assert all(
        sorted(order[place] for order in cycle) == names for cycle in (first, second) for place in range(8)
    )
    # one size at either end is complete, of five each cycle has eight
    assert found.evaluations <= 2 * (1 + 8) + 5 * 2 * 8


def test_rounds_that_were_asked_about_completely_add_nothing_to_the_standard_errors() -> None:
    rounds = {1: PLAYERS, 2: ("bremen", "visborg")}
    found = measure_rounds(Stratified(2, ends=1), rounds, lambda _, each: UNEVEN[each & {*PLAYERS}], SEED)
    drawn, whole = found.outcomes
    assert whole.variances == {}
    assert found.standard_errors == {
        **{name: sqrt(each) for name, each in drawn.variances.items()},
        "visborg": 0,
    }


def test_rounds_are_summed_and_parties_that_missed_one_get_nothing_of_it() -> None:
    rounds = {1: PLAYERS, 2: PLAYERS[:2]}
    found = measure_rounds(Shapley(), rounds, lambda number, each: number * len(each), SEED)
    assert found.shares == {"bremen": 3, "danzig": 3, "lubeck": 1, "riga": 1, "visby": 1}
    drawn = measure_rounds(Guided(4), rounds, lambda number, each: number * len(each) ** 2, SEED)
    parts = [each.variances for each in drawn.outcomes]
    assert drawn.standard_errors["bremen"] == pytest.approx(sqrt(sum(each["bremen"] for each in parts)))


def test_a_groups_value_is_shared_by_rows() -> None:
    names = [f"p{number}" for number in range(7)]
    rows = {name: 10 * (number + 1) for number, name in enumerate(names)}
    found = measure_rounds(Grouped(rows), {1: names, 2: names}, lambda _, each: float(len(each)), SEED)
    first, second = (each.groups for each in found.outcomes)
    assert sorted(map(len, first)) == [3, 4]
    assert first != second
    for outcome in found.outcomes:
        for group in outcome.groups:
            whole = sum(rows[name] for name in group)
            assert {name: outcome.shares[name] for name in group} == {
                name: Fraction(len(group) * rows[name], whole) for name in group
            }
    assert found.evaluations == 8  # v of nobody, of each group, of everybody, in two rounds


def test_a_steady_partition_is_the_jobs_and_depends_on_who_is_there() -> None:
    names = [f"p{number}" for number in range(9)]
    steady = Grouped(dict.fromkeys(names, 1), steady=True)
    rounds = {1: names, 2: names, 3: names[1:], 4: names, 5: names[1:]}
    found = measure_rounds(steady, rounds, lambda _, each: float(len(each)), SEED)
    first, second, third, fourth, fifth = (each.groups for each in found.outcomes)
    assert first == second == fourth
    assert third == fifth
    assert sorted(map(len, third)) == [4, 4]
    assert recomputed(found) == found


def test_groups_grow_where_there_would_be_too_many() -> None:
    names = [f"p{number:02}" for number in range(50)]
    found = measure(Grouped(dict.fromkeys(names, 1)), names, lambda each: float(len(each)), SEED)
    assert sorted(map(len, found.outcomes[0].groups)) == [5] * 10
    assert found.evaluations == 1024


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Permutation(0), "permutations: expected at least 2, got 0"),
    (lambda: Permutation(0, paired=False), "permutations: expected at least 1, got 0"),
    (lambda: Permutation(3), "pairs make an even number, not 3"),
    (lambda: Permutation(enough=1.0), r"enough: expected a part in \[0, 1\)"),
    (lambda: Truncated(0), "permutations"),
    (lambda: Truncated(short=float("nan")), "short"),
    (lambda: Truncated(enough=-0.1), "enough"),
    (lambda: Guided(0), "cycles"),
    (lambda: Guided(between=1), "between"),
    (lambda: Guided(within=-1), "within"),
    (lambda: Guided(enough=2), "enough"),
    (lambda: Guided(error=-1.0), "error: expected at least 0, got -1.0"),
    (lambda: Guided(error=inf), "error"),
    (lambda: Stratified(0), "cycles"),
    (lambda: Stratified(ends=-1), "ends"),
    (lambda: SampledBanzhaf(0), "samples"),
    (lambda: SampledBanzhaf(5), "even"),
    (lambda: Grouped(ROWS, least=2), "at least 3 members, not 2"),
    (lambda: Grouped({"riga": 0}), "at least 1 of riga, got 0"),
    (lambda: measure(Grouped(ROWS), ["riga", "visby"], len, SEED), "2 players are too few for a group of 3"),
    (
        lambda: measure(Grouped(ROWS), ["a", "riga", "visby"], len, SEED),
        "none of a, who took part in round 0",
    ),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_settings_out_of_range_are_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()
