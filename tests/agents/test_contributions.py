"""Jobs whose contributions are measured by valuing coalitions, from the proposal to the weights on the ledger."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import permutations

import numpy as np
import pytest

from hansa.agents.core.lending import training_bench
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.data.rows import from_arrays
from hansa.agents.errors import JobAborted, JobError
from hansa.agents.local import LocalFederation, Member
from hansa.ledger import CoalitionsValued, JobStarted, RoundClosed, decode_body, read_entry, verify_store
from hansa.ledger.contribution import (
    METHODS,
    VOLUME,
    chosen,
    measure_rounds,
    seed_of,
    weights,
)
from hansa.protocols import Array, Evaluation, FloatArray, ModelRegistry, ModelShape
from hansa.protocols.horizontal.aggregation import weighted_average
from hansa.protocols.horizontal.fedavg import derived_seed
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.horizontal.tasks import GlobalModel, train
from tests.agents.federations import FEATURES, PARTIES, lender, rows, specification

COUNTS = {"east": 24, "north": 40, "west": 80}
AGREED = replace(rows("agreed", 50), name="agreed")
Parameters = tuple[Array, ...]


def founded(registry: ModelRegistry | None = None, utility: str = "score") -> LocalFederation:
    """Found a federation whose aggregator has rows to value models on."""
    members = [Member(name, "", {"rows": lender(rows(name, count))}) for name, count in COUNTS.items()]
    local = LocalFederation.found(
        members,
        journalled=False,
        registry=registry,
        utility="loss" if utility == "loss" else "score",
        validation={"agreed": lender(AGREED)},
    )
    local.register()
    return local


@pytest.fixture(scope="module")
def federation() -> Iterator[LocalFederation]:
    with founded(utility="loss") as local:
        yield local


def valued(job: str, method: str, **own: Setting) -> JobSpec:
    """Return a job of two rounds whose coalitions are valued."""
    how = {"method": method, "utility": "loss", "validation": "agreed", **own}
    return specification(job, contribution=how, settings={"rounds": 2})


@cache
def replayed() -> list[tuple[Parameters, dict[str, Parameters], dict[str, int]]]:
    """Train again, here: each round's base, its updates and their rows. All jobs here have the same seed."""
    spec = specification()
    registry = ModelRegistry()
    benches = {
        name: training_bench(spec, registry, {"rows": lender(rows(name, count))})
        for name, count in COUNTS.items()
    }
    model = GlobalModel.of(benches["east"].model().get_parameters())
    rounds = []
    for number in (1, 2):
        trained = {
            name: train(model, bench, derived_seed(spec.seed, name, number))
            for name, bench in benches.items()
        }
        updates = {name: each.parameters for name, each in trained.items()}
        counts = {name: each.rows for name, each in trained.items()}
        rounds.append((model.parameters, updates, counts))
        model = GlobalModel.of(weighted_average(list(updates.values()), list(counts.values())))
    return rounds


@cache
def worth(number: int, coalition: frozenset[str]) -> float:
    """Return what a coalition's model of a round is worth, from a training of our own."""
    base, updates, counts = replayed()[number - 1]
    inside = sorted(coalition)
    model = SoftmaxRegression(ModelShape(FEATURES, ("no", "yes")))
    model.set_parameters(
        weighted_average([updates[n] for n in inside], [counts[n] for n in inside]) if inside else base
    )
    assert AGREED.target is not None
    return -model.evaluate(AGREED.features, AGREED.target).loss


def bodies(local: LocalFederation, job: str) -> list[object]:
    entries = [read_entry(entry.signed) for entry in local.coordinator.clerk.store.read()]
    found = [decode_body(entry.kind, entry.schema, entry.body) for entry in entries]
    return [body for body in found if getattr(body, "job", "") == job]


def test_exact_shares_are_those_of_a_training_of_our_own(federation: LocalFederation) -> None:
    spec = valued("exact", "shapley")
    federation.run(spec)
    shares = dict.fromkeys(PARTIES, Fraction(0))
    for number in (1, 2):
        for order in permutations(PARTIES):
            for place, name in enumerate(order):
                with_it = Fraction(worth(number, frozenset(order[: place + 1])))
                shares[name] += (with_it - Fraction(worth(number, frozenset(order[:place])))) / 6
    assert federation.coordinator.clerk.standing.jobs["exact"].shares == weights(shares).whole


@pytest.mark.parametrize("method", [name for name in METHODS if name not in (VOLUME, "shapley")])
def test_every_method_gives_the_weights_that_follow_from_its_values(
    federation: LocalFederation, method: str
) -> None:
    spec = valued(f"by-{method}", method)
    federation.run(spec)
    job = federation.coordinator.clerk.standing.jobs[spec.job]
    how = chosen(job.settings)
    assert how is not None
    counts = replayed()[0][2]
    expected = measure_rounds(
        how.method(counts),
        {1: PARTIES, 2: PARTIES},
        worth,
        seed_of(PARTIES, job.draws),
    )
    assert job.shares == weights(expected.shares).whole
    assert job.method == method
    verified = verify_store(
        federation.agents["west"].clerk.store,
        fingerprint=bytes.fromhex(federation.agents["west"].config.federation.charter),
    )
    assert verified.head == federation.coordinator.clerk.head


