"""Data sets by order: registered, replaced, withdrawn, and never pulled from under a job."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hansa.agents.data.orders import AddData, Section, WithdrawData
from hansa.agents.errors import ConfigError, DataError, JobAborted
from hansa.agents.home import Home
from hansa.agents.jobs.orders import Submit
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.agents.service.office import Office
from hansa.agents.service.orders import read_order, write_order
from tests.agents.federations import found, specification
from tests.agents.offices import Desk, office

SECTION: dict[str, str | int | float] = {"file": "more.csv", "target": "label", "holdout": 0.2}

RAW: Section = {
    "file": "more.csv",
    "target": "label",
    "holdout": 0.25,
    "categories": ("ward",),
    "missing": "fill",
    "standardise": False,
}


@dataclass(slots=True)
class Registering(Desk):
    """A daemon as far as data sets go: a reload takes them from agent.toml and registers what is not registered."""

    local: LocalFederation | None = None

    def reload(self) -> str:
        assert self.local is not None
        home = Home(self.local.folder / "north")
        agent = self.local.agents["north"]
        known = self.local.ask("north", lambda agent: set(agent.clerk.standing.datasets))
        for name in home.config().data:
            if ("north", name) not in known:
                agent.register(home.dataset(name))
        return "taken"


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[LocalFederation]:
    with found(tmp_path / "homes") as local:
        (local.folder / "north" / "more.csv").write_text("id,a,label\n1,2,x\n2,3,y\n")
        yield local


@pytest.fixture
def north(federation: LocalFederation) -> Office:
    at = office(federation, "north")
    return Office(at.home, at.agent, at.transport, Registering(local=federation))


def test_a_data_set_is_written_registered_replaced_and_withdrawn(
    federation: LocalFederation, north: Office
) -> None:
    told = AddData("more", SECTION, replace=False).carry_out(north)
    assert told == {"name": "more", "registered": True, "rows": 2}
    first = federation.ask("north", lambda agent: agent.clerk.standing.datasets["north", "more"])
    with pytest.raises(DataError, match="'more' is registered already; --replace"):
        AddData("more", SECTION, replace=False).carry_out(north)
    (north.home.path / "more.csv").write_text("id,a,label\n1,2,x\n2,3,y\n3,4,x\n")
    assert AddData("more", SECTION, replace=True).carry_out(north)["registered"]
    second = federation.ask("north", lambda agent: agent.clerk.standing.datasets["north", "more"])
    assert (first.rows, second.rows) == (2, 3)
    told = WithdrawData("more", "enough").carry_out(north)
    assert told == {"name": "more", "withdrawn": True, "was_registered": True}
    assert "more" not in north.home.config().data
    with pytest.raises(DataError, match=r"'more': neither in agent.toml nor on the ledger"):
        WithdrawData("more", "enough").carry_out(north)


def test_a_data_set_of_text_and_gaps_is_registered_by_its_raw_columns(
    federation: LocalFederation, north: Office
) -> None:
    (north.home.path / "more.csv").write_text("id,a,ward,label\n1,,east,x\n2,3,west,y\n3,4,,y\n")
    AddData("more", RAW, replace=False).carry_out(north)
    registered = federation.ask("north", lambda agent: agent.clerk.standing.datasets["north", "more"])
    assert (registered.rows, registered.columns, registered.target) == (3, ("a", "ward"), "label")
    section = north.home.config().data["more"]
    assert (section.categories, section.missing, section.standardise) == (("ward",), "fill", False)


def test_an_order_to_add_data_travels_whole() -> None:
    order = AddData("more", RAW, replace=True)
    assert read_order(write_order(order)) == order


def test_a_data_set_that_a_job_uses_stays(federation: LocalFederation, north: Office) -> None:
    spec = specification("busy", settings={"rounds": 5000})
    Submit(spec).carry_out(office(federation, AGGREGATOR))
    federation._until(lambda: "busy" in federation.ask("north", lambda agent: agent.open_jobs()), 30.0)
    for what in (AddData("rows", SECTION, replace=True), WithdrawData("rows", "x")):
        with pytest.raises(DataError, match="job busy is using it; wait for its end, or cancel it"):
            what.carry_out(north)
    federation.coordinator.cancel("busy", "over")
    with pytest.raises(JobAborted):
        federation.run(spec)


def test_a_keeper_that_does_not_answer_in_time_is_said(
    federation: LocalFederation, north: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.data.orders.CHAINED_S", -1.0)
    monkeypatch.setattr("hansa.agents.data.orders._registered", lambda office, name: True)
    with pytest.raises(DataError, match="the keeper has not withdrawn the old version yet"):
        AddData("rows", SECTION, replace=True).carry_out(north)


def test_a_section_that_cannot_be_leaves_agent_toml_as_it_was(north: Office) -> None:
    before = (north.home.path / "agent.toml").read_bytes()
    with pytest.raises(ConfigError, match=r"data\.more\.holdout"):
        AddData("more", SECTION | {"holdout": 2.0}, replace=False).carry_out(north)
    assert (north.home.path / "agent.toml").read_bytes() == before
