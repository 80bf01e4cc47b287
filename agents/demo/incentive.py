"""Six parties of very different use train one model: who is paid what, by which method, and can anybody cheat?

All that is said of contributions is computed from the ledger: the job is measured by exact Shapley, so that every
coalition's value is there, and with the job's seed anybody sees what each other method would have made of it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tomlkit
from rich.console import Console

from hansa.agents.audit import write_page, write_payouts
from hansa.agents.core.messages import JobSpec
from hansa.agents.demo import incentivetale as tale
from hansa.agents.demo.counterfeits import write_repaid
from hansa.agents.demo.digits import minor_units
from hansa.agents.demo.folder import clear, make_homes
from hansa.agents.demo.hands import order
from hansa.agents.demo.sixkinds import DATASET, HELD_OUT, KINDS, MUCH, RIDER, IdleRegistry, deal
from hansa.agents.errors import AgentError, PayoutError
from hansa.agents.home import Home
from hansa.agents.local import AGGREGATOR, LocalFederation, Member
from hansa.agents.payouts.orders import (
    ApprovePayout,
    DisputePayout,
    DraftPayout,
    Finality,
    ProposePayout,
    SettlePayout,
)
from hansa.agents.payouts.sheet import Sheet, read_sheet
from hansa.ledger import AuditReport, CoalitionsValued, Standing, decode_body, read_entry
from hansa.ledger.audit import audit
from hansa.ledger.contribution import Chosen, Compared, compare, seed_of
from hansa.ledger.export import export_to
from hansa.ledger.store import LedgerStore
from hansa.ledger.terms import money

FEDERATION = "incentive-demo"
JOB = "digits-1"
ROUNDS = 8
UTILITY: Literal["loss"] = "loss"
CURRENCY = "EUR"
PAPERS = "papers"  # the folder of what an auditor and an accountant get
REFERENCE = "SEPA-2026-0042"
PATIENCE_S, POLL_S = 60.0, 0.02

# What the job's values are held against: cheap settings, since six parties have 64 coalitions a round at most.
RIVALS = (
    Chosen("leave-one-out", UTILITY),
    Chosen("permutation", UTILITY, settings=(("permutations", 4),)),
    Chosen("truncated", UTILITY, settings=(("permutations", 4),)),
    Chosen("gtg", UTILITY, settings=(("cycles", 1),)),
    Chosen("stratified", UTILITY, settings=(("cycles", 1), ("ends", 1))),
    Chosen("banzhaf", UTILITY),
    Chosen("banzhaf-sampled", UTILITY, settings=(("samples", 16),)),
    Chosen("group", UTILITY),
)


@dataclass(frozen=True, slots=True)
class Paid:
    """How the pot was paid.

    Attributes:
        number: of the payout.
        sheet: as it was proposed.
        approved: who approved it before the first try to settle it; `at_last` who did after.
        refusal: what that try was answered.
    """

    number: int
    sheet: Sheet
    disputed: str
    approved: tuple[str, ...]
    refusal: str
    at_last: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that happened.

    Attributes:
        compared: what each method makes of the job, exact Shapley first.
        report: of the audit.
        found: what the audit of the file with a cent changed has found first.
    """

    compared: tuple[Compared, ...]
    paid: Paid
    report: AuditReport
    found: str


def run_demo(folder: Path, *, replace: bool, seed: int, pot: str, console: Console) -> Outcome:
    """Run the job, compare methods, pay, audit; leave the homes and the papers in `folder`.

    Raises:
        AgentError: the folder is in use, the pot is no amount of money, or something did not happen in time.
    """
    pot_minor = minor_units(pot)
    clear(folder, replace, [AGGREGATOR, PAPERS, *KINDS])
    started = time.monotonic()
    console.print(
        "[bold]hansa demo incentive[/]: one process, memory transport, SQLite ledgers",
        highlight=False,
    )
    with _found(folder) as local:
        tale.print_parties(console, AGGREGATOR, deal(folder, AGGREGATOR, seed))
        local.register()
        began = time.monotonic()
        local.run(specification(pot_minor, seed))
        local.settle()
        agent = local.coordinator
        rounds = valued(agent.clerk.store)
        tale.print_job(console, agent.clerk.standing.jobs[JOB], rounds, time.monotonic() - began)
        compared = compare(rounds, _seed(agent.clerk.standing), RIVALS)
        tale.print_methods(console, compared)
        paid = _pay(console, local)
        local.settle()
    report, bad = _inspect(folder, console, paid)
    tale.print_end(console, folder, folder / PAPERS, paid.number, report, time.monotonic() - started)
    return Outcome(compared, paid, report, bad)


# --- the federation and its job ---------------------------------------------------------------------------
def _found(folder: Path) -> LocalFederation:
    """Make homes; the aggregator holds rows, and the rider has installed models of its own."""
    own = {"data": {DATASET: {"file": f"{DATASET}.csv", "target": "digit"}}}
    members = [Member(name, kind.organisation, config=own) for name, kind in KINDS.items()]
    make_homes(
        folder,
        members,
        FEDERATION,
        AGGREGATOR,
        "the incentive demo",
        contribution="shapley",
        utility=UTILITY,
    )
    Home(folder / AGGREGATOR).edit(_hold_out)
    return LocalFederation.open(folder, registries={RIDER: IdleRegistry()})


