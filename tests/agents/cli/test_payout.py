"""`hansa payout` and `hansa model used` as people type them; agents are in this process, no broker is needed."""

import csv
import html
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hansa.agents.admission.membership import Reinstate, Suspend
from hansa.agents.cli import main, model, payout, payslip
from hansa.agents.errors import AgentError, PayoutError
from hansa.agents.home import Home
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.agents.payouts import chained, orders
from hansa.agents.payouts.sheet import Line, read_sheet
from hansa.agents.service.control import carry_out
from hansa.agents.service.office import Order
from hansa.agents.service.orders import read_order, write_order
from hansa.ledger import ModelUsed
from hansa.ledger.report import Finding
from tests.agents.federations import found, specification
from tests.agents.offices import office

TERMS = {"currency": "EUR", "pot_minor": 10_000_000, "price_micros": 5_000}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    """Yield a federation with three finished jobs: one that agreed on money, and two that did not."""
    with found(tmp_path_factory.mktemp("payout") / "homes") as federation:
        federation.run(specification("agreed", payout=TERMS, settings={"rounds": 1}))
        federation.run(specification("free", settings={"rounds": 1}))
        federation.run(specification("other", settings={"rounds": 1}))
        federation.settle()
        yield federation


@pytest.fixture(autouse=True)
def _reached(local: LocalFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands ask the agents in this process what they would ask of running ones, as it would travel."""

    @contextmanager
    def reach(home: Home, alone: bool = True) -> Iterator[Callable[..., dict[str, Any]]]:
        def ask(what: Order, timeout_s: float = 0.0) -> dict[str, Any]:
            told = carry_out(read_order(write_order(what)), office(local, home.path.name))
            answer: dict[str, Any] = json.loads(json.dumps(told))
            return answer

        yield ask

    for module in (payout, model):
        monkeypatch.setattr(module, "reach", reach)
    monkeypatch.setattr(payout, "POLL_S", 0.01)
    monkeypatch.setattr(orders, "ASKED_S", 0.05)


@pytest.fixture
def hansa(local: LocalFederation) -> Callable[..., Result]:
    """Return what runs a command at somebody's home."""

    def run(who: str, *words: object, answer: str = "") -> Result:
        typed = [*map(str, words), "--home", str(local.folder / who)]
        return CliRunner(env={"COLUMNS": "160"}).invoke(main, typed, input=answer)

    return run


@pytest.fixture
def said(hansa: Callable[..., Result]) -> Callable[..., str]:
    """Return what runs a command that succeeds."""

    def run(who: str, *words: object, answer: str = "") -> str:
        done = hansa(who, *words, answer=answer)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def refused(hansa: Callable[..., Result]) -> Callable[..., str]:
    """Return what runs a command that is refused with one line."""

    def run(who: str, *words: object) -> str:
        done = hansa(who, *words)
        assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1), done.output
        return done.stderr

    return run


@contextmanager
def still(local: LocalFederation, *names: str) -> Iterator[None]:
    """Have some agents do nothing while the block lasts."""
    over = threading.Event()
    asked = [local.agents[name].ask(lambda: over.wait(60.0)) for name in names]
    try:
        yield
    finally:
        over.set()
        for each in asked:
            each.result(60.0)


def proposed(said: Callable[..., str], *words: object) -> int:
    """Propose a payout; return its number."""
    return int(said(AGGREGATOR, "payout", "propose", "--yes", *words).split("payout ")[1].split()[0])


def test_a_payout_is_shown_before_it_is_proposed_and_nothing_happens_without_a_yes(
    local: LocalFederation, hansa: Callable[..., Result]
) -> None:
    before = local.coordinator.clerk.head.size
    done = hansa(AGGREGATOR, "payout", "propose", "--job", "agreed", answer="n\n")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:6] == [
        "agreed: 100,000.00 EUR for training it, by contribution, measured by volume",
        "party  contribution (rows)  share         EUR",
        "east                    45  33.3%   33,333.34",
        "north                   45  33.3%   33,333.33",
        "west                    45  33.3%   33,333.33",
        "total                              100,000.00",
    ]
    assert "computed from our own copy of the ledger; 2 of 3 must approve" in done.stdout
    assert local.coordinator.clerk.head.size == before


