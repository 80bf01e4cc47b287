"""Does this organisation take part in a job? Its own policy decides; and what no agent would accept."""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, get_type_hints

from hansa.agents.config import ANY, PolicySection
from hansa.agents.core.agreed import agreed, can_value, how_measured, method_of, proposal
from hansa.agents.core.lending import shape_of
from hansa.agents.core.messages import OWN_SESSIONS, JobSpec
from hansa.agents.errors import JobError
from hansa.broker import MalformedMessage, Plain, check_name, from_plain
from hansa.ledger import Job, RuleBroken, Standing
from hansa.ledger.contribution import LEAST_GROUP, Chosen, Grouped
from hansa.ledger.job_rules import check_job
from hansa.ledger.terms import terms
from hansa.protocols import ModelRegistry, ProtocolError, ProtocolSpec, protocol

__all__ = ["ANY", "allowance", "check_proposal", "check_spec", "objection", "read_settings"]


def objection(
    spec: JobSpec,
    coordinator: str,
    policy: PolicySection,
    datasets: Collection[str],
    registry: ModelRegistry,
    jobs: Mapping[str, Job],
) -> str | None:
    """Return why this agent won't take part, in one line for the ledger, or None if it will.

    Args:
        spec: what is offered.
        coordinator: by whom.
        policy: ours.
        datasets: that we have.
        registry: the models installed here.
        jobs: those that the ledger knows.
    """
    try:
        check_spec(spec, registry)
    except JobError as error:
        return str(error)
    known = protocol(spec.protocol)
    settings = read_settings(known, spec)
    begins = known.start(settings)
    uses = begins.job if begins is not None and begins.of == "result" else ""
    for what, value, allowed in (
        ("coordinator", "" if uses else coordinator, policy.coordinators),
        ("protocol", spec.protocol, policy.protocols),
        ("model", spec.model, policy.models),
        ("data set", spec.dataset, policy.datasets),
        ("contributions by", method_of(spec), policy.contributions),
    ):
        if value and ANY not in allowed and value not in allowed:
            return f"our policy does not allow {what} {value!r}"
    if not (getattr(settings, "guard", True) or policy.unguarded):
        return "our policy takes no part in a job without the leak guard"
    if spec.contribution and not known.names_model and not policy.own_parts:
        return (
            "our policy does not let our own scores be seen, by which contributions to this job are valued "
            "(own_parts = false)"
        )
    if uses:
        return _stranger(uses, coordinator, spec.parties, spec.dataset, jobs)
    if spec.minimum_parties < policy.minimum_parties:
        return f"our policy asks for at least {policy.minimum_parties} parties, the job for {spec.minimum_parties}"
    if spec.dataset not in datasets:
        return f"we have no data set {spec.dataset!r}"
    quorum = getattr(settings, "quorum", None)
    if quorum is not None and quorum < policy.minimum_parties:
        return f"our policy asks for at least {policy.minimum_parties} parties, the job's quorum for {quorum}"
    return None


def _stranger(
    model: str, coordinator: str, parties: Collection[str], dataset: str, jobs: Mapping[str, Job]
) -> str | None:
    """Return why a model may not be used like this, or None; how much of it may be is for `quota`.

    A party that had no part in the training, as the one that adds up, could be of the asker's choice. And who may
    not ask would still use up what is served to those who may.
    """
    trained = jobs.get(model)
    if trained is None or trained.status != "finished":
        return f"the ledger has no finished job {model!r} whose model could be used"
    if coordinator not in trained.parties:
        return f"{coordinator} was not a party of {model}, and may not use its model"
    guest = trained.settings.get("protocol.guest", coordinator)
    if coordinator != guest:
        return f"the model of {model} answers its guest {guest}, not {coordinator}"
    if dataset != trained.dataset:
        return f"{model} was trained on {trained.dataset!r}, and is asked about rows of {dataset!r}"
    strangers = sorted({*parties} - {trained.coordinator, *trained.parties})
    if strangers:
        return f"{strangers[0]} had no part in {model}, and can have none in using its model"
    return None


def allowance(policy: PolicySection) -> str:
    """Return which jobs a policy lets this organisation take part in, in one line for its operator."""

    def which(allowed: Collection[str], what: str) -> str:
        return f"any {what}" if ANY in allowed else f"{what} {' or '.join(allowed) or 'none'}"

    whose = "anybody" if ANY in policy.coordinators else " or ".join(policy.coordinators) or "nobody"
    return (
        f"takes part in jobs of {whose}, with {which(policy.protocols, 'protocol')}, "
        f"{which(policy.models, 'model')} and {which(policy.datasets, 'data set')} of [data], "
        f"and at least {policy.minimum_parties} parties: [policy] in agent.toml says so"
    )


