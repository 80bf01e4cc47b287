"""How a job says that contributions are measured, how much that may take, and that it is told without taking it."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker.codec import encode
from hansa.ledger.appraisal import summed
from hansa.ledger.bodies import plain_body
from hansa.ledger.contribution import METHODS, VOLUME, Chosen, Question, answered, begin, chosen, seed_of
from hansa.ledger.contribution.chosen import MOST_VALUES_OF_MANY, told
from hansa.ledger.contribution.walks import Parts
from hansa.ledger.entry import BODY_BYTES
from hansa.ledger.jobs import MOST_PLAYERS, MOST_VALUES, CoalitionsValued, Setting

SEED = bytes(range(32))
# Settings of each method, small and large.
TRIED: dict[str, tuple[Mapping[str, Setting], ...]] = {
    "leave-one-out": ({},),
    "shapley": ({},),
    "permutation": ({"permutations": 2}, {"permutations": 3, "paired": False}, {"permutations": 40}),
    "truncated": (
        {"permutations": 1},
        {"permutations": 30, "short": 0.0},
        {"permutations": 9, "enough": 1e-9},
    ),
    "gtg": ({"cycles": 1}, {"cycles": 3, "within": 0}, {"cycles": 2, "circles": True, "error": 1e-9}),
    "stratified": ({"cycles": 1, "ends": 0}, {"cycles": 2, "ends": 2}, {"ends": 10**9}),
    "banzhaf": ({},),
    "banzhaf-sampled": ({"samples": 2}, {"samples": 60}),
    "group": ({}, {"least": 4, "steady": True}),
}
CASES = [(name, each) for name, listed in TRIED.items() for each in listed]


def names(count: int) -> tuple[str, ...]:
    return tuple(f"party-{number:02}" for number in range(count))


def how(name: str, given_: Mapping[str, Setting]) -> Chosen:
    return Chosen(name, "score", "held-out", tuple(sorted(given_.items())))


def asked(name: str, given_: Mapping[str, Setting], count: int, number: int = 1) -> Mapping[Question, float]:
    """Return what a round comes to."""
    players = names(count)
    method = how(name, given_).method(dict.fromkeys(players, 1))

    def worth(batch: tuple[Question, ...]) -> dict[Question, float]:
        return {each: float(len(each.coalition) ** 2 % 7) for each in batch}

    return answered(begin(method, {number: players}, SEED), worth).values


def test_every_method_is_tried_here() -> None:
    assert (VOLUME, *TRIED) == METHODS


@pytest.mark.parametrize(("name", "given_"), CASES)
def test_no_round_takes_more_than_is_told_before_and_fewer_players_never_more(
    name: str, given_: Mapping[str, Setting]
) -> None:
    method = how(name, given_).method({})
    most = 0
    for count in range(int(given_.get("least", 3)) if name == "group" else 1, 9):
        effort = method.effort(count)
        assert most <= effort.values <= 2**count
        assert len(asked(name, given_, count)) <= (most := effort.values)


@pytest.mark.parametrize(("name", "given_"), CASES)
def test_what_a_job_may_ask_for_is_told_at_once_however_many_parties_there_are(
    name: str, given_: Mapping[str, Setting]
) -> None:
    for count in (0, MOST_PLAYERS + 1, 10**6):
        with pytest.raises(ValueError, match="coalitions of 1 … 62 are valued; take volume"):
            how(name, given_).check_parties(count)
    if "ends" in given_ and given_["ends"] == 10**9:
        with pytest.raises(ValueError, match="62 parties may ask for 4,611,686,018,427,387,904 values"):
            how(name, given_).check_parties(62)


REFUSED: dict[str, tuple[str, Mapping[str, Setting], int, str]] = {
    "eleven exactly": ("shapley", {}, 11, "11 parties have 2,048 coalitions, .* take gtg, stratified"),
    "all of 62": ("banzhaf", {}, 62, "banzhaf: 62 parties have 4,611,686,018,427,387,904 coalitions"),
    "gtg of 62": (
        "gtg",
        {},
        62,
        "62 parties may ask for 22,074 values in a round, and an entry takes 3,400; lessen",
    ),
    "both ends of 62": (
        "stratified",
        {"ends": 30},
        62,
        "an entry takes 3,400; lessen cycles or ends, or take",
    ),
    "two in a group": ("group", {}, 2, "group: 2 parties are too few for a group of 3; take volume"),
    "a group of all and one": ("group", {"least": 6}, 5, "too few for a group of 6"),
    "many orders of few": (
        "truncated",
        {"permutations": 10**9},
        3,
        "1,000,000,000 orders or samples .* lessen perm",
    ),
}


@pytest.mark.parametrize(("name", "given_", "count", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_more_than_the_ledger_takes_is_refused_with_the_way_out(
    name: str, given_: Mapping[str, Setting], count: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        how(name, given_).check_parties(count)


def test_ten_parties_are_measured_by_every_method_as_it_is_and_sixty_by_some() -> None:
    for name in TRIED:
        how(name, {}).check_parties(10)
    for name in ("leave-one-out", "group", "banzhaf-sampled"):
        how(name, {}).check_parties(60)


@pytest.mark.parametrize(("count", "most"), [(32, MOST_VALUES), (62, MOST_VALUES_OF_MANY)])
def test_as_many_values_as_are_allowed_go_into_one_entry(count: int, most: int) -> None:
    players = tuple(f"a-rather-long-name-of-some-organisation-{number:02}"[-40:] for number in range(count))
    coalitions = tuple(range(2**count - most, 2**count))
    body = CoalitionsValued(
        "j" * 40,
        2**31,
        tuple(sorted(p.strip("-") for p in players)),
        (2**53,) * count,
        coalitions,
        (1 / 3,) * most,
    )
    assert len(encode(plain_body(body))) <= BODY_BYTES


@given(st.sets(st.integers(0, 2**9 - 1), min_size=2, max_size=60))
def test_numbers_stand_for_the_players_whose_bits_they_have(numbers: set[int]) -> None:
    players = names(9)
    body = CoalitionsValued(
        "job", 1, players, (1,) * 9, tuple(sorted(numbers)), tuple(map(float, sorted(numbers)))
    )
    assert told(body) == {
        Question(1, frozenset(name for place, name in enumerate(players) if number >> place & 1)): float(
            number
        )
        for number in numbers
    }


def test_a_job_that_says_nothing_is_measured_by_volume() -> None:
    assert chosen({"protocol.rounds": 3}) is None


def test_settings_are_kept_in_order_so_that_equal_ones_are_equal() -> None:
    said: dict[str, Setting] = {"method": "gtg", "utility": "loss", "within": 0.1, "cycles": 2}
    one = chosen({f"contribution.{name}": value for name, value in said.items()})
    other = chosen({f"contribution.{name}": value for name, value in reversed(said.items())})
    assert one == other == Chosen("gtg", "loss", "", (("cycles", 2), ("within", 0.1)))
    assert hash(one) == hash(other)


def test_the_seed_is_everybodys_and_nobody_is_left_out() -> None:
    draws = {"bremen": bytes(32), "danzig": bytes([1]) * 32}
    both = seed_of(("danzig", "bremen"), draws)
    assert both == seed_of(("bremen", "danzig"), draws) != seed_of(("bremen",), draws)
    assert both != seed_of(("bremen", "danzig"), {"bremen": draws["danzig"], "danzig": draws["bremen"]})
    with pytest.raises(ValueError, match="kulm has added no draw to the seed"):
        seed_of(("bremen", "kulm"), draws)


# --- sums -----------------------------------------------------------------------------------------------
FRACTIONS = st.fractions(-5, 5, max_denominator=10**6)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), FRACTIONS, min_size=1), max_size=9))
@settings(max_examples=40)
def test_sums_over_rounds_are_exact(parts: list[dict[str, Fraction]]) -> None:
    expected = {
        name: sum((part.get(name, Fraction(0)) for part in parts), Fraction(0))
        for name in sorted({name for part in parts for name in part})
    }
    assert summed(parts) == expected
    assert list(summed(parts)) == sorted(expected)


@given(st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=1, max_size=9))
@settings(max_examples=40)
def test_means_and_their_variances_are_exact(drawn: list[tuple[Fraction, Fraction]]) -> None:
    parts = Parts(("one", "other"))
    for one, other in drawn:
        below = one.denominator * other.denominator
        parts.add([int(one * below), int(other * below)], below)
    count = len(drawn)
    for name, listed in zip(("one", "other"), zip(*drawn, strict=True), strict=True):
        mean = sum(listed) / count
        assert parts.mean()[name] == mean
        if count > 1:
            spread = sum((each - mean) ** 2 for each in listed)
            assert parts.variances()[name] == spread / (count * (count - 1))
    assert bool(parts.variances()) == (count > 1)


ANY: tuple[Setting, ...] = ("x", True, 0.5, 2)


@pytest.mark.parametrize("name", METHODS[1:])
@pytest.mark.parametrize("setting", ["cycles", "enough", "paired"])
@pytest.mark.parametrize("value", ANY)
def test_a_setting_is_taken_or_refused_by_its_name_and_never_stumbled_over(
    name: str, setting: str, value: Setting
) -> None:
    said: dict[str, Setting] = {"method": name, "utility": "score", setting: value}
    try:
        found = chosen({f"contribution.{key}": each for key, each in said.items()})
    except ValueError as error:
        assert str(error).startswith(f"{setting}: ")  # noqa: PT017 - which it is depends on the method
    else:
        assert found is not None
        found.check_parties(5)
        assert asked(name, {setting: value}, 5)
