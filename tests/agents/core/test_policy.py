"""Which jobs an organisation refuses, and what it says; which jobs nobody could run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hansa.agents.config import PolicySection
from hansa.agents.core.agent import TRANSFER_SESSION
from hansa.agents.core.clerk import SESSION as LEDGER_SESSION
from hansa.agents.core.messages import OWN_SESSIONS, JobSpec, Setting
from hansa.agents.core.policy import allowance, check_proposal, check_spec, objection, read_settings
from hansa.agents.errors import JobError
from hansa.broker import Identity, MalformedMessage
from hansa.ledger import Job, Standing
from hansa.ledger.standing import Dataset as Registered
from hansa.ledger.standing import Member
from hansa.protocols import ModelRegistry, protocol
from hansa.protocols.horizontal.fedavg import FedAvgSettings

SETTINGS: dict[str, Setting] = {"rounds": 3, "quorum": 2, "round_deadline_s": 60.0, "silence_s": 120.0}
SPEC = JobSpec(
    job="credit-1",
    protocol="horizontal-fedavg",
    model="softmax",
    dataset="loans",
    parties=("east", "north", "south"),
    classes=("no", "yes"),
    features=4,
    hyperparameters={"learning_rate": 0.1},
    settings=SETTINGS,
    minimum_parties=2,
    consent_s=60.0,
    seed=7,
)
REGISTRY = ModelRegistry()


def asked(spec: JobSpec = SPEC, /, **policy: Any) -> str | None:
    rules = PolicySection(**{"coordinators": ("hub",), **policy})
    return objection(spec, "hub", rules, {"loans", "cards"}, REGISTRY, {})


def refused(**fields: Any) -> str:
    """Return why nobody could run SPEC with these fields, after the job's name."""
    spec = replace(SPEC, **fields)
    with pytest.raises(JobError) as caught:
        check_spec(spec, REGISTRY)
    text = str(caught.value)
    assert text.startswith(f"job {spec.job!r}: ")
    assert "\n" not in text
    return text.removeprefix(f"job {spec.job!r}: ")


# --- policy ---------------------------------------------------------------------------------------------
def test_the_default_policy_takes_any_sound_job_of_the_keeper() -> None:
    assert asked() is None


def test_the_default_policy_takes_no_job_of_another_member() -> None:
    assert asked(coordinators=PolicySection().coordinators) == "our policy does not allow coordinator 'hub'"


def test_whoever_allows_any_coordinator_says_so() -> None:
    assert asked(coordinators=("*",)) is None


def test_a_policy_that_names_everything_takes_exactly_that() -> None:
    named = {
        "protocols": ("horizontal-fedavg",),
        "models": ("mlp", "softmax"),
        "coordinators": ("hub",),
        "datasets": ("loans",),
    }
    assert asked(**named, minimum_parties=2) is None


@pytest.mark.parametrize(
    ("rule", "allowed", "expected"),
    [
        ("coordinators", ("other-hub",), "our policy does not allow coordinator 'hub'"),
        ("protocols", ("secure-sum",), "our policy does not allow protocol 'horizontal-fedavg'"),
        ("models", ("mlp",), "our policy does not allow model 'softmax'"),
        ("datasets", ("cards",), "our policy does not allow data set 'loans'"),
        ("models", (), "our policy does not allow model 'softmax'"),
    ],
)
def test_what_the_policy_does_not_name_is_refused(rule: str, allowed: tuple[str, ...], expected: str) -> None:
    assert asked(**{rule: allowed}) == expected


def test_a_name_is_allowed_whole_or_not_at_all() -> None:
    assert asked(models=("softmax-2", "soft", "s*")) == "our policy does not allow model 'softmax'"


def test_a_job_for_fewer_parties_than_the_policy_asks_for_is_refused() -> None:
    expected = "our policy asks for at least 3 parties, the job for 2"
    assert asked(minimum_parties=3) == expected
    whole = replace(SPEC, minimum_parties=3, settings={**SETTINGS, "quorum": 3})
    assert asked(whole, minimum_parties=3) is None


def test_a_job_that_would_go_on_with_fewer_parties_than_the_policy_asks_for_is_refused() -> None:
    all_three = replace(SPEC, minimum_parties=3)
    expected = "our policy asks for at least 3 parties, the job's quorum for 2"
    assert asked(all_three, minimum_parties=3) == expected
    assert asked(replace(all_three, settings={**SETTINGS, "quorum": 3}), minimum_parties=3) is None


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_a_job_without_the_leak_guard_takes_a_policy_that_says_so(kind: str) -> None:
    settings: dict[str, Any] = {"guest": "east", "alignment": "aligned", "guard": False, "key_bits": 512}
    bare = replace(ALIGN, protocol=f"vertical-{kind}", settings=settings)
    assert asked(bare) == "our policy takes no part in a job without the leak guard"
    assert asked(bare, unguarded=True) is None
    assert asked(replace(bare, settings={"guest": "east", "alignment": "aligned"})) is None