def test_a_payout_from_its_proposal_to_its_report(
    local: LocalFederation,
    said: Callable[..., str],
    refused: Callable[..., str],
    hansa: Callable[..., Result],
    tmp_path: Path,
) -> None:
    assert said("east", "payout", "list") == "no payouts yet\n"
    assert (
        said("east", "payout", "report")
        == "no payouts\nevery amount is recomputed from the ledger, which holds\n"
    )
    told = said(AGGREGATOR, "payout", "propose", "--job", "agreed", answer="y\n")
    number = int(told.rpartition(" ")[2])
    assert f"payout {number} proposed; 2 of those whom it pays must approve it, each by:" in told
    local.settle()
    told = said("east", "payout", "approve", number, answer="y\n")
    assert "recomputed from our own copy of the ledger, and the same as in the entry" in told
    assert "east                    45  33.3%   33,333.34" in told
    assert told.endswith(f"payout {number} is open: approved by east, 2 must\n")
    assert (
        refused("east", "payout", "approve", number) == f"Error: east has approved payout {number} already\n"
    )
    settle = (AGGREGATOR, "payout", "settle", number, "--reference", "[b]5")
    assert refused(*settle).endswith(f"; north, west may approve it: hansa payout approve {number}\n")
    held = said(AGGREGATOR, "payout", "hold", number, "--reason", "[red]closed\x1b")
    assert "held by aggregator: [red]closed\\x1b" in held
    said("north", "payout", "approve", number, "--yes")
    assert "aggregator holds it: [red]closed\\x1b" in said("north", "payout", "list")
    assert refused(*settle).endswith(  # west has not answered, and need not
        f"holds it: [red]closed\\x1b; aggregator may release it: hansa payout release {number}\n"
    )
    assert "may settle it: hansa payout settle" in said(AGGREGATOR, "payout", "release", number)
    local.settle()
    assert "disputed by west: too little" in said(
        "west", "payout", "dispute", number, "--reason", "too little"
    )
    local.settle()
    assert said(AGGREGATOR, "payout", "list").endswith("  open: may be settled, though disputed by west\n")
    assert said(*settle) == f"payout {number} is settled\n"
    local.settle()
    shown = said("west", "payout", "show", number)
    assert "33,333.34" in shown
    assert re.search(r"^  \d{4}-\S+Z  disputed by west: too little$", shown, re.MULTILINE)
    assert shown.endswith(f"{number}  agreed  training  100,000.00 EUR  settled: [b]5\n")
    entries = CliRunner().invoke(
        main, ["ledger", "show", str(local.folder / "west"), "--kind", "payout-proposed"]
    )
    assert "job agreed  100,000.00 EUR for training: east 33,333.34, north 33,333.33, west" in entries.stdout
    plain = json.loads(said("west", "payout", "show", number, "--json"))
    assert [each["kind"] for each in plain["said"]] == [
        *("payout-proposed", "payout-approved", "payout-held", "payout-approved"),
        *("payout-released", "payout-disputed", "payout-settled"),
    ]
    assert (plain["pot"], plain["amounts"]["east"], plain["reference"]) == ("100000.00", "33333.34", "[b]5")
    assert json.loads(said("west", "payout", "list", "--json"))["status"] == "settled"

    written = said(
        "west",
        "payout",
        "report",
        "--job",
        "agreed",
        "--csv",
        tmp_path / "p.csv",
        "--html",
        tmp_path / "p.html",
    )
    assert "settled: [b]5" in written
    assert written.endswith(
        "every amount is recomputed from the ledger, which holds\n"
        f"{tmp_path / 'p.csv'}: a row for each payout and party\n{tmp_path / 'p.html'}: the report as a page\n"
    )
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [(row["party"], row["amount"]) for row in rows] == [
        ("east", "33333.34"),
        ("north", "33333.33"),
        ("west", "33333.33"),
    ]
    assert "west's copy of " in html.unescape((tmp_path / "p.html").read_text())
    plain = json.loads(said("west", "payout", "report", "--json"))
    assert (plain["holds"], plain["payouts"]) == (
        True,
        [{**row, "payout": number, "weight": 45} for row in rows],
    )
    assert said("west", "payout", "report", "--job", "free").startswith("no payouts\n")
    assert refused("west", "payout", "report", "--job", "fere") == "Error: no job fere was proposed\n"


def test_uses_are_noted_and_paid_at_the_price_agreed(
    local: LocalFederation, said: Callable[..., str], refused: Callable[..., str]
) -> None:
    assert "hansa model used --job agreed --rows N" in refused(
        AGGREGATOR, "payout", "propose", "--job", "agreed", "--uses"
    )
    told = said("east", "model", "used", "--job", "agreed", "--rows", 2_000, "--purpose", "the fair")
    assert told.endswith("its model has scored 2000 rows in all\n")
    index = local.agents["east"].clerk.standing.uses["agreed"].newest.index
    assert f"noted as entry {index}; " in told
    assert chained._places(local.agents["east"], ModelUsed("agreed", 2_000, "the fair"), 0) == [index]
    assert "agreed is a job, and notes itself" in refused(
        "east", "model", "used", "--job", "agreed", "--rows", 1, "--purpose", "agreed"
    )
    local.settle()
    told = said(AGGREGATOR, "payout", "propose", "--job", "agreed", "--uses", "--yes")
    assert told.startswith("agreed: 10.00 EUR for 2000 rows of uses, entries ")
    assert "east                    45  33.3%   3.34" in told