def _hold_out(document: tomlkit.TOMLDocument) -> None:
    document["data"] = {HELD_OUT: {"file": f"{HELD_OUT}.csv", "target": "digit"}}


def specification(pot_minor: int, seed: int) -> JobSpec:
    """Return the job: how contributions are measured, on whose rows, and what is paid are part of it."""
    return JobSpec(
        job=JOB,
        protocol="horizontal-fedavg",
        model="softmax",
        dataset=DATASET,
        parties=tuple(sorted(KINDS)),
        classes=tuple(str(digit) for digit in range(10)),
        features=64,
        hyperparameters={"learning_rate": 0.2, "epochs": 1, "batch_rows": 32},
        settings={
            "rounds": ROUNDS,
            "quorum": len(KINDS),
            "round_deadline_s": 30.0,
            "silence_s": 120.0,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=len(KINDS),
        consent_s=30.0,
        seed=seed,
        contribution={"method": "shapley", "utility": UTILITY, "validation": HELD_OUT},
        payout={"currency": CURRENCY, "pot_minor": pot_minor},
    )


def valued(store: LedgerStore) -> list[CoalitionsValued]:
    """Return the rounds whose coalitions were valued, by their numbers, from the ledger's entries."""
    rounds = []
    for entry in store.read():
        said = read_entry(entry.signed)
        body = decode_body(said.kind, said.schema, said.body)
        if isinstance(body, CoalitionsValued) and body.job == JOB:
            rounds.append(body)
    return sorted(rounds, key=lambda body: body.round)  # the first to close need not be valued first


def _seed(now: Standing) -> bytes:
    job = now.jobs[JOB]
    return seed_of(job.started, job.draws)


# --- money ------------------------------------------------------------------------------------------------
def _pay(console: Console, local: LocalFederation) -> Paid:
    """Propose the payout; one disputes it and is overruled, once all others have agreed."""
    sheet = _draft(local)
    number = int(order(local, AGGREGATOR, ProposePayout(sheet))["payout"])
    rows = {name: each.rows for name, each in local.coordinator.clerk.standing.jobs[JOB].volumes.items()}
    tale.print_sheet(console, number, sheet, rows)
    due = money(sheet.amounts[RIDER], sheet.currency)
    disputed = f"we have registered as many rows as {MUCH}, and are to get {due}"
    order(local, RIDER, DisputePayout(number, disputed))
    *willing, last = (name for name in KINDS if name != RIDER)
    for name in willing:
        order(local, name, ApprovePayout(number))
    try:
        order(local, AGGREGATOR, SettlePayout(number, REFERENCE))
    except PayoutError as error:
        refusal = str(error)
    else:
        raise AssertionError("settled while somebody disputes it")
    order(local, last, ApprovePayout(number))
    order(local, AGGREGATOR, SettlePayout(number, REFERENCE))
    paid = Paid(number, sheet, disputed, tuple(willing), refusal, (last,))
    tale.print_settlement(console, paid, local.coordinator.clerk.standing.payouts[number].reference)
    return paid


def _draft(local: LocalFederation) -> Sheet:
    """Compute what is to be paid, once the job's end is final."""
    deadline = time.monotonic() + PATIENCE_S
    drafted = order(local, AGGREGATOR, DraftPayout(JOB))
    while not order(local, AGGREGATOR, Finality(drafted["rests_at"]))["final"]:
        if time.monotonic() > deadline:
            raise AgentError(f"the end of {JOB} did not become final within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    return read_sheet(drafted)


# --- what an auditor does ---------------------------------------------------------------------------------
def _inspect(folder: Path, console: Console, paid: Paid) -> tuple[AuditReport, str]:
    """Export the ledger, audit it, and the same with one cent moved; leave the pages."""
    papers = folder / PAPERS
    papers.mkdir()
    home = Home(folder / AGGREGATOR)
    store = home.stored()
    good, bad = papers / "town.ledger", papers / "one-cent.ledger"
    export_to(store, good)
    store.close()
    charter = bytes.fromhex(home.config().federation.charter)
    report = audit(good, charter=charter)
    write_page(report, papers / "audit.html", int(time.time()))
    write_payouts(report, papers / "payouts.html", int(time.time()))
    tale.print_audit(console, report)
    write_repaid(good, bad, paid.number, _one_cent(paid.sheet.amounts), FEDERATION, home.identity())
    broken = audit(bad, charter=charter)
    first = next((each.text for each in broken.findings if not each.holds), "")
    tale.print_one_cent(console, first)
    return report, first


def _one_cent(amounts: Mapping[str, int]) -> dict[str, int]:
    """Move a cent from who gets most to the rider."""
    most = max(amounts, key=lambda name: amounts[name])
    return {**amounts, most: amounts[most] - 1, RIDER: amounts[RIDER] + 1}
