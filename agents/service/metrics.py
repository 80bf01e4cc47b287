"""What does Prometheus read of an agent? Its vitals in the text format, version 0.0.4.

Source: Prometheus, "Exposition formats". Names, numbers and states only: no row, no label of a row, no text of
others.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import hansa
from hansa.agents.core.tally import STEP_BOUNDS_S
from hansa.agents.service.vitals import Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("connecting", "standby", "ready", "blocked", "closed")

Sample = tuple[Mapping[str, str], float]


def write_metrics(vitals: Vitals | None, *, name: str, state: str, started: float) -> str:
    """Return everything as Prometheus reads it.

    Args:
        vitals: None if the agent gave none in time; what the process itself knows is told all the same.
        name: of the agent.
        state: of its connection.
        started: UTC seconds.
    """
    lines = [
        *_metric(
            "hansa_agent_info", "gauge", "What runs.", [({"agent": name, "version": hansa.__version__}, 1)]
        ),
        *_metric("hansa_agent_up", "gauge", "Whether the agent answers.", [({}, vitals is not None)]),
        *_metric(
            "hansa_broker_state",
            "gauge",
            "1 for the state that the connection is in.",
            [({"state": each}, each == state) for each in STATES],
        ),
        *_metric("process_start_time_seconds", "gauge", "UTC.", [({}, started)]),
        *_metric("process_resident_memory_bytes", "gauge", "Memory.", [({}, resident_bytes())]),
    ]
    if vitals is not None:
        lines += [*_of_messages(vitals), *_of_work(vitals), *_of_steps(vitals)]
    return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """Return the process's memory, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _of_messages(vitals: Vitals) -> Iterator[str]:
    yield from _metric("hansa_messages_received_total", "counter", "Deliveries.", [({}, vitals.received)])
    yield from _metric("hansa_messages_sent_total", "counter", "Messages published.", [({}, vitals.sent)])
    yield from _metric(
        "hansa_messages_refused_total",
        "counter",
        "Messages refused, by the error.",
        [({"error": error}, count) for error, count in sorted(vitals.refused.items())],
    )
    yield from _metric(
        "hansa_messages_unconfirmed", "gauge", "Not confirmed by the broker yet.", [({}, vitals.unconfirmed)]
    )
    yield from _metric(
        "hansa_peers_unroutable", "gauge", "Peers without a queue.", [({}, len(vitals.unroutable))]
    )


def _of_work(vitals: Vitals) -> Iterator[str]:
    yield from _metric("hansa_journal_bytes", "gauge", "Size of the journal.", [({}, vitals.journal_bytes)])
    yield from _metric("hansa_ledger_entries", "gauge", "Entries of our copy.", [({}, vitals.head[0])])
    yield from _of_heads(vitals)
    yield from _metric(
        "hansa_jobs",
        "gauge",
        "Jobs on the ledger.",
        [({"status": status}, count) for status, count in vitals.jobs_by_status.items()],
    )
    yield from _metric("hansa_rounds", "gauge", "Rounds closed.", [({}, sum(vitals.rounds.values()))])
    yield from _metric("hansa_tasks", "gauge", "Tasks running or waiting.", [({}, vitals.tasks)])


def _of_heads(vitals: Vitals) -> Iterator[str]:
    final, awaited = vitals.cosigning.final, vitals.cosigning.awaited
    size = 0 if final is None else final.checkpoint.size
    yield from _metric("hansa_final_entries", "gauge", "Entries that cannot be taken back.", [({}, size)])
    if final is not None:
        text = "When the newest final checkpoint became final, UTC."
        yield from _metric("hansa_final_since_seconds", "gauge", text, [({}, final.since_s)])
    lacking = 0 if awaited is None else max(0, awaited.needed - len(awaited.named))
    text = "Names that the newest checkpoint lacks to be final, as its keeper knows."
    yield from _metric("hansa_checkpoint_names_lacking", "gauge", text, [({}, lacking)])
    text = "Proofs that a keeper has signed two histories."
    yield from _metric("hansa_fork_evidence", "gauge", text, [({}, vitals.cosigning.evidence)])


def _of_steps(vitals: Vitals) -> Iterator[str]:
    name, total = "hansa_step_seconds", 0
    yield from _head(name, "histogram", "How long the agent's steps take.")
    for bound, count in zip((*map(str, STEP_BOUNDS_S), "+Inf"), vitals.steps, strict=True):
        total += count
        yield f"{name}_bucket{{le={_quoted(bound)}}} {total}"
    yield f"{name}_sum {vitals.step_s!r}"
    yield f"{name}_count {total}"


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield from _head(name, kind, text)
    for labels, value in samples:
        inside = ",".join(f"{key}={_quoted(label)}" for key, label in labels.items())
        yield f"{name}{{{inside}}} {float(value)!r}" if inside else f"{name} {float(value)!r}"


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
