"""Five banks: which of my borrowers borrow at two others or more? Over-threshold private set intersection.

The borrowers are made up, from a seed: banks of very different sizes, and people of whom few borrow at several.
Each bank learns about its own borrowers only, and of these only whether they stand in three lists or more; a bureau
that holds neither rows nor a key counts points that it cannot read (docs/alignment.md). Since all lists lie on this
machine, what each bank has found is compared with what a plain count of all lists together says.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from hansa.agents.core.messages import JobSpec
from hansa.agents.demo.folder import clear, found, print_farewell
from hansa.agents.local import Member
from hansa.ledger import verify_store
from hansa.protocols import Array, FloatArray

FEDERATION = "lending-demo"
BUREAU = "bureau"
DATASET = "borrowers"
JOB = "borrowing-at-three"
THRESHOLD = 3

PEOPLE = 12_000  # who borrow anywhere, and some who don't
EAGERNESS = 1.6  # exponent of the Pareto law of how much people borrow: few of them at many banks
DAYS = 18_000  # between the oldest and the youngest day of birth
SAME_DAY = 10_000  # numbers for those born on one day
EPOCH = np.datetime64("1953-01-01")
LOAN = (8.5, 0.9)  # mean and standard deviation of the logarithm of what is owed, EUR


@dataclass(frozen=True, slots=True)
class Bank:
    """One party: its organisation, and how many people borrow there."""

    organisation: str
    borrowers: int


BANKS = {
    "harbour": Bank("Harbour Bank", 4_000),
    "market": Bank("Market Bank", 2_400),
    "river": Bank("River Savings", 1_500),
    "mint": Bank("Mint Credit", 900),
    "guild": Bank("Guild Loans", 500),
}


@dataclass(frozen=True, slots=True)
class Book:
    """What one bank holds: (borrowers,) ids, and what each owes, EUR."""

    ids: Array
    owed: FloatArray


@dataclass(frozen=True, slots=True)
class Finding:
    """What one bank has learned about its own borrowers, beside what a plain count says.

    Attributes:
        borrowers: how many it has.
        found: how many of them stand in enough lists, as it was told.
        correct, missed, wrong: of these, or beyond them, compared with the plain count.
        owed: by those that were found, as a share of all that its borrowers owe.
    """

    bank: str
    borrowers: int
    found: int
    correct: int
    missed: int
    wrong: int
    owed: float


def run_demo(folder: Path, *, replace: bool, seed: int, console: Console) -> list[Finding]:
    """Run the job, print what each bank has learned, and leave the homes in `folder`.

    Raises:
        AgentError: the folder is in use, or the job failed.
    """
    clear(folder, replace, [BUREAU, *BANKS])
    started = time.monotonic()
    config = {"data": {DATASET: {"file": f"{DATASET}.csv"}}}
    members = [Member(name, bank.organisation, config=config) for name, bank in BANKS.items()]
    console.print(
        "[bold]hansa demo lending[/]: one process, memory transport, SQLite ledger", highlight=False
    )
    with found(folder, members, FEDERATION, BUREAU, "the lending demo") as local:
        books = lend(seed)
        _write(folder, books)
        local.register()
        _print_banks(console, books)
        began = time.monotonic()
        local.run(specification(seed))
        took_s = time.monotonic() - began
        told = {name: local.result(JOB, name).rows for name in BANKS}
        common = local.result(JOB).common
        local.settle()
        spent_s = sum(
            sum(local.ask(name, lambda agent: dict(agent.spent_s)).values()) for name in local.agents
        )
        agent = local.coordinator
        verified = verify_store(agent.clerk.store, fingerprint=bytes.fromhex(agent.config.federation.charter))
    findings = compare(books, told)
    _print_findings(console, findings, common)
    _print_silence(console)
    points = sum(len(book.ids) for book in books.values()) * len(books)
    cores = os.cpu_count() or 1
    console.print(
        f"\n{points:,} points of X25519: {took_s:.1f} s, of computing {spent_s:.1f} s on {cores} cores\n"
        f"ledger verified: {verified.head.size} entries, head {verified.head.hash.hex()[:16]}   "
        f"({time.monotonic() - started:.0f} s in all)",
        highlight=False,
    )
    print_farewell(console, folder, next(iter(BANKS)))
    return findings


def specification(seed: int) -> JobSpec:
    """Return the job that the bureau proposes."""
    parties = tuple(sorted(BANKS))
    return JobSpec(
        job=JOB,
        protocol="over-threshold-alignment",
        model="",
        dataset=DATASET,
        parties=parties,
        classes=(),
        features=0,
        hyperparameters={},
        settings={"threshold": THRESHOLD, "block": 512},  # small blocks: both cores have work from the start
        minimum_parties=len(parties),
        consent_s=30.0,
        seed=seed,
    )


def lend(seed: int) -> dict[str, Book]:
    """Make up who borrows where, and how much: those who borrow a lot do so at several banks."""
    generator = np.random.default_rng(seed)
    people = _people(generator)
    eagerness = generator.pareto(EAGERNESS, PEOPLE)
    chance = eagerness / eagerness.sum()
    books = {}
    for name, bank in BANKS.items():
        chosen = generator.choice(PEOPLE, bank.borrowers, replace=False, p=chance)
        books[name] = Book(people[chosen], generator.lognormal(*LOAN, bank.borrowers).round(2))
    return books


def compare(books: Mapping[str, Book], told: Mapping[str, Array]) -> list[Finding]:
    """Return what each bank was told, beside what a count of all lists together says.

    Args:
        books: by bank.
        told: by bank, (found,) the rows of its own that stand in enough lists.
    """
    lists = Counter(person for book in books.values() for person in book.ids.tolist())
    findings = []
    for name, book in books.items():
        true = {row for row, person in enumerate(book.ids.tolist()) if lists[person] >= THRESHOLD}
        learned = set(told[name].tolist())
        findings.append(
            Finding(
                name,
                len(book.ids),
                len(learned),
                len(learned & true),
                len(true - learned),
                len(learned - true),
                float(book.owed[sorted(learned)].sum() / book.owed.sum()),
            )
        )
    return findings


def _people(generator: np.random.Generator) -> Array:
    """Return (PEOPLE,) numbers of persons: the day of birth, and a number that tells apart who share it."""
    days, numbers = np.divmod(generator.choice(DAYS * SAME_DAY, PEOPLE, replace=False), SAME_DAY)
    born = np.datetime_as_string(EPOCH + days, unit="D").tolist()
    pairs = zip(born, numbers.tolist(), strict=True)
    return np.array([f"{day[2:4]}{day[5:7]}{day[8:]}-{number:04d}" for day, number in pairs])


def _write(folder: Path, books: Mapping[str, Book]) -> None:
    for name, book in books.items():
        frame = pl.DataFrame({"id": book.ids, "owed": book.owed})
        frame.write_csv(folder / name / f"{DATASET}.csv")


# --- what is printed --------------------------------------------------------------------------------------
def _print_banks(console: Console, books: Mapping[str, Book]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("agent", "organisation"):
        table.add_column(column)
    for column in ("borrowers", "owing, EUR"):
        table.add_column(column, justify="right")
    for name, book in books.items():
        owed = f"{book.owed.sum():,.0f}"
        table.add_row(name, BANKS[name].organisation, f"{len(book.ids):,}", owed)
    table.add_row(BUREAU, "no rows, no key: counts, and keeps the ledger")
    console.print(table)


def _print_findings(console: Console, findings: Sequence[Finding], common: int) -> None:
    console.print(
        f"\n[bold]who borrows at {THRESHOLD} or more of {len(BANKS)} banks?[/] {common:,} people; "
        "each bank learns of its own:",
        highlight=False,
    )
    table = Table(box=None, header_style="bold")
    table.add_column("bank")
    for column in ("borrowers", f"at {THRESHOLD} or more", "of what is owed", "correct", "missed", "wrong"):
        table.add_column(column, justify="right")
    for each in findings:
        figures = (each.found, each.correct, each.missed, each.wrong)
        found_, correct, missed, wrong = (f"{figure:,}" for figure in figures)
        table.add_row(each.bank, f"{each.borrowers:,}", found_, f"{each.owed:.1%}", correct, missed, wrong)
    console.print(table)
    errors = sum(each.missed + each.wrong for each in findings)
    console.print(
        f"  {errors} differences from a plain count of all lists together",
        highlight=False,
    )


def _print_silence(console: Console) -> None:
    console.print("\nwhat nobody has learned:")
    for line in (
        "a bank: who borrows elsewhere but not here; of its own, at which other banks, or at how many",
        f"the {BUREAU}: anybody's id. It has seen points under the keys of all {len(BANKS)} banks, and how "
        "many of them stand in which lists",
        "who carries the messages: anything but who wrote to whom, when, and how much",
    ):
        table = Table.grid(padding=(0, 1))
        table.add_row(" ·" if console.encoding.startswith("utf") else " -", line)
        console.print(table)