def test_whoever_disputes_a_payout_is_asked_to_release_it_where_nobody_else_is_left_to_approve(
    local: LocalFederation, said: Callable[..., str], refused: Callable[..., str]
) -> None:
    number = proposed(said, "--job", "other", "--pot", "20.00", "--currency", "EUR")
    local.settle()
    for who in ("north", "west"):
        said(who, "payout", "dispute", number, "--reason", "too little")
    said("east", "payout", "approve", number, "--yes")
    local.settle()
    told = refused(AGGREGATOR, "payout", "settle", number, "--reference", "TX 6")
    assert told.endswith(
        "1 of 3 payees approve it, 2 must; disputed by north, west, so that somebody must release it first; "
        f"north, west may release it: hansa payout release {number}\n"
    )
    said(AGGREGATOR, "payout", "withdraw", number, "--reason", "both are right")
    local.settle()


def test_whoever_is_suspended_is_told_at_once_and_writes_nothing(
    local: LocalFederation, said: Callable[..., str], refused: Callable[..., str]
) -> None:
    number = proposed(said, "--job", "other", "--pot", "7.00", "--currency", "EUR")
    local.settle()
    carry_out(Suspend("west", "keys [b]lost"), office(local, AGGREGATOR))
    local.settle()
    told = (
        "Error: west is suspended by aggregator: keys [b]lost, as far as this copy of the ledger goes: "
        "nothing is written; aggregator, who keeps it, can let west in again\n"
    )
    assert refused("west", "payout", "approve", number, "--yes") == told
    assert refused("west", "payout", "dispute", number, "--reason", "x") == told
    assert refused("west", "model", "used", "--job", "other", "--rows", 1) == told
    carry_out(Reinstate("west"), office(local, AGGREGATOR))
    local.settle()
    assert "approved by west" in said("west", "payout", "approve", number, "--yes")
    local.settle()
    said(AGGREGATOR, "payout", "withdraw", number, "--reason", "tried")
    local.settle()


def test_a_payout_taken_back_makes_room_for_another(said: Callable[..., str], local: LocalFederation) -> None:
    first = proposed(said, "--job", "free", "--pot", "1", "--currency", "JPY")
    assert (
        said(AGGREGATOR, "payout", "withdraw", first, "--reason", "in euros")
        == f"payout {first} is withdrawn\n"
    )
    proposed(said, "--job", "free", "--pot", "1", "--currency", "EUR")
    local.settle()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--job", "nowhere"), "no job nowhere was proposed"),
        (("--job", "other"), "agreed on no currency: name one, --currency EUR"),
        (("--job", "other", "--currency", "EUR"), "say what is to be split, --pot 100000.00"),
        (("--job", "other", "--currency", "EUR", "--pot", "100,000.00"), "expected an amount like 100000.00"),
        (("--job", "agreed", "--pot", "1"), "has agreed on 100,000.00 EUR, not 1"),
    ],
)
def test_what_can_not_be_proposed_is_one_line(
    refused: Callable[..., str], words: tuple[str, ...], why: str
) -> None:
    assert why in refused(AGGREGATOR, "payout", "propose", *words)


def test_what_can_not_be_said_of_a_payout_is_one_line(
    local: LocalFederation,
    said: Callable[..., str],
    refused: Callable[..., str],
    hansa: Callable[..., Result],
) -> None:
    assert "one coordinator: aggregator, not east" in refused("east", "payout", "propose", "--job", "other")
    assert "entry 0 proposes no payout" in refused("east", "payout", "approve", 0)
    assert "entry 9999 proposes no payout" in refused("east", "payout", "show", 9999)
    number = proposed(said, "--job", "other", "--pot", "5", "--currency", "EUR")
    local.settle()
    assert "aggregator is not among those whom payout" in refused(AGGREGATOR, "payout", "approve", number)
    for words in (
        ("hold", "--reason", "x"),
        ("settle", "--reference", "x"),
        ("withdraw", "--reason", "x"),
        ("release",),
    ):
        assert "east" in refused("east", "payout", words[0], number, *words[1:])
    done = hansa("east", "payout", "dispute", number, "--reason", " ")
    assert (done.exit_code, "expected some words" in done.stderr) == (2, True)
    shown = read_sheet(carry_out(orders.ReviewPayout(number), office(local, "east")))
    with pytest.raises(AgentError, match="pot_minor"):  # nothing else is proposed than what was shown
        carry_out(orders.ProposePayout(replace(shown, pot_minor=0)), office(local, AGGREGATOR))