def test_the_ledger_has_the_start_before_the_values_and_every_round_once(federation: LocalFederation) -> None:
    federation.run(valued("in-order", "leave-one-out"))
    told = [
        body for body in bodies(federation, "in-order") if isinstance(body, JobStarted | CoalitionsValued)
    ]
    assert told[0] == JobStarted(job="in-order", parties=PARTIES)
    assert sorted(body.round for body in told[1:] if isinstance(body, CoalitionsValued)) == [1, 2]
    assert all(
        len(draw) == 32 for draw in federation.coordinator.clerk.standing.jobs["in-order"].draws.values()
    )


# --- who claims more than it has registered ---------------------------------------------------------------


@pytest.fixture
def inflated() -> Iterator[LocalFederation]:
    """A federation whose western party brings more rows to a job than it has registered."""
    brought = {"rows": 40}
    members = [
        Member("east", "", {"rows": lender(rows("east"))}),
        Member("north", "", {"rows": lender(rows("north"))}),
        Member("west", "", {"rows": lambda: rows("west", brought["rows"])}),
    ]
    with LocalFederation.found(members, journalled=False) as local:
        local.register()
        brought["rows"] = 400
        yield local


def test_a_job_goes_on_without_a_party_that_inflates_its_volume(inflated: LocalFederation) -> None:
    refusals: list[tuple[str, object]] = []
    inflated.listen(
        lambda sender, kind, fields: refusals.append((sender, fields)) if kind == "message-refused" else None
    )
    spec = specification(minimum_parties=2, settings={"quorum": 2, "rounds": 2})
    inflated.run(spec)
    job = inflated.coordinator.clerk.standing.jobs[spec.job]
    assert set(job.shares) == {"east", "north"}
    closed = [body for body in bodies(inflated, spec.job) if isinstance(body, RoundClosed)]
    assert [body.missing for body in closed] == [("west",), ("west",)]
    over = inflated.agents["west"].outcome(spec.job)
    assert over is not None
    assert over.reason.startswith("the job goes on without you: west trained on ")
    assert over.reason.endswith(" rows, it says, and has registered 40")
    assert ("aggregator", {"error": "Overstated", "peer": "west"}) in refusals


def test_a_job_that_needs_everybody_ends_by_the_inflated_volume_at_once(inflated: LocalFederation) -> None:
    with pytest.raises(JobAborted, match=r"west \(left: refused: west trained on \d+ rows, it says") as ended:
        inflated.run(specification())
    assert "west" in ended.value.missing


# --- what can't be valued ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"method": "shapley", "utility": "score"}, "models are valued by their loss, not by their score"),
        ({"validation": "rows"}, "aggregator has not registered 'rows'"),
        ({"validation": ""}, "validation: missing; gtg values models on rows"),
        ({"cycles": "many"}, "cycles: expected int, got 'many'"),
        ({"method": "auction"}, "expected one of volume, "),
    ],
)
def test_a_job_that_could_not_be_valued_is_not_proposed(
    federation: LocalFederation, how: dict[str, Setting], message: str
) -> None:
    spec = valued("never", "gtg")
    with pytest.raises(JobError, match=message):
        federation.run(replace(spec, contribution=spec.contribution | how))


def test_a_party_that_has_registered_nothing_cant_be_valued(federation: LocalFederation) -> None:
    with pytest.raises(JobError, match="east has not registered 'others', so nobody knows how many rows"):
        federation.run(replace(valued("never", "gtg"), dataset="others"))


class Fragile(SoftmaxRegression):
    """A model whose loss is no number once it has been trained."""

    def evaluate(self, X: FloatArray, y: Array) -> Evaluation:
        found = super().evaluate(X, y)
        return replace(found, loss=float("nan")) if len(X) == len(AGREED.ids) else found


def test_a_round_that_cant_be_valued_ends_the_job_for_everybody_with_the_reason() -> None:
    with founded(ModelRegistry({"fragile": Fragile}), utility="loss") as local:
        spec = replace(valued("fragile", "leave-one-out"), model="fragile", hyperparameters={})
        with pytest.raises(JobAborted, match=r"round \d could not be valued: the task failed with Val"):
            local.run(spec)
        assert local.coordinator.clerk.standing.jobs[spec.job].status == "aborted"


def test_rows_to_value_models_on_must_fit_the_job() -> None:
    labels = np.array(["maybe"] * AGREED.rows)
    strange = from_arrays("agreed", AGREED.features, labels, holdout=0.25, regression=False, source="x")
    members = [Member(name, "", {"rows": lender(rows(name))}) for name in PARTIES]
    with LocalFederation.found(
        members, journalled=False, utility="loss", validation={"agreed": lender(strange)}
    ) as local:
        local.register()
        with pytest.raises(JobAborted, match="the data set can't be used"):
            local.run(valued("strange", "gtg"))


def test_a_party_may_refuse_to_be_measured_by_coalitions() -> None:
    policy = {"policy": {"contributions": ["volume", "group"]}}
    members = [Member(name, "", {"rows": lender(rows(name))}, policy) for name in PARTIES]
    with LocalFederation.found(
        members, journalled=False, utility="loss", validation={"agreed": lender(AGREED)}
    ) as local:
        local.register()
        with pytest.raises(JobAborted, match="our policy does not allow contributions by 'shapley'"):
            local.run(valued("measured", "shapley"))