def check_spec(spec: JobSpec, registry: ModelRegistry) -> None:
    """Refuse a job that nobody could run.

    Raises:
        JobError: names the job, the key and what is wrong with it.
    """
    try:
        for name in (spec.job, spec.dataset, *spec.parties):
            check_name(name)
        if spec.job in OWN_SESSIONS:
            raise JobError("agents speak of other things under this name: give the job another")
        known = protocol(spec.protocol)
        settings = read_settings(known, spec)
        terms(agreed(spec))
        how = how_measured(spec)
        if how is not None:
            _check_valued(spec, known, how, getattr(settings, "quorum", spec.minimum_parties))
            if not getattr(settings, "holdout", True):
                raise JobError("holdout: 0; contributions are valued on the rows that are held out")
        if known.names_model:
            registry.create(spec.model, shape_of(spec), spec.hyperparameters, spec.seed)
        elif spec.model or spec.hyperparameters:
            raise JobError(f"{known.name} takes no model and no hyperparameters: its settings say everything")
        elif spec.minimum_parties != len(spec.parties):
            raise JobError(
                f"{known.name} takes all of its parties: minimum_parties must be {len(spec.parties)}"
            )
    except (ProtocolError, JobError, MalformedMessage, ValueError, OverflowError, MemoryError) as error:
        raise JobError(f"job {spec.job!r}: {error}") from None
    if not 1 <= spec.minimum_parties <= len(spec.parties):
        raise JobError(
            f"job {spec.job!r}: minimum_parties is {spec.minimum_parties}, of {len(spec.parties)} invited parties"
        )
    if list(spec.parties) != sorted(set(spec.parties)):
        raise JobError(f"job {spec.job!r}: parties must be sorted and distinct")
    if not (isfinite(spec.consent_s) and spec.consent_s > 0):
        raise JobError(f"job {spec.job!r}: consent_s must be positive and finite, not {spec.consent_s:g}")


def _check_valued(spec: JobSpec, known: ProtocolSpec, how: Chosen, quorum: int) -> None:
    """Refuse to value coalitions where a protocol can't, on no rows or on rows that it has no use for.

    Args:
        quorum: with how few parties a round may close.

    Raises:
        JobError: names the key.
    """
    if not can_value(known):
        raise JobError(f"contribution: {known.name} values no coalitions; its parties contribute by volume")
    if known.names_model and not how.validation:
        raise JobError(
            f"validation: missing; {how.name} values models on rows that the coordinator has registered, and "
            "nobody trains on"
        )
    if how.validation and not known.names_model:
        raise JobError(f"validation: {known.name} takes none; its parties hold rows out themselves")
    if how.name == Grouped.name and quorum < LEAST_GROUP:
        few = f"a round may close with {quorum}; raise settings.quorum"
        few = few if LEAST_GROUP <= len(spec.parties) else f"only {len(spec.parties)} are invited"
        raise JobError(f"contribution: groups are of {LEAST_GROUP} parties at least, and {few}")


def check_proposal(spec: JobSpec, coordinator: str, now: Standing) -> None:
    """Refuse to propose what the ledger's rules, or the data sets registered, rule out.

    Raises:
        JobError: names the job and the party.
    """
    if coordinator in spec.parties:
        raise JobError(f"job {spec.job!r}: {coordinator} coordinates it and can't be one of its parties")
    if spec.job in now.jobs:
        raise JobError(f"job {spec.job!r}: a job {spec.job!r} exists already; give this one another name")
    _check_validation(spec, coordinator, now)
    alike = protocol(spec.protocol).names_model
    first: tuple[str, tuple[str, ...]] | None = None
    for party in spec.parties:
        registered = now.datasets.get((party, spec.dataset))
        if registered is None or not alike:
            continue  # the party will say so itself
        first = first or (party, registered.columns)
        if registered.columns != first[1]:  # they would be averaged all the same
            raise JobError(
                f"job {spec.job!r}: {party!r} has other columns in {spec.dataset!r} than {first[0]!r}"
            )
    for party in spec.parties:
        member = now.members.get(party)
        if member is None or member.status != "active":
            status = "no member" if member is None else member.status
            raise JobError(f"job {spec.job!r}: {party!r} is {status} in {now.charter.federation}")
    try:
        check_job(now, coordinator, proposal(spec))
    except (RuleBroken, ValueError) as error:
        raise JobError(f"job {spec.job!r}: {error}") from None


def _check_validation(spec: JobSpec, coordinator: str, now: Standing) -> None:
    """Refuse to value models in another utility than the charter's, or on rows of other columns than the parties'.

    Raises:
        JobError: names the job, and what to do.
    """
    how = how_measured(spec)
    if how is None:
        return
    if how.utility != now.charter.utility:
        raise JobError(
            f"job {spec.job!r}: contribution.utility: by the charter models are valued by their "
            f"{now.charter.utility}, not by their {how.utility}"
        )
    if not how.validation:
        return
    rows = now.datasets.get((coordinator, how.validation))
    if rows is None:
        raise JobError(
            f"job {spec.job!r}: validation: {coordinator} has not registered {how.validation!r} (`hansa data add`)"
        )
    for party in spec.parties:
        registered = now.datasets.get((party, spec.dataset))
        if registered is None:
            raise JobError(
                f"job {spec.job!r}: {party} has not registered {spec.dataset!r}, so nobody knows how many rows it "
                "may bring (there: `hansa data add`)"
            )
        if registered.columns != rows.columns:
            raise JobError(
                f"job {spec.job!r}: validation: {how.validation!r} has other columns than {party} has in "
                f"{spec.dataset!r}"
            )


def read_settings(known: ProtocolSpec, spec: JobSpec) -> Any:
    """Return the job's settings as the protocol's own class; whole numbers serve where floats are expected.

    Raises:
        MalformedMessage: an unknown, missing or mistyped key, or a value out of range.
    """
    hints = get_type_hints(known.settings)
    settings: Plain = {
        key: float(value) if hints.get(key) is float and type(value) is int else value
        for key, value in spec.settings.items()
    }
    return from_plain(known.settings, settings)
