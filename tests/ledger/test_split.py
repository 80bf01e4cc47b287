"""A pot is split in whole cents that sum to it, the same wherever and however often it is computed."""

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger import (
    ContributionMeasured,
    JobAccepted,
    JobFinished,
    PayoutProposed,
    RuleBroken,
    Standing,
    Verifier,
)
from hansa.ledger.costs import costs_of, rows_trained
from hansa.ledger.finality import rests_on
from hansa.ledger.jobs import Setting
from hansa.ledger.money import MAX_MINOR, Scheme
from hansa.ledger.split import split, uses_pot
from hansa.ledger.states import Job, Volume
from hansa.ledger.uses import Uses
from tests.ledger.chronicle import Chronicle, founded
from tests.ledger.slowtree import audit_path
from tests.ledger.town import BREMEN, CATCH, DANZIG, DIGEST, LUBECK, PROPOSAL

NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
SHARES = st.dictionaries(NAMES, st.integers(0, 10**12), min_size=1, max_size=30)
POTS = st.integers(1, MAX_MINOR)
COST: dict[str, Setting] = {"payout.currency": "EUR", "payout.cost_micros": 12_345}


def with_job(shares: dict[str, int], **changes: object) -> Standing:
    standing = Standing()
    plain = Job(
        "lubeck", "fedavg", "softmax", "catch", tuple(shares), 1, DIGEST, 1, "finished", shares=shares
    )
    standing.jobs["herring"] = replace(plain, **changes)  # type: ignore[arg-type]
    return standing


@given(
    SHARES.filter(lambda shares: any(shares.values())),
    POTS,
    st.randoms(),
    st.sampled_from(["weights", "fli"]),
)
def test_cents_sum_to_the_pot_and_the_order_of_names_is_irrelevant(
    shares: dict[str, int], pot: int, random: Random, scheme: Scheme
) -> None:
    amounts = split(with_job(shares, settings=COST), "herring", pot, scheme=scheme)
    names = list(shares)
    random.shuffle(names)
    shuffled = with_job({name: shares[name] for name in names}, settings=COST)
    again = split(shuffled, "herring", pot, scheme=scheme)
    assert list(amounts.items()) == list(again.items())
    assert list(amounts) == sorted(shares)
    assert sum(amounts.values()) == pot
    total = sum(shares.values())
    for name, amount in amounts.items():
        assert abs(amount - Fraction(pot * shares[name], total)) < 1


@given(SHARES, POTS)
def test_where_nobody_has_contributed_no_scheme_and_no_basis_pays(shares: dict[str, int], pot: int) -> None:
    standing = with_job(dict.fromkeys(shares, 0))
    for scheme in ("weights", "fli"):
        with pytest.raises(RuleBroken, match="all its measured weights are 0"):
            split(standing, "herring", pot, scheme=scheme)
    with pytest.raises(RuleBroken, match="all its measured weights are 0"):
        split(standing, "herring", pot, basis="uses", since=1, until=2)


def measured(bremen: int, danzig: int) -> Chronicle:
    """Write of a job whose parties have brought in so many rows, with real signatures."""
    made = founded()
    made.write(BREMEN, replace(CATCH, rows=bremen))
    made.write(DANZIG, replace(CATCH, rows=danzig))
    made.write(LUBECK, replace(PROPOSAL, settings=PROPOSAL.settings | COST))
    made.write(BREMEN, JobAccepted("herring"))
    made.write(DANZIG, JobAccepted("herring"))
    made.write(
        LUBECK,
        ContributionMeasured("herring", "volume", {"bremen": bremen, "danzig": danzig}),
        JobFinished("herring", DIGEST, loss=None, score=None, metric="", rounds=1),
    )
    return made


@pytest.mark.parametrize("scheme", ["weights", "fli"])
def test_a_payout_is_identical_on_replay_from_bytes(scheme: Scheme) -> None:
    @settings(max_examples=8, deadline=None)
    @given(st.integers(1, 10**6), st.integers(1, 10**6), POTS)
    def replays(bremen: int, danzig: int, pot: int) -> None:
        made = measured(bremen, danzig)
        now = made.verifier.standing
        path = tuple(audit_path(rests_on(now, "herring")[0], [entry.hash for entry in made.entries]))
        amounts = split(now, "herring", pot, scheme=scheme)
        note = made.note(BREMEN, DANZIG).encoded()
        made.write(LUBECK, PayoutProposed("herring", "EUR", pot, amounts, note, path, scheme=scheme))
        twin = Verifier(made.fingerprint)
        for entry in made.entries:
            twin.accept(entry)
        (payout,) = twin.standing.payouts.values()
        assert payout == made.verifier.standing.payouts[made.size - 1]
        assert payout.amounts == split(twin.standing, "herring", pot, scheme=scheme) == amounts

    replays()


# --- costs --------------------------------------------------------------------------------------------------


def test_costs_are_of_the_rows_that_the_ledger_tells_of() -> None:
    volumes = {"bremen": Volume(700, 4), "danzig": Volume(300, 0)}
    shares = {"bremen": 600, "danzig": 300, "wismar": 7}
    named = with_job(shares, volumes=volumes, settings=COST).jobs["herring"]
    assert [rows_trained(named, name) for name in shares] == [600, 300, 7]
    nameless = replace(named, model="")
    assert [rows_trained(nameless, name) for name in shares] == [150, 300, 7]
    assert costs_of(named, "EUR")["bremen"] == Fraction(600 * 12_345, 10_000)
    assert costs_of(named, "SEK") == {}
    assert costs_of(replace(named, settings={"payout.currency": "EUR"}), "EUR") == {}
    assert costs_of(replace(named, settings={}), "EUR") == {}


def test_only_uses_have_a_pot_of_uses() -> None:
    standing = with_job({"bremen": 1})
    with pytest.raises(RuleBroken, match="entry 4 is no use of the model of herring"):
        uses_pot(standing, "herring", 4)
    with pytest.raises(RuleBroken, match="no job whale was proposed"):
        uses_pot(standing, "whale", 4)
    standing.uses["herring"] = Uses().after(4, DIGEST, 10)
    assert uses_pot(standing, "herring", 4) == (4, 10, None)
    assert split(standing, "herring", 7, basis="uses", since=4, until=4) == {"bremen": 7}