def test_a_policy_is_told_in_one_line() -> None:
    assert allowance(PolicySection(coordinators=("hub",))) == (
        "takes part in jobs of hub, with any protocol, any model and any data set of [data], "
        "and at least 2 parties: [policy] in agent.toml says so"
    )
    named = PolicySection(models=("mlp", "softmax"), datasets=("loans",), coordinators=("*",), protocols=())
    assert allowance(named) == (
        "takes part in jobs of anybody, with protocol none, model mlp or softmax and data set loans of [data], "
        "and at least 2 parties: [policy] in agent.toml says so"
    )
    assert "jobs of nobody" in allowance(PolicySection(coordinators=()))


def test_a_job_on_a_data_set_that_is_not_here_is_refused() -> None:
    assert asked(replace(SPEC, dataset="tides")) == "we have no data set 'tides'"


def test_a_job_that_nobody_could_run_is_refused_with_the_reason() -> None:
    text = asked(replace(SPEC, model="oracle"))
    assert text is not None
    assert text.startswith("job 'credit-1': no model 'oracle'; there are ")


# --- jobs nobody could run ------------------------------------------------------------------------------
def test_a_sound_job_passes() -> None:
    check_spec(SPEC, REGISTRY)


@pytest.mark.parametrize("name", ["", "Credit", "credit 1", "c" * 41, "all"])
@pytest.mark.parametrize("key", ["job", "dataset"])
def test_a_name_that_fits_no_topic_is_refused(key: str, name: str) -> None:
    assert repr(name) in refused(**{key: name})


def test_a_party_needs_a_name_that_an_agent_can_have() -> None:
    assert "'North Bank'" in refused(parties=("North Bank", "south"))


def test_an_unknown_protocol_is_refused_and_the_known_ones_are_listed() -> None:
    known = "alignment, horizontal-fedavg, over-threshold-alignment, vertical-inference, vertical-linear, "
    assert refused(protocol="gossip") == f"no protocol 'gossip'; there are {known}vertical-logistic"


def test_an_unknown_hyperparameter_is_refused_and_the_known_ones_are_listed() -> None:
    text = refused(hyperparameters={"learning_rat": 0.1})
    assert text.startswith("model softmax has no hyperparameter 'learning_rat'; it has batch_rows, ")