def test_what_is_not_final_is_waited_for_by_name(
    local: LocalFederation, said: Callable[..., str], hansa: Callable[..., Result]
) -> None:
    with still(local, "north", "west"):
        said(AGGREGATOR, "model", "used", "--job", "other", "--rows", 10)
        words = ("--job", "other", "--uses", "--pot", "1", "--currency", "EUR", "--yes", "--wait", "0.2")
        done = hansa(AGGREGATOR, "payout", "propose", *words)
        assert done.exit_code == 1
        assert "is not final after 0.2 s: " in done.stderr
        assert "waiting for " in done.stderr
        index = local.coordinator.clerk.standing.uses["other"].newest.index
        local.ask("east", lambda agent: None)
        told = carry_out(orders.Finality(index), office(local, "east"))
        assert told == {
            "final": False,
            "lacks": "2 of these are to cosign it, whom aggregator asks: east, north, west",
        }
        sheet = read_sheet(
            carry_out(orders.DraftPayout("other", "1", "EUR", "uses"), office(local, AGGREGATOR))
        )
        with pytest.raises(PayoutError, match=f"entry {index} is not final"):
            carry_out(orders.ProposePayout(sheet), office(local, AGGREGATOR))
    assert "payout " in said(AGGREGATOR, "payout", "propose", *words[:-2])
    local.settle()


def test_an_entry_that_is_not_chained_in_time_names_who_keeps_the_ledger(
    local: LocalFederation, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setattr(chained, "CHAINED_S", 0.1)
    with still(local, AGGREGATOR):
        told = refused("west", "model", "used", "--job", "other", "--rows", 1)
    assert (
        "our model-used is signed, and not on the chain yet: it waits for aggregator, who keeps the ledger"
        in told
    )
    local.settle()


def test_an_entry_that_the_keeper_refuses_is_told(
    local: LocalFederation, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setattr(chained, "check_body", lambda *_: None)
    told = refused("west", "model", "used", "--job", "nowhere", "--rows", 1)
    assert "aggregator, who keeps the ledger, has refused our model-used; our agent's log says why" in told


def test_a_ledger_that_does_not_hold_is_told_first_and_nothing_is_handed_on(
    monkeypatch: pytest.MonkeyPatch, hansa: Callable[..., Result], tmp_path: Path
) -> None:
    honest = payout._audited

    def bad(home: Home, aloud: bool) -> Any:
        report = honest(home, aloud)
        return replace(
            report, findings=(Finding("payouts", False, "one cent\x1b too much", 7), *report.findings)
        )

    monkeypatch.setattr(payout, "_audited", bad)
    done = hansa("east", "payout", "report", "--csv", tmp_path / "p.csv")
    assert done.exit_code == 1
    assert done.stderr == "THE LEDGER DOES NOT HOLD, pay nothing by this: one cent\\x1b too much\n"
    assert "which holds" not in done.stdout
    assert not (tmp_path / "p.csv").exists()
    assert not json.loads(hansa("east", "payout", "report", "--json").stdout)["holds"]


def test_it_says_once_whom_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter(
        [
            {"final": False, "lacks": "1 of 2 names, waiting for east"},
            {"final": False, "lacks": "1 of 2 names, waiting for east"},
            {"final": True, "lacks": ""},
        ]
    )
    payout._await_final(lambda order, timeout_s=0.0: next(answers), 17, 60.0)
    assert capsys.readouterr().out.splitlines() == [
        "waits until entry 17, which is paid for, is final: 1 of 2 names, waiting for east"
    ]


def test_contributions_are_told_in_their_unit_and_instalments_by_their_scheme() -> None:
    assert payslip._contribution(Line("west", -0.0625, 0, 0.0, 0), "score") == "-0.0625"
    assert payslip._contribution(Line("west", 12_000, 12_000, 1.0, 5), "cells") == "12,000"
    fields = {
        **dict.fromkeys(("since", "until"), -1),
        **{
            "job": "trial",
            "basis": "training",
            "scheme": "fli",
            "currency": "EUR",
            "pot_minor": 500,
            "method": "gtg",
        },
        **{"unit": "score", "rows": 0, "rests_at": 9, "needed": 1},
    }
    sheet = read_sheet(fields | {"lines": []})
    assert payslip.heading(sheet) == (
        "trial: 5.00 EUR for training it, as fli spreads it over instalments, measured by gtg"
    )
