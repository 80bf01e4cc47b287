"""Joint predictions by order: a job of its own, led by the guest; and what each agent may take away of a job."""

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.agents.core.coordination import Over
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError, JobError
from hansa.agents.jobs.parts import read_part
from hansa.agents.jobs.serving import Predict
from hansa.agents.jobs.takeaway import Export
from hansa.agents.local import LocalFederation
from hansa.agents.service.orders import ORDERS, read_order, write_order
from hansa.ledger import ModelUsed, decode_body, read_entry
from hansa.protocols import FloatArray
from tests.agents.harbour import ARBITER, BANK, CLASSES, SHOP, found, run, table
from tests.agents.offices import order

COMMON = 80


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with found(tmp_path_factory.mktemp("harbour")) as local:
        run(local, "align-1")
        run(local, "risk-1")
        yield local


@pytest.fixture(scope="module")
def linear(harbour: LocalFederation) -> str:
    run(harbour, "align-worth")
    run(harbour, "worth-1", holdout=0.0)
    return "worth-1"


def ended(local: LocalFederation, told: dict[str, Any]) -> Over:
    deadline = time.monotonic() + 60
    while (over := local.ask(BANK, lambda agent: agent.outcome(told["job"]))) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return over


def exported(local: LocalFederation, name: str, job: str) -> list[dict[str, str]]:
    path = Path(order(local, name, Export(job, "csv"))["file"])
    assert path.stat().st_mode & 0o077 == 0
    with path.open() as file:
        return list(csv.DictReader(file))


def predicted(local: LocalFederation, asked: Predict) -> dict[str, str]:
    """Return what a model says, by id."""
    told = order(local, BANK, asked)
    over = ended(local, told)
    assert over.outcome == "finished", over.reason
    local.settle()
    return {row["id"]: row["prediction"] for row in exported(local, BANK, told["job"])}


def scores(local: LocalFederation, job: str) -> dict[str, float]:
    """Return what the parts say together, without any protocol."""
    total: dict[str, float] = {}
    held = []
    for name in (BANK, SHOP):
        own = local.result(job, name)
        frame = table(name)
        columns = {each: frame[each].to_numpy() for each in frame.columns}
        found_: FloatArray = own.preparation.apply(columns) @ own.theta + own.intercept
        held.append(dict(zip(frame["id"].to_list(), found_.tolist(), strict=True)))
    for each in held[0].keys() & held[1].keys():
        total[each] = held[0][each] + held[1][each]
    return total


def test_a_label_for_every_row_that_both_know_and_nothing_for_the_others(harbour: LocalFederation) -> None:
    told = order(harbour, BANK, Predict("risk-1"))
    assert (told["rows"], told["parties"], told["unknown"]) == (90, [ARBITER, SHOP], [])
    assert ended(harbour, told).outcome == "finished"
    expected = {each: CLASSES[int(score > 0)] for each, score in scores(harbour, "risk-1").items()}
    said = {row["id"]: row["prediction"] for row in exported(harbour, BANK, told["job"])}
    assert said == expected
    assert len(said) == COMMON
    unknown = order(harbour, BANK, Export(told["job"], "csv"))["unknown"]
    assert sorted(unknown) == sorted(f"c-{row}" for row in range(10))


def test_some_rows_alone_are_asked_for_by_id_which_the_ledger_never_hears(harbour: LocalFederation) -> None:
    told = order(harbour, BANK, Predict("risk-1", ids=("c-77", "c-55", "c-77", "nobody")))
    assert (told["rows"], told["unknown"]) == (2, ["nobody"])
    assert ended(harbour, told).outcome == "finished"
    assert [row["id"] for row in exported(harbour, BANK, told["job"])] == ["c-77", "c-55"]
    harbour.settle()
    entries = harbour.ask(ARBITER, lambda agent: [each.signed for each in agent.clerk.store.read()])
    assert not any(b"c-77" in entry for entry in entries)
    journal = harbour.agents[BANK]._journal
    assert harbour.ask(BANK, lambda _: journal.load("wanted")) == {}


def test_scores_and_deciles_are_the_models_own(harbour: LocalFederation) -> None:
    truth = scores(harbour, "risk-1")
    said = predicted(harbour, Predict("risk-1", "score", ids=("c-30", "c-31")))
    for each, value in said.items():
        assert float(value) == pytest.approx(1 / (1 + np.exp(-truth[each])), abs=1e-6)
    deciles = predicted(harbour, Predict("risk-1", "decile"))
    ranked = sorted(deciles, key=lambda each: truth[each])
    assert [int(deciles[each]) for each in ranked] == sorted(int(value) for value in deciles.values())
    assert set(deciles.values()) >= {"1", "10"}


def test_a_linear_model_gives_numbers(harbour: LocalFederation, linear: str) -> None:
    said = predicted(harbour, Predict(linear, ids=("c-20",)))
    assert float(said["c-20"]) == pytest.approx(scores(harbour, linear)["c-20"], abs=1e-6)


def test_what_was_served_stands_on_the_ledger_and_names_count_up(harbour: LocalFederation) -> None:
    names = [order(harbour, BANK, Predict("risk-1", "score", ids=("c-40",))) for _ in range(2)]
    assert all(ended(harbour, each).outcome == "finished" for each in names)
    first, second = (int(each["job"].removeprefix("risk-1-p")) for each in names)
    assert second == first + 1
    harbour.settle()

    def used(_: object) -> list[ModelUsed]:
        entries = [read_entry(each.signed) for each in harbour.coordinator.clerk.store.read()]
        bodies = [decode_body(each.kind, each.schema, each.body) for each in entries]
        return [body for body in bodies if isinstance(body, ModelUsed)]

    assert [(body.job, body.rows) for body in harbour.ask(ARBITER, used)][-2:] == [("risk-1", 1)] * 2