@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan"), "fast"])
def test_a_hyperparameter_out_of_range_is_refused(value: Setting) -> None:
    assert refused(hyperparameters={"learning_rate": value}).startswith("model softmax: ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 2.5}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"round_deadline_s": "soon"}, "round_deadline_s"),
        ({"silence_s": 30.0}, "silence_s"),
        ({"quorum": 0}, "quorum"),
        ({"patience": -1}, "patience"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_setting_that_is_unknown_mistyped_or_out_of_range_is_named(
    change: Mapping[str, Setting], expected: str
) -> None:
    assert expected in refused(settings={**SETTINGS, **change})


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_a_setting_that_is_missing_is_named(key: str) -> None:
    assert key in refused(settings={name: value for name, value in SETTINGS.items() if name != key})


def test_data_without_columns_or_with_one_class_cannot_be_learned() -> None:
    assert refused(features=0) == "features must be at least 1, not 0"
    assert "class" in refused(classes=("no",))


def test_a_model_for_classes_does_not_take_a_regression() -> None:
    assert refused(classes=()).startswith("model softmax: ")


@pytest.mark.parametrize("least", [0, -1, 4])
def test_the_least_number_of_parties_must_be_possible(least: int) -> None:
    assert refused(minimum_parties=least) == f"minimum_parties is {least}, of 3 invited parties"


def test_a_job_without_parties_is_refused() -> None:
    assert refused(parties=()) == "minimum_parties is 2, of 0 invited parties"


@pytest.mark.parametrize("parties", [("south", "north"), ("north", "north", "south")])
def test_parties_are_sorted_and_distinct(parties: tuple[str, ...]) -> None:
    assert refused(parties=parties) == "parties must be sorted and distinct"


@pytest.mark.parametrize("consent_s", [0.0, -1.0, float("nan"), float("inf")])
def test_the_answers_have_a_deadline_that_comes(consent_s: float) -> None:
    assert refused(consent_s=consent_s) == f"consent_s must be positive and finite, not {consent_s:g}"


# --- jobs whose settings say everything -----------------------------------------------------------------
ALIGN = replace(
    SPEC,
    protocol="alignment",
    model="",
    classes=(),
    features=0,
    hyperparameters={},
    settings={},
    minimum_parties=3,
)


def test_a_job_of_a_protocol_without_models_needs_none() -> None:
    check_spec(ALIGN, REGISTRY)
    assert asked(ALIGN) is None
    assert asked(ALIGN, models=()) is None  # it names none that would have to be allowed
    assert asked(ALIGN, minimum_parties=4) == "our policy asks for at least 4 parties, the job for 3"


@pytest.mark.parametrize(
    "fields", [{"model": "softmax"}, {"hyperparameters": {"epochs": 3}}], ids=["model", "hyperparameters"]
)
def test_a_model_where_none_belongs_is_refused(fields: dict[str, Any]) -> None:
    spec = replace(ALIGN, **fields)
    with pytest.raises(JobError, match="alignment takes no model and no hyperparameters"):
        check_spec(spec, REGISTRY)


def test_a_protocol_that_takes_all_of_its_parties_begins_with_no_fewer() -> None:
    with pytest.raises(JobError, match="takes all of its parties: minimum_parties must be 3"):
        check_spec(replace(ALIGN, minimum_parties=2), REGISTRY)


def test_parties_with_other_columns_may_be_aligned_but_not_averaged() -> None:
    keys = [Identity.generate(name).public for name in SPEC.parties]
    members = {each.name: Member(each, "", "active", 0, 0) for each in keys}
    held = {(name, "loans"): Registered(name, 9, (f"of {name}",), "y", 0) for name in SPEC.parties[:2]}
    now = Standing()
    now.members.update(members)
    now.datasets.update(held)
    check_proposal(ALIGN, "hub", now)
    with pytest.raises(JobError, match="'north' has other columns in 'loans' than 'east'"):
        check_proposal(SPEC, "hub", now)


@pytest.mark.parametrize("name", [LEDGER_SESSION, TRANSFER_SESSION])
def test_no_job_has_the_name_of_a_session_of_the_agents_own(name: str) -> None:
    assert {LEDGER_SESSION, TRANSFER_SESSION} == OWN_SESSIONS
    with pytest.raises(JobError, match="agents speak of other things under this name: give the job another"):
        check_spec(replace(SPEC, job=name), REGISTRY)


# --- jobs that use another's model ----------------------------------------------------------------------
SERVE = replace(
    ALIGN,
    protocol="vertical-inference",
    parties=("east", "hub"),
    settings={"model": "trained", "arbiter": "hub"},
    minimum_parties=2,
)
TRAINED = Job("hub", "vertical-logistic", "", "loans", ("east", "north"), 2, bytes(32), 0, "finished")
GUEST = replace(TRAINED, settings={"protocol.guest": "north"})


def served(coordinator: str = "north", trained: Job | None = TRAINED, **policy: Any) -> str | None:
    jobs = {} if trained is None else {"trained": trained}
    return objection(SERVE, coordinator, PolicySection(**policy), {"cards"}, REGISTRY, jobs)


def test_whoever_trained_a_model_may_ask_for_it_whatever_coordinators_are_allowed() -> None:
    assert served() is None
    assert served(coordinators=(), minimum_parties=3) is None  # and however few it takes


@pytest.mark.parametrize(
    ("coordinator", "trained", "reason"),
    [
        ("hub", TRAINED, "hub was not a party of trained, and may not use its model"),
        ("north", None, "the ledger has no finished job 'trained' whose model could be used"),
        (
            "north",
            replace(TRAINED, status="open"),
            "the ledger has no finished job 'trained' whose model could be used",
        ),
    ],
    ids=["a stranger", "unknown", "not finished"],
)
def test_others_may_not(coordinator: str, trained: Job | None, reason: str) -> None:
    assert served(coordinator, trained) == reason


def test_a_host_may_not_ask_so_that_it_cannot_use_up_what_is_served_to_the_guest() -> None:
    assert served("north", GUEST) is None
    assert served("east", GUEST) == "the model of trained answers its guest north, not east"


def test_a_model_is_not_asked_about_rows_of_another_data_set_of_its_host() -> None:
    elsewhere = replace(SERVE, dataset="cards")
    jobs = {"trained": TRAINED}
    reason = "trained was trained on 'loans', and is asked about rows of 'cards'"
    assert objection(elsewhere, "north", PolicySection(), {"cards"}, REGISTRY, jobs) == reason


def test_nobody_is_asked_to_add_up_who_had_no_part_in_the_training() -> None:
    reason = "south had no part in trained, and can have none in using its model"
    accomplice = replace(SERVE, parties=("east", "south"), settings={"model": "trained", "arbiter": "south"})
    policy, jobs = PolicySection(), {"trained": TRAINED}
    assert objection(accomplice, "north", policy, {"cards"}, REGISTRY, jobs) == reason


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"protocols": ("alignment",)}, "our policy does not allow protocol 'vertical-inference'"),
        ({"datasets": ("cards",)}, "our policy does not allow data set 'loans'"),
    ],
)
def test_the_rest_of_the_policy_holds_for_them_too(rule: dict[str, Any], reason: str) -> None:
    assert served(**rule) == reason


# --- settings -------------------------------------------------------------------------------------------
def test_settings_become_the_protocols_own_record() -> None:
    assert read_settings(protocol("horizontal-fedavg"), SPEC) == FedAvgSettings(3, 2, 60.0, 120.0)


def test_whole_numbers_serve_where_floats_are_expected_but_not_the_other_way_round() -> None:
    whole = replace(SPEC, settings={**SETTINGS, "round_deadline_s": 60, "silence_s": 120})
    settings = read_settings(protocol("horizontal-fedavg"), whole)
    assert settings == FedAvgSettings(3, 2, 60.0, 120.0)
    assert type(settings.silence_s) is float
    with pytest.raises(MalformedMessage, match="rounds"):
        read_settings(protocol("horizontal-fedavg"), replace(SPEC, settings={**SETTINGS, "rounds": 3.0}))
