"""A limited budget is spread so that costs are repaid, waiting counts, and nothing is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger.fli import Regret, instalment_weights
from hansa.ledger.shares import largest_remainder

NAMES = ("bremen", "danzig", "lubeck", "visby", "wismar")
SHARES = st.lists(st.integers(0, 10**9), min_size=2, max_size=5).filter(any)
COSTS = st.lists(st.fractions(0, 10**5, max_denominator=10**4), min_size=5, max_size=5)
BUDGETS = st.integers(1, 10**6)


@dataclass
class Purse:
    """Pays one instalment after another."""

    regrets: dict[str, Regret] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)

    def pay(self, budget: int, shares: Mapping[str, int], costs: Mapping[str, Fraction]) -> dict[str, int]:
        weights = instalment_weights(budget, shares, costs, self.regrets)
        amounts = largest_remainder(budget, weights)
        for name, amount in amounts.items():
            regret = self.regrets.get(name, Regret())
            self.regrets[name] = regret.after(costs.get(name, Fraction(0)), amount)
            self.paid[name] = self.paid.get(name, 0) + amount
        return amounts


def named(shares: list[int], costs: list[Fraction]) -> tuple[dict[str, int], dict[str, Fraction]]:
    parties = NAMES[: len(shares)]
    return dict(zip(parties, shares, strict=True)), dict(zip(parties, costs, strict=False))


def test_the_formulas_are_followed_term_by_term() -> None:
    first = Regret().after(Fraction(300), 100)
    assert first == Regret(owed=Fraction(200), waited=Fraction(0), borne=Fraction(300), jobs=1)
    assert first.wait == 300
    second = first.after(Fraction(0), 50)
    assert second == Regret(Fraction(150), Fraction(250), Fraction(300), 1)
    assert second.weight(Fraction(7), Fraction(100)) == 7 + 150 + 100 + 250 + 300
    third = second.after(Fraction(100), 40)
    assert third == Regret(Fraction(210), Fraction(510), Fraction(400), 2)
    assert third.wait == 200
    repaid = third.after(Fraction(0), 5_000)
    assert repaid == Regret(Fraction(0), Fraction(0), Fraction(400), 2)
    assert repaid.wait == 0
    assert repaid.weight(Fraction(7), Fraction(0)) == 7


@given(SHARES, COSTS, st.lists(BUDGETS, min_size=1, max_size=6))
def test_the_cents_of_every_instalment_sum_to_it_whatever_the_order_of_names(
    shares: list[int], costs: list[Fraction], budgets: list[int]
) -> None:
    weights, borne = named(shares, costs)
    one, other = Purse(), Purse()
    for budget in budgets:
        amounts = one.pay(budget, weights, borne)
        backwards = other.pay(budget, dict(reversed(weights.items())), dict(reversed(borne.items())))
        assert sum(amounts.values()) == budget
        assert amounts == backwards
        assert all(amount >= 0 for amount in amounts.values())
        borne = {}
    assert one == other


@given(SHARES, BUDGETS)
def test_without_costs_everybody_is_paid_by_the_weights(shares: list[int], budget: int) -> None:
    weights, _ = named(shares, [])
    purse = Purse()
    for _ in range(3):
        assert purse.pay(budget, weights, {}) == largest_remainder(budget, dict(sorted(weights.items())))


@given(
    st.integers(0, 10**6),
    st.fractions(0, 10**5, max_denominator=100),
    st.lists(BUDGETS, min_size=1, max_size=6),
)
def test_equal_parties_get_equal_amounts_but_for_a_cent(
    share: int, cost: Fraction, budgets: list[int]
) -> None:
    purse, costs = Purse(), {"bremen": cost, "danzig": cost}
    for budget in budgets:
        amounts = purse.pay(budget, {"bremen": share, "danzig": share, "wismar": 5}, costs)
        before = purse.regrets["bremen"], purse.regrets["danzig"]
        assert abs(amounts["bremen"] - amounts["danzig"]) <= 1 or before[0] != before[1]
        purse.regrets["danzig"] = purse.regrets["bremen"]
        costs = {}


@given(SHARES, COSTS, BUDGETS, st.fractions(1, 10**4, max_denominator=100))
def test_who_has_waited_longer_or_is_owed_more_is_not_paid_less(
    shares: list[int], costs: list[Fraction], budget: int, more: Fraction
) -> None:
    weights, borne = named(shares, costs)
    regrets = {name: Regret(Fraction(50), Fraction(20), Fraction(100), 2) for name in weights}
    before = largest_remainder(budget, instalment_weights(budget, weights, borne, regrets))
    for waiting in (
        Regret(Fraction(50), 20 + more, Fraction(100), 2),
        Regret(50 + more, Fraction(20), Fraction(100), 2),
    ):
        after = instalment_weights(budget, weights, borne, regrets | {"bremen": waiting})
        assert largest_remainder(budget, after)["bremen"] >= before["bremen"]


def instalments_until_repaid(regrets: dict[str, Regret], budget: int, name: str) -> int:
    purse = Purse(dict(regrets))
    for count in range(1, 1_000):
        purse.pay(budget, dict.fromkeys(regrets, 1), {})
        if purse.regrets[name].owed == 0:
            return count
    raise AssertionError("never repaid")


@given(st.integers(100, 5_000), st.integers(0, 20_000))
def test_more_waiting_is_sooner_paid(budget: int, waited: int) -> None:
    fresh = Regret(Fraction(10_000), Fraction(0), Fraction(10_000), 1)
    patient = Regret(Fraction(10_000), Fraction(waited), Fraction(10_000), 1)
    alone = instalments_until_repaid({"bremen": fresh, "danzig": fresh}, budget, "bremen")
    assert instalments_until_repaid({"bremen": patient, "danzig": fresh}, budget, "bremen") <= alone


@settings(max_examples=60)
@given(SHARES, st.lists(st.integers(0, 10_000), min_size=5, max_size=5))
def test_where_the_budgets_suffice_everybodys_costs_are_repaid(shares: list[int], costs: list[int]) -> None:
    weights, borne = named(shares, [Fraction(each) for each in costs])
    total = int(sum(borne.values()))
    purse, budget = Purse(), total // 4 + len(weights)
    purse.pay(budget, weights, borne)
    for _ in range(400):
        if not any(regret.owed for regret in purse.regrets.values()):
            break
        purse.pay(budget, weights, {})
    for name, cost in borne.items():
        assert purse.paid[name] >= cost, name


def test_a_free_rider_with_costs_is_repaid_late_and_then_gets_nothing() -> None:
    purse, shares = Purse(), {"bremen": 1, "wismar": 0}
    costs = {"bremen": Fraction(1_000), "wismar": Fraction(1_000)}
    history = [purse.pay(500, shares, costs)["wismar"]]
    history += [purse.pay(500, shares, {})["wismar"] for _ in range(60)]
    assert sum(history) >= 1_000
    assert history[-1] == 0
