"""Reading ids, looking rows up, making a share."""

from dataclasses import replace

import numpy as np
import pytest

from hansa.protocols.crypto.errors import EncodingError
from hansa.protocols.errors import LocalProtocolError, PeerError, PreparationError
from hansa.protocols.inference.job import Seat
from hansa.protocols.inference.part import OwnPart, own_part
from hansa.protocols.inference.rehearsal import TableWorkbench
from hansa.protocols.inference.tasks import Listing, Scoring, Search, find_rows, list_rows, share_scores
from hansa.protocols.pairwise import public_key
from hansa.protocols.workbench import BareWorkbench
from tests.protocols.inference.parts import (
    BANK,
    IDS,
    ROWS,
    SCORE,
    SHOP,
    UNKNOWN,
    bench,
    coefficients,
    laid_out,
    partial,
    plain,
)


def seat_of(name: str) -> Seat:
    brief = laid_out(SCORE).briefs[name]
    return Seat.take(brief, brief.role)


def part_of(name: str) -> OwnPart:
    return own_part(seat_of(name), coefficients()[name])


def scoring(name: str, **changes: object) -> Scoring:
    base = Scoring(seat_of(name), bytes(32), part_of(name), IDS[:2], {})
    return replace(base, **changes)  # type: ignore[arg-type]


def test_our_rows_are_listed_as_all_parties_write_their_ids() -> None:
    rows = replace(bench(BANK), row_ids=(*(f" {name}\t" for name in IDS[:-1]), "Rene\u0301e"))
    listed = list_rows(Listing(part_of(BANK), 1_000), rows, 0)
    assert listed.ids == (*IDS[:-1], "Ren\u00e9e")
    assert listed.rows == ROWS
    assert listed.known.tolist() == [True] * ROWS


@pytest.mark.parametrize("most", [ROWS - 1, ROWS])
def test_no_ids_are_read_of_more_rows_than_the_job_allows(most: int) -> None:
    listed = list_rows(Listing(part_of(BANK), most), bench(BANK), 0)
    assert (listed.rows, len(listed.ids)) == (ROWS, ROWS if most == ROWS else 0)


def test_no_ids_are_read_that_fill_more_than_a_message() -> None:
    rows = replace(bench(BANK), row_ids=tuple(f"{row:04}" * 250 for row in range(600)))
    listed = list_rows(Listing(part_of(BANK), 1_000), rows, 0)
    assert (listed.rows, listed.ids) == (600, ())


def test_a_row_whose_id_is_too_long_to_be_asked_for_is_named() -> None:
    rows = replace(bench(BANK), row_ids=(*IDS[:-1], "x" * 1_001))
    with pytest.raises(LocalProtocolError, match=r"^row 7: its id has 1001 characters; .* 1000 at most$"):
        list_rows(Listing(part_of(BANK), 1_000), rows, 0)


def test_a_bench_without_rows_lists_none() -> None:
    rows = TableWorkbench((), {"bank a": np.zeros(0), "bank b": np.zeros(0)})
    assert list_rows(Listing(part_of(BANK), 1_000), rows, 0).rows == 0


def test_rows_are_found_in_the_order_asked() -> None:
    found = find_rows(Search(part_of(SHOP), ("nobody", *IDS)), bench(SHOP), 0)
    assert found.known.tolist() == [False, *(row not in UNKNOWN[SHOP] for row in range(ROWS))]


@pytest.mark.parametrize("again", [IDS[0], f" {IDS[0]}"], ids=["the same", "written otherwise"])
def test_a_row_is_not_to_be_asked_for_twice_under_another_part_of_the_guests(again: str) -> None:
    with pytest.raises(PeerError, match=r"^a row was asked for twice$"):
        find_rows(Search(part_of(SHOP), (*IDS, again)), bench(SHOP), 0)


def test_a_share_without_peers_is_the_score_itself_in_the_order_asked() -> None:
    numbers = share_scores(scoring(SHOP, ids=(IDS[3], IDS[0])), bench(SHOP), 0).numbers
    np.testing.assert_allclose(plain(numbers, SCORE), partial(SHOP)[[3, 0]], atol=2.0**-32)


def test_the_guests_share_holds_the_intercept() -> None:
    numbers = share_scores(scoring(BANK), bench(BANK), 0).numbers
    np.testing.assert_allclose(plain(numbers, SCORE), partial(BANK)[:2], atol=2.0**-32)


def test_a_share_with_a_peer_is_masked_and_the_same_again_after_a_crash() -> None:
    masked = scoring(SHOP, keys={"telco": public_key(b"t" * 32)})
    first, again = (share_scores(masked, bench(SHOP), 0).numbers for _ in range(2))
    bare = share_scores(scoring(SHOP), bench(SHOP), 0).numbers
    assert (first == again).all()
    assert (first != bare).all()


def test_a_row_that_is_gone_by_now_is_an_error_without_its_name() -> None:
    with pytest.raises(LocalProtocolError, match="rows that this agent knew are gone") as refusal:
        share_scores(scoring(SHOP, ids=(IDS[UNKNOWN[SHOP][0]],)), bench(SHOP), 0)
    assert IDS[UNKNOWN[SHOP][0]] not in str(refusal.value)


def test_a_score_beyond_the_limit_is_an_error_without_its_size() -> None:
    seat = replace(seat_of(SHOP), settings=replace(SCORE, score_limit=1.0))
    large = replace(part_of(SHOP), theta=np.array([1e6, 0.0]))
    with pytest.raises(EncodingError, match=r"element \[0\] is beyond the agreed limit of 1"):
        share_scores(scoring(SHOP, seat=seat, part=large), bench(SHOP), 0)


def test_a_key_of_small_order_makes_no_share() -> None:
    with pytest.raises(PeerError, match="telco sent a key of small order"):
        share_scores(scoring(SHOP, keys={"telco": bytes(32)}), bench(SHOP), 0)


def test_columns_that_are_not_the_models_are_refused() -> None:
    with pytest.raises(PreparationError, match="no column 'shop a'"):
        find_rows(Search(part_of(SHOP), IDS), bench(BANK), 0)
    longer = replace(part_of(SHOP), theta=np.zeros(3))
    with pytest.raises(
        LocalProtocolError, match="2 columns come of the data set, the model has 3 coefficients"
    ):
        find_rows(Search(longer, IDS), bench(SHOP), 0)


def test_an_agent_that_lends_no_rows_says_so() -> None:
    with pytest.raises(LocalProtocolError, match="a bench of nothing holds no ids"):
        list_rows(Listing(part_of(BANK), 1_000), BareWorkbench(), 0)
    with pytest.raises(LocalProtocolError, match="a bench of nothing holds no rows by id"):
        find_rows(Search(part_of(SHOP), IDS), BareWorkbench(), 0)
