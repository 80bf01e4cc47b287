"""What does a person ask to have trained? A `job.toml`, made whole with what the ledger says of the data.

    job = "digits-1"
    model = "softmax"
    dataset = "digits"
    classes = ["0", "1", "2"]      # none: a regression
    [settings]
    rounds = 30
    [hyperparameters]
    learning_rate = 0.5

How many features there are, and who holds the data, the members have registered. Protocols that make no model of
the registry take neither `model` nor `hyperparameters`:

    job = "risk-1"
    protocol = "vertical-logistic"
    dataset = "customers"
    classes = ["good", "bad"]

Which party has the labels, and which alignment the rows are in, the ledger says too (`defaults`). How contributions
are measured, and what is agreed on money, is read by `agreements`.
"""

import secrets
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hansa.agents.config import Name, read_toml, validate
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.core.policy import check_proposal, check_spec
from hansa.agents.errors import ConfigError, JobError
from hansa.agents.jobs.agreements import Method, PayoutSection, measuring
from hansa.agents.jobs.defaults import filled_in
from hansa.ledger import Standing
from hansa.ledger.membership import column_count
from hansa.protocols import PROTOCOLS, ModelRegistry, ProtocolSpec, protocol
from hansa.protocols.inference import INFERENCE
from hansa.protocols.vertical import LOGISTIC

ROUND_DEADLINE_S = 300.0  # for a round's updates, unless the file says otherwise
SILENCE_SLACK_S = 300.0  # so much longer than a round's deadline a party waits for the aggregator
SEED_BITS = 32


class JobFile(BaseModel):
    """The file as it stands.

    Attributes:
        model: of the registry; none for protocols that make no such model.
        parties: who is invited; none: every active member that has registered the data set.
        minimum_parties: how many must consent; none: all who are invited.
        consent_s: how long their answers may take, seconds.
        seed: of everything random but secret; none: a fresh one.
        contribution: how contributions are measured, a name or a table; none: as the charter says.
        validation: the coordinator's data set on which the models of coalitions are valued.
        payout: what is agreed on money; none: nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: Name
    protocol: str = next(iter(PROTOCOLS))
    model: str = ""
    dataset: Name
    parties: tuple[Name, ...] = ()
    classes: tuple[str | int, ...] = ()
    minimum_parties: int | None = Field(default=None, ge=1, strict=True)
    consent_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0, lt=2**63, strict=True)
    contribution: Method = {}
    validation: Name | Literal[""] = ""
    payout: PayoutSection | None = None
    settings: dict[str, Setting] = {}
    hyperparameters: dict[str, Setting] = {}


def read_job(path: Path, coordinator: str, now: Standing, registry: ModelRegistry | None = None) -> JobSpec:
    """Read a job's file and make it whole.

    Raises:
        ConfigError: no such file, not TOML, a key that is unknown, missing or out of range, or a job that the
            members' data sets or the ledger's rules rule out; names the file and the key, or the party.
    """
    content = read_toml(path)
    file = validate(JobFile, content, path)
    registry = registry or ModelRegistry()
    try:
        known = protocol(file.protocol)
        _check_kind(known, file, registry)
        parties = _invited(file, coordinator, now)
        _check_registered(file.dataset, parties, now)
        minimum = len(parties) if file.minimum_parties is None else file.minimum_parties
        settings = filled_in(known, file.dataset, parties, file.settings, now)
        spec = JobSpec(
            job=file.job,
            protocol=file.protocol,
            model=file.model,
            dataset=file.dataset,
            parties=parties,
            classes=tuple(sorted(str(label) for label in file.classes)),
            features=_features(known, file.dataset, parties, now),
            hyperparameters=file.hyperparameters,
            settings=_settings(known.settings, settings, minimum),
            minimum_parties=minimum,
            consent_s=file.consent_s,
            seed=secrets.randbits(SEED_BITS) if file.seed is None else file.seed,
            contribution=measuring(known, file.contribution, file.validation, now.charter),
            payout={} if file.payout is None else file.payout.terms(),
        )
        check_spec(spec, registry)
        check_proposal(spec, coordinator, now)
    except JobError as error:
        raise ConfigError(f"{path}: {str(error).removeprefix(f'job {file.job!r}: ')}") from None
    except (ValueError, LookupError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return spec


def _check_kind(known: ProtocolSpec, file: JobFile, registry: ModelRegistry) -> None:
    """Refuse a model, or classes, that a protocol has no use for, and the want of those it needs."""
    if known.name == INFERENCE.name:
        raise JobError(
            f"protocol: {known.name} is asked for by `hansa predict --job`, at the guest of the model"
        )
    if known.names_model and not file.model:
        raise JobError(f"model: missing; {known.name} trains one of {', '.join(registry.names())}")
    if file.model and not known.names_model:
        raise JobError(f"model: {known.name} takes none, its settings say everything")
    if known.name == LOGISTIC.name and len(set(file.classes)) != 2:
        raise JobError(f"classes: {known.name} tells two labels apart, and they must be named here")
    if file.classes and known.name != LOGISTIC.name and not known.names_model:
        raise JobError(f"classes: {known.name} takes none")


def _invited(file: JobFile, coordinator: str, now: Standing) -> tuple[str, ...]:
    """Return the parties, sorted; without any in the file, all who can take part."""
    if file.parties:
        doubled = sorted({name for name in file.parties if file.parties.count(name) > 1})
        if doubled:
            raise JobError(f"parties: {doubled[0]!r} is named twice")
        return tuple(sorted(file.parties))
    holders = tuple(
        sorted(
            owner
            for owner, name in now.datasets
            if name == file.dataset and owner != coordinator and now.members[owner].status == "active"
        )
    )
    if not holders:
        raise JobError(f"dataset: no active member has registered {file.dataset!r}{_others(now)}")
    return holders


def _check_registered(dataset: str, parties: tuple[str, ...], now: Standing) -> None:
    for party in parties:
        if (party, dataset) not in now.datasets:
            raise JobError(f"dataset: {party} has not registered {dataset!r} (there: `hansa data add`)")


def _features(known: ProtocolSpec, dataset: str, parties: tuple[str, ...], now: Standing) -> int:
    """Return how many columns a model sees; of parties with columns of their own, nobody counts them all."""
    return column_count(now.datasets[parties[0], dataset].columns) if known.names_model else 0


def _others(now: Standing) -> str:
    names = sorted({name for _, name in now.datasets})
    return f"; registered are {', '.join(names)}" if names else ""


def _settings(known: type, given: Mapping[str, Setting], minimum: int) -> dict[str, Setting]:
    """Return a protocol's settings, with what follows from the rest of the file where it is not said."""
    has = {field.name for field in fields(known)}
    if "round_deadline_s" not in has:
        return dict(given)
    deadline = given.get("round_deadline_s", ROUND_DEADLINE_S)
    silence = float(deadline) + SILENCE_SLACK_S if isinstance(deadline, int | float) else deadline
    usual: dict[str, Any] = {"quorum": minimum, "round_deadline_s": deadline, "silence_s": silence}
    return {**{name: value for name, value in usual.items() if name in has}, **given}
