"""What payouts have come to: rows for spreadsheets and programs, and totals to the cent."""

import csv
import io
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.payouts.account import COLUMNS, as_csv, as_json, moment, of_job, rows, totals
from hansa.ledger import PayoutSettled, PayoutWithdrawn
from hansa.ledger.audit import audit
from hansa.ledger.report import AuditReport, JobLine, PayoutLine
from tests.agents.payouts.books import TERMS, certified, finished, pay
from tests.agents.payouts.test_sheet import draft
from tests.ledger.town import LUBECK

LINE = PayoutLine(
    number=7,
    job="herring",
    basis="training",
    scheme="weights",
    currency="EUR",
    minor_digits=2,
    pot_minor=100,
    amounts={"danzig": 25, "bremen": 75},
    proposer="lubeck",
    proposed_ms=1_800_000_000_999,
    approved=("bremen", "danzig"),
    held={"lubeck": "the bank is closed", "bremen": "so it is"},
)
JOB = JobLine(
    "herring",
    "fedavg",
    "lubeck",
    (),
    "finished",
    1,
    2,
    "accuracy",
    (),
    "volume",
    {"bremen": 3, "danzig": 1},
    0,
    {},
)


def audited(path: Path) -> AuditReport:
    """Return the audit of a ledger with a payout withdrawn, one settled, and one of uses on its way."""
    made = finished(**TERMS)
    sheet = draft(made.verifier.standing)
    first = pay(made, sheet.proposal(*certified(made, sheet.rests_at)))
    made.write(LUBECK, PayoutWithdrawn(first, "too early"))
    second = pay(made, sheet.proposal(*certified(made, sheet.rests_at)), "bremen", "danzig")
    made.write(LUBECK, PayoutSettled(second, "=2+5"))
    return audit(made.write_to(path), charter=made.fingerprint, workers=1)


def test_an_audits_payouts_become_rows_and_totals(tmp_path: Path) -> None:
    report = audited(tmp_path / "town.export")
    assert report.holds, [each.text for each in report.findings]
    told = rows(report.payouts, report.jobs)
    assert [(row.party, row.amount, row.status, row.weight is None) for row in told] == [
        ("bremen", "75000.00", "withdrawn", True),
        ("danzig", "25000.00", "withdrawn", True),
        ("wismar", "0.00", "withdrawn", True),
        ("bremen", "75000.00", "settled", False),
        ("danzig", "25000.00", "settled", False),
        ("wismar", "0.00", "settled", False),
    ]
    assert (told[3].share, told[3].reference, told[3].approved) == ("0.750000000", "=2+5", "bremen, danzig")
    assert [(each.party, each.settled_minor, each.open_minor) for each in totals(report.payouts)] == [
        ("bremen", 7_500_000, 0),
        ("danzig", 2_500_000, 0),
        ("wismar", 0, 0),
    ]


def test_the_columns_of_the_file_stay_as_they_are() -> None:
    lines = as_csv(rows([LINE], [JOB])).splitlines()
    assert lines[0] == (
        "payout,job,basis,scheme,currency,party,weight,share,amount,status,approved,held,disputed,reference,proposed_at"
    )
    assert lines[1:] == [
        '7,herring,training,weights,EUR,bremen,3,0.750000000,0.75,open,"bremen, danzig",'
        "bremen: so it is; lubeck: the bank is closed,,,2027-01-15T08:00:00Z",
        '7,herring,training,weights,EUR,danzig,1,0.250000000,0.25,open,"bremen, danzig",'
        "bremen: so it is; lubeck: the bank is closed,,,2027-01-15T08:00:00Z",
    ]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n"),
)
def test_no_text_of_an_author_is_a_formula_in_a_spreadsheet(text: str, first: str) -> None:
    hostile = replace(LINE, reference=first + text, disputed={"-x": text}, job="-cmd")
    for row in csv.DictReader(io.StringIO(as_csv(rows([hostile], [])))):
        for value in row.values():
            assert not value.startswith(
                ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
            )
            assert value.isprintable()
        assert row["job"] == "'-cmd"


def test_a_harmless_reference_stays_as_it_is() -> None:
    [row, _] = csv.DictReader(io.StringIO(as_csv(rows([replace(LINE, reference="TX 5-7")], []))))
    assert (row["reference"], row["weight"], row["share"]) == ("TX 5-7", "", "")


def test_programs_get_the_same_columns_and_the_texts_as_they_were_written() -> None:
    line = replace(LINE, reference="=2+5", status="settled")
    told = as_json(rows([line], [JOB]), totals([line]))
    assert tuple(told["payouts"][0]) == COLUMNS
    assert told["payouts"][0]["reference"] == "=2+5"
    assert told["totals"] == [
        {"party": "bremen", "currency": "EUR", "settled": "0.75", "open": "0.00"},
        {"party": "danzig", "currency": "EUR", "settled": "0.25", "open": "0.00"},
    ]


@given(
    st.lists(
        st.builds(
            replace,
            st.just(LINE),
            currency=st.sampled_from(("EUR", "JPY")),
            status=st.sampled_from(("open", "settled", "withdrawn")),
            amounts=st.dictionaries(
                st.sampled_from(("ada", "bea", "cay")), st.integers(0, 2**53), min_size=1
            ),
        )
    )
)
def test_totals_lose_no_cent(payouts: list[PayoutLine]) -> None:
    for currency in ("EUR", "JPY"):
        paid = sum(
            sum(line.amounts.values())
            for line in payouts
            if line.currency == currency and line.status != "withdrawn"
        )
        assert paid == sum(
            each.settled_minor + each.open_minor for each in totals(payouts) if each.currency == currency
        )


def test_payouts_are_picked_by_their_job(tmp_path: Path) -> None:
    report = audited(tmp_path / "town.export")
    assert len(of_job(report, "")) == len(of_job(report, "herring")) == 2
    assert of_job(report, "cod") == ()


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    assert moment(1_800_000_000_999) == "2027-01-15T08:00:00Z"
    assert moment(2**62) == f"{2**62 // 1000} s"
