"""What a guest could try to learn a host's part of a score, or its coefficients, and what it gets."""

from typing import Any

import numpy as np
import pytest

from hansa.protocols.inference import tasks
from hansa.protocols.inference.job import Seat, mask_secret
from hansa.protocols.inference.part import own_part
from hansa.protocols.inference.tasks import Scoring, share_scores
from hansa.protocols.model import FloatArray
from hansa.protocols.pairwise import UintArray, public_key
from tests.protocols.inference.parts import (
    BANK,
    IDS,
    SCORE,
    SHOP,
    TELCO,
    bench,
    coefficients,
    common,
    laid_out,
    partial,
    plain,
    play,
    tables,
)

TWO = (SHOP, TELCO)


def share(name: str, rows: list[int]) -> UintArray:
    """Return what a host of two answers when it is asked for these rows."""
    laid = laid_out(SCORE)
    brief = laid.briefs[name]
    seat = Seat.take(brief, brief.role)
    (peer,) = {*TWO} - {name}
    keys = {peer: public_key(mask_secret(laid.briefs[peer].secret))}
    part = own_part(seat, coefficients()[name])
    inputs = Scoring(seat, brief.secret, part, tuple(IDS[row] for row in rows), keys)
    return np.asarray(share_scores(inputs, bench(name), 0).numbers)


def told(shop: list[int], telco: list[int]) -> FloatArray:
    """Return what comes of asking one host for these rows and the other for those."""
    return plain(share(SHOP, shop) + share(TELCO, telco), SCORE)


def test_asked_for_the_same_rows_two_hosts_tell_the_sum_of_their_parts() -> None:
    rows = common()
    expected = (partial(SHOP) + partial(TELCO))[rows]
    np.testing.assert_allclose(told(rows, rows), expected, atol=2.0**-30)


def differences() -> tuple[FloatArray, FloatArray]:
    """Return how the shop's parts of two rows differ, and how they seem to, asked with one row of the other."""
    one, other = told([0], [3]), told([1], [3])
    return partial(SHOP)[0] - partial(SHOP)[1], (one - other)[0]


def test_rows_that_differ_between_hosts_would_tell_how_one_hosts_part_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If masks were of any rows alike."""
    monkeypatch.setattr(tasks, "purpose", lambda ids: "scores")
    true, seeming = differences()
    assert seeming == pytest.approx(true, abs=1e-8)


@pytest.mark.parametrize(("shop", "telco"), [([0], [3]), ([0, 1], [1, 0]), ([0, 3], [0, 4])])
def test_rows_that_differ_between_hosts_tell_nothing(shop: list[int], telco: list[int]) -> None:
    limit = 3 * 2.0**20  # all honest sums are below the hosts' limits together
    assert np.abs(told(shop, telco)).max() > limit
    true, seeming = differences()
    assert abs(true - seeming) > 1.0


def test_one_hosts_scores_tell_its_coefficients_to_a_guest_that_knows_its_columns() -> None:
    """As the document says; hence labels or deciles, and quotas."""
    laid = laid_out(SCORE, hosts=1)
    answered: Any = play(laid).results[BANK]
    rows = [int(row) for row in answered.positions]
    logit = np.log(answered.values / (1 - answered.values))
    part = coefficients(1)[SHOP]
    X = part.preparation.apply(tables()[SHOP])[rows]
    found = np.linalg.lstsq(X, logit - partial(BANK)[rows], rcond=None)[0]
    assert found == pytest.approx(part.theta, abs=1e-6)
