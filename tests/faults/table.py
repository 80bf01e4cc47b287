"""The fault table as text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from benchmarks.report import machine, revision
from tests.faults.campaign import Plan
from tests.faults.fleet import specification
from tests.faults.reckoning import Result, Tally

TEXT = """# What breaks, and what comes of it

Written by `python -m tests.faults`; revision {revision}; seed {plan.seed}; {minutes:.0f} minutes.

A federation of one aggregator and three parties, each a daemon of its own (`hansa agent run`) behind a TCP proxy,
meets on a private RabbitMQ. It trains a network of one hidden layer ({hidden} units) on the handwritten digits,
{rounds} rounds of federated averaging, a third of the rows at each party, while one thing breaks, at an instant
that the seed draws. Each fault strikes {plan.times} time(s); the broker is stopped for {plan.stopped_s:g} s.
Meanwhile two more connections exchange numbered, sealed messages. Then journals and ledgers are read:

- *attempted*: messages posted between agents, entries signed for the ledger, and probes sent
- *acknowledged*: confirmed by the broker; receipted by the ledger's keeper
- *ok*: consumed by the recipient; standing once on every copy of the ledger; received
- *lost*: acknowledged and not ok. *duplicated*: an effect that happened twice
- *recovered*: nobody could know what had become of it when the fault struck, and it is ok
- *unexpected*: a copy of the ledger that does not verify or is not level, another model than the undisturbed job's
  though no deadline passed, a round too many or too few, anyone missing who was not gone, a message refused, a
  traceback, something left in an outbox, or a job without an end

*back after* is the time from the restart, or from when the fault was put right, until those it had struck were
connected and served again.

{table}

The bar is 0 in *lost*, *duplicated* and *unexpected*; every job ends, or names who is missing.

## The machine

{facts}

## Instants

{notes}
"""

COLUMNS = tuple(each.name for each in fields(Tally))
HEAD = ("fault", "times", *COLUMNS, "jobs ended", "back after (median / worst)")


def cells(result: Result) -> tuple[str, ...]:
    """Return one row."""
    ends = "; ".join(f"{word} × {count}" for word, count in Counter(result.ends).items())
    counts = (f"{getattr(result.tally, name):,}" for name in COLUMNS)
    return (result.fault, str(result.times), *counts, ends, result.back)


def markdown(results: Sequence[Result]) -> str:
    """Return the table, aligned so that it can be read as it stands."""
    total = Result(
        "all", sum((result.tally for result in results), Tally()), sum(r.times for r in results), ()
    )
    rows = [HEAD, *map(cells, results), cells(total)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def document(results: Sequence[Result], plan: Plan, minutes: float) -> str:
    """Return docs/faults.md: what was done, the table, and every instant."""
    spec = specification("any")
    return TEXT.format(
        plan=plan,
        minutes=minutes,
        rounds=spec.settings["rounds"],
        hidden=spec.hyperparameters["hidden"],
        table=markdown(results),
        facts="\n".join(f"- {line}" for line in machine().lines()),
        revision=revision(),
        notes="\n".join(f"- {result.fault}: {note}" for result in results for note in result.notes),
    )
