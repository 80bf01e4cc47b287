"""Questions come in batches, each once; answers that cannot be right are refused; anybody can recompute."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import pytest

from hansa.ledger import BadValue
from hansa.ledger.contribution import (
    Guided,
    LeaveOneOut,
    Method,
    Permutation,
    Question,
    Shapley,
    Truncated,
    answered,
    begin,
    measure,
    measure_rounds,
    recomputed,
)
from tests.ledger.contribution.games import METHODS, PLAYERS, SEED, asked, name_of

ROUNDS = {2: PLAYERS[1:], 1: PLAYERS}


def worth(number: int, coalition: frozenset[str]) -> float:
    return sum(len(name) ** 2 for name in coalition) / number - len(coalition) ** 2


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_no_question_is_asked_twice_but_the_last_which_is_a_check(method: Method) -> None:
    value, questions = asked(lambda coalition: worth(1, coalition))
    found = measure(method, PLAYERS, value, SEED)
    assert questions.pop() == frozenset(PLAYERS)
    assert len(questions) == len(set(questions)) == found.evaluations
    assert {each.coalition for each in found.values} == set(questions)


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_anybody_recomputes_the_same_from_the_values(method: Method) -> None:
    found = measure_rounds(method, ROUNDS, worth, SEED)
    assert [each.game.round for each in found.outcomes] == [1, 2]
    assert recomputed(found) == found
    assert measure_rounds(method, dict(sorted(ROUNDS.items())), worth, SEED) == found


def test_a_share_that_was_changed_is_found_by_recomputing() -> None:
    found = measure(Shapley(), PLAYERS, lambda each: worth(1, each), SEED)
    [outcome] = found.outcomes
    raised = replace(outcome, shares={**outcome.shares, "riga": outcome.shares["riga"] + 1})
    changed = replace(found, outcomes=(raised,))
    assert recomputed(changed) == found != changed
    lacking = replace(found, values=dict(list(found.values.items())[:-2]))
    with pytest.raises(BadValue, match=r"round 0.*there is no value"):
        recomputed(lacking)


@pytest.mark.parametrize(
    ("method", "sizes"),
    [(Shapley(), [4, 2**5 - 2, 2**4 - 2]), (LeaveOneOut(), [4, 5 + 4]), (Guided(between=0.9), [4])],
)
def test_what_does_not_depend_on_other_answers_is_asked_at_once(method: Method, sizes: list[int]) -> None:
    batches: list[int] = []

    def answer(batch: tuple[Question, ...]) -> dict[Question, float]:
        batches.append(len(batch))
        return {each: worth(each.round, each.coalition) for each in batch}

    answered(begin(method, ROUNDS, SEED), answer)
    assert batches == sizes


def test_walks_that_may_end_early_go_side_by_side() -> None:
    batches: list[tuple[Question, ...]] = []

    def answer(batch: tuple[Question, ...]) -> dict[Question, float]:
        batches.append(batch)
        return {each: float(len(each.coalition) >= 3) for each in batch}

    found = answered(begin(Truncated(30, short=0.5), {0: PLAYERS}, SEED), answer)
    assert [{len(each.coalition) for each in batch} for batch in batches] == [{0, 5}, {1}, {2}, {3}]
    assert len(batches[1]) == 5
    assert all(share <= 1 for share in found.shares.values())


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_value_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(
        BadValue, match=r"round 0, \{danzig, riga\}: expected a finite value, got -?(nan|inf)"
    ):
        measure(Shapley(), PLAYERS, lambda each: bad if each == {"riga", "danzig"} else 1.0, SEED)


def test_a_function_that_answers_differently_is_refused() -> None:
    answers = iter(range(1000))
    with pytest.raises(BadValue, match=r"round 0, \{bremen, .*\}: the value was 1\.0, and is 32 now"):
        measure(Shapley(), PLAYERS, lambda _: next(answers), SEED)


def sent_back(change: Callable[[dict[Question, float]], object]) -> None:
    """Play a measurement whose second batch of answers is changed."""

    def answer(batch: tuple[Question, ...]) -> dict[Question, float]:
        answers = {each: worth(1, each.coalition) for each in batch}
        if len(batch) > 2:
            change(answers)
        return answers

    answered(begin(Shapley(), {0: PLAYERS}, SEED), answer)


def test_answers_to_other_questions_and_contradictions_are_refused() -> None:
    everybody, stranger = Question(0, frozenset(PLAYERS)), Question(0, frozenset({"lund"}))
    with pytest.raises(BadValue, match=r"\{bremen\}: there is no value"):
        sent_back(lambda answers: answers.pop(Question(0, frozenset({"bremen"}))))
    with pytest.raises(BadValue, match=r"\{lund\}: a value that nobody has asked for"):
        sent_back(lambda answers: answers.update({stranger: 1.0}))
    with pytest.raises(BadValue, match=r"the value was .*, and is 999.0 now"):
        sent_back(lambda answers: answers.update({everybody: 999.0}))
    sent_back(lambda answers: answers.update({everybody: worth(1, everybody.coalition)}))  # the same again


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        ({}, "no rounds"),
        ({1: ()}, "round 1 has no players"),
        ({-1: PLAYERS}, "got -1"),
        ({1: ("riga", "riga")}, "distinct"),
    ],
)
def test_games_that_cannot_be_are_refused(rounds: dict[int, tuple[str, ...]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        measure_rounds(Guided(), rounds, worth, SEED)


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        measure(Permutation(), PLAYERS, lambda _: 0.0, b"short")