def test_a_hosts_quota_refuses_in_a_line(harbour: LocalFederation) -> None:
    machines = harbour.agents[SHOP]._machines
    machines.policy = (before := machines.policy).model_copy(update={"served_rows": 0})
    over = ended(harbour, order(harbour, BANK, Predict("risk-1", ids=("c-40",))))
    machines.policy = before
    assert over.outcome == "aborted"
    assert "shop refused: our policy serves 0 rows a day of risk-1" in over.reason


@pytest.mark.parametrize(
    ("who", "what", "error", "message"),
    [
        (BANK, Predict("nothing"), JobError, "'nothing' is unknown at bank"),
        (BANK, Predict("align-1"), JobError, r"'align-1' \(alignment\) has left bank no part of a model"),
        (SHOP, Predict("risk-1"), JobError, "its model answers bank, who has the labels, and nobody else"),
        (ARBITER, Predict("risk-1"), JobError, "has left arbiter no part of a model"),
        (BANK, Predict("risk-1", dataset="gold"), DataError, "'gold' is not in agent.toml; .*hansa data add"),
        (BANK, Predict("risk-1", ids=("nobody",)), DataError, "'customers' has no row 'nobody'"),
        (BANK, Predict("risk-1", arbiter=SHOP), JobError, "shop has a part of the model of risk-1"),
        (BANK, Predict("risk-1", "score", ARBITER), JobError, 'output = "score" takes no arbiter'),
        (BANK, Predict("risk-1", arbiter="eve"), JobError, "'eve' is no member"),
        (BANK, Predict("worth-1", "label"), JobError, "is linear and predicts numbers"),
        (BANK, Predict("worth-1", "decile"), JobError, "has no deciles, for no rows were held out"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(
    harbour: LocalFederation, linear: str, who: str, what: Predict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        order(harbour, who, what)
    assert len(str(caught.value).splitlines()) == 1


def test_more_rows_than_one_job_may_ask_for_are_refused(
    harbour: LocalFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.jobs.serving.MOST_ROWS", 50)
    with pytest.raises(DataError, match="has 90 rows, and one job asks for 50 at most"):
        order(harbour, BANK, Predict("risk-1"))


def test_a_long_name_is_cut(harbour: LocalFederation) -> None:
    name = "risk-" + "x" * 35
    run(harbour, name, epochs=1)
    assert order(harbour, BANK, Predict(name, ids=("c-40",)))["job"] == name[:37] + "-p1"


# --- what a job has left ----------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["npz", "json"])
@pytest.mark.parametrize("name", [BANK, SHOP])
def test_each_party_takes_its_own_part_away(harbour: LocalFederation, name: str, form: Any) -> None:
    told = order(harbour, name, Export("risk-1", form))
    own = harbour.result("risk-1", name)
    assert (told["what"], told["model_digest"]) == ("part", own.digest.hex())
    part = read_part(Path(told["file"]))
    assert part.card.features == own.preparation.names()
    assert np.array_equal(part.coefficients, own.theta)
    assert (part.card.party, part.card.guest, part.card.classes) == (name, BANK, CLASSES)
    if form == "json":
        named = json.loads(Path(told["file"]).read_text())["coefficients"]
        assert [each["feature"] for each in named] == list(part.card.features)


def test_both_sides_take_the_common_rows_away_in_one_order(harbour: LocalFederation) -> None:
    ids = [[row["id"] for row in exported(harbour, name, "align-1")] for name in (BANK, SHOP)]
    assert ids[0] == ids[1]
    assert sorted(ids[0]) == sorted(f"c-{row}" for row in range(10, 90))


@pytest.mark.parametrize(
    ("name", "job", "form", "message"),
    [
        (
            ARBITER,
            "risk-1",
            "npz",
            "nothing to take away at arbiter: the parties have a part of the model each",
        ),
        (ARBITER, "align-1", "csv", "the parties know which of their rows these are"),
        (BANK, "align-1", "npz", r"is written as \.csv, not \.npz"),
        (BANK, "risk-1", "csv", r"is written as \.npz or \.json, not \.csv"),
        (BANK, "nothing", "csv", "'nothing' is unknown at bank"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    harbour: LocalFederation, name: str, job: str, form: Any, message: str
) -> None:
    with pytest.raises(JobError, match=message):
        order(harbour, name, Export(job, form))


def test_rows_that_have_changed_since_they_were_compared_are_not_named(
    harbour: LocalFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = harbour.agents[BANK].datasets
    fewer = table(BANK).head(50)
    path = harbour.folder / BANK / "fewer.csv"
    fewer.write_csv(path)
    dataset = datasets["customers"]()
    shorter = Dataset("customers", tuple(fewer["id"].to_list()), (), np.zeros((50, 0)), None, None, 0.0, "")
    monkeypatch.setitem(datasets, "customers", lambda: shorter)
    with pytest.raises(JobError, match="has other rows than when they were compared"):
        order(harbour, BANK, Export("align-1", "csv"))
    monkeypatch.delitem(datasets, "customers")
    with pytest.raises(JobError, match="data set 'customers' is not here any more"):
        order(harbour, BANK, Export("align-1", "csv"))
    assert dataset.rows == 90


def test_the_order_travels_whole() -> None:
    asked = Predict("risk-1", "decile", ARBITER, "newcomers", ("c-1", "c-2"))
    assert Predict in ORDERS.values()
    assert read_order(write_order(asked)) == asked
