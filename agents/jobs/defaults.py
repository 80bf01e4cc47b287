"""What need a job's file not say, since the ledger does? Who holds the labels, and in whose order the rows are."""

from collections.abc import Iterable
from typing import Any

from hansa.agents.core.messages import Setting
from hansa.agents.errors import JobError
from hansa.ledger import Job, Standing
from hansa.protocols import ProtocolSpec
from hansa.protocols.alignment import ALIGNMENT

RECEIVER = "protocol.receiver"  # of an alignment's settings, as its proposal has it


def filled_in(
    known: ProtocolSpec, dataset: str, parties: tuple[str, ...], given: dict[str, Setting], now: Standing
) -> dict[str, Setting]:
    """Return a vertical job's settings with guest and alignment in them; those of other jobs as they are.

    Args:
        known: the job's protocol.
        dataset: the name under which the parties have registered their rows.
        parties: of the job, sorted.
        given: what the file says.
        now: the ledger's standing.

    Raises:
        JobError: the ledger leaves it open who or which it is, or rules out what the file says.
    """
    if known.bench != "aligned":
        return given
    guest: Any = given.get("guest") or _guest(dataset, parties, now)
    if guest not in parties:
        raise JobError(f"settings.guest: {guest!r} is none of the parties {_listed(parties)}")
    if now.datasets[guest, dataset].target is None:
        raise JobError(
            f"settings.guest: {guest} has registered {dataset!r} without a target, and so without labels "
            "(there: `hansa data add --target`)"
        )
    alignment: Any = given.get("alignment") or _alignment(dataset, parties, now)
    why_not = unfit(alignment, dataset, parties, now)
    if why_not:
        raise JobError(f"settings.alignment: {why_not}")
    return {**given, "guest": guest, "alignment": alignment}


def unfit(name: str, dataset: str, parties: Iterable[str], now: Standing) -> str:
    """Return why a job can't say in which order the rows of a training are, or nothing if it can."""
    job = now.jobs.get(name)
    if job is None:
        return f"the ledger has no job {name!r}"
    if job.protocol != ALIGNMENT.name:
        return f"{name} is a job of protocol {job.protocol}, not of {ALIGNMENT.name}"
    if job.dataset != dataset:
        return f"{name} has aligned data set {job.dataset!r}, not {dataset!r}"
    outside = [party for party in parties if party not in job.parties]
    if outside:
        return f"{name} was without {_listed(outside)}"
    if job.status != "finished":
        return f"{name} is {job.status}, not finished"
    receiver = job.settings.get(RECEIVER, "")
    if receiver:
        return f"{name} has told {receiver} alone which rows are common; training takes an alignment that all learn"
    return ""


def _guest(dataset: str, parties: tuple[str, ...], now: Standing) -> str:
    """Return the only party that has registered labels."""
    labelled = [party for party in parties if now.datasets[party, dataset].target is not None]
    if len(labelled) == 1:
        return labelled[0]
    if labelled:
        raise JobError(
            f"settings.guest: {_listed(labelled)} have registered {dataset!r} with a target; "
            "name the one whose labels count"
        )
    raise JobError(
        f"settings.guest: none of {_listed(parties)} has registered {dataset!r} with a target "
        "(there: `hansa data add --target`)"
    )


def _alignment(dataset: str, parties: tuple[str, ...], now: Standing) -> str:
    """Return the newest job that has told all parties which rows they share."""
    fitting: dict[str, Job] = {}
    told = ""
    for name, job in now.jobs.items():
        if job.protocol != ALIGNMENT.name or job.dataset != dataset:
            continue
        why_not = unfit(name, dataset, parties, now)
        if why_not:
            told = f"; {why_not}"
        else:
            fitting[name] = job
    if not fitting:
        raise JobError(
            f"settings.alignment: nothing has told {_listed(parties)} yet which rows of {dataset!r} they share"
            f'{told}; submit a job with protocol = "{ALIGNMENT.name}" first'
        )
    return max(fitting, key=lambda name: fitting[name].proposed_at)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
