"""What goes on the ledger of a job's beginning and end? As agreed: how contributions are measured, what is paid."""

from collections.abc import Mapping

from hansa.agents.core.messages import JobSpec, Setting, spec_digest
from hansa.ledger import ContributionMeasured, JobProposed
from hansa.ledger.contribution import VOLUME, Chosen, chosen, weights
from hansa.protocols import ProtocolSpec, Valuation
from hansa.protocols.ratios import exact

PREFIXES = ("model", "protocol", "contribution", "payout")


def agreed(spec: JobSpec) -> dict[str, Setting]:
    """Return all settings of a job as its proposal on the ledger has them."""
    parts: tuple[Mapping[str, Setting], ...] = (
        spec.hyperparameters,
        spec.settings,
        spec.contribution,
        spec.payout,
    )
    return {
        f"{prefix}.{name}": value
        for prefix, part in zip(PREFIXES, parts, strict=True)
        for name, value in part.items()
    }


def how_measured(spec: JobSpec) -> Chosen | None:
    """Return how coalitions of a job are valued; None: contributions are volumes.

    Raises:
        ValueError: no such method, or settings that it does not take.
    """
    return chosen(agreed(spec))


def method_of(spec: JobSpec) -> str:
    """Return the name of the method by which contributions are measured, whether there is one or not."""
    return str(spec.contribution.get("method", VOLUME))


def can_value(known: ProtocolSpec) -> bool:
    """Whether a protocol's coordinator can say what the models of coalitions are worth."""
    return Valuation in known.facts


def proposal(spec: JobSpec) -> JobProposed:
    """Return what the ledger has of a job that is proposed."""
    return JobProposed(
        job=spec.job,
        protocol=spec.protocol,
        model=spec.model,
        settings=agreed(spec),
        parties=spec.parties,
        dataset=spec.dataset,
        quorum=spec.minimum_parties,
        deadline_s=spec.consent_s,
        specification=spec_digest(spec),
    )


def measured(
    spec: JobSpec, parties: tuple[str, ...], volumes: Mapping[str, int], contributions: Mapping[str, str]
) -> tuple[ContributionMeasured, ...]:
    """Return what the ledger has of contributions to a job that ends: nothing, or one entry.

    Args:
        parties: with whom the job began.
        volumes: what each brought in, which counts where nothing was valued.
        contributions: exact, by party, as of `hansa.protocols.ratios`; who is missing has added nothing.
    """
    shares = dict(volumes)
    if spec.contribution:
        shared = {party: exact(contributions.get(party, "0/1")) for party in parties}
        shares = dict(weights(shared).whole)
    return (ContributionMeasured(job=spec.job, method=method_of(spec), shares=shares),) if shares else ()


def as_registered(
    known: ProtocolSpec, weights: Mapping[str, int], volumes: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """Return what parties brought in, as far as they have registered it: rows, or rows × columns.

    Whoever has registered nothing has brought in nothing that anybody could be paid for.

    Args:
        weights: as the protocol has measured them; a category may have become several columns.
        volumes: rows and columns by who has registered any.
    """
    held = {party: volumes.get(party, (0, 0)) for party in weights}
    most = {party: rows if known.names_model else rows * columns for party, (rows, columns) in held.items()}
    return {party: min(weight, most[party]) for party, weight in weights.items()}
