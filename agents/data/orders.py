"""What may be asked of an agent about its data sets? To register what agent.toml has, and to withdraw it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import tomlkit

from hansa.agents.core.agent import Agent
from hansa.agents.errors import DataError
from hansa.agents.home import CONFIG, Home
from hansa.agents.service.connection import Patience
from hansa.agents.service.office import Office
from hansa.protocols.inference import INFERENCE

CHAINED_S = 20.0  # how long to wait for the keeper; what is under way by then goes on by itself
POLL_S = 0.05

Section: TypeAlias = Mapping[str, bool | int | float | str | tuple[str, ...]]  # as under [data.NAME]


@dataclass(frozen=True, slots=True)
class AddData:
    """Write a data set into agent.toml, and have it registered.

    Args:
        name: of its section.
        section: what stands in it; the caller has read the rows and found them sound.
        replace: whether one of this name may be there already.
    """

    name: str
    section: Section
    replace: bool

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether the ledger has it by now, and with how many rows: those withdrawn before are left out.

        Raises:
            DataError: it is registered already, or a job is using it.
        """
        check_unused(office, self.name)
        if _registered(office, self.name):
            if not self.replace:
                raise DataError(f"data set {self.name!r} is registered already; --replace registers it anew")
            if not _withdraw(office, self.name, "replaced by another version"):
                raise DataError(
                    f"data set {self.name!r}: the keeper has not withdrawn the old version yet; try later"
                )
        write_section(office.home, self.name, self.section, self.replace)
        office.daemon.reload()  # which registers what is not registered
        registered = until(office, lambda: _registered(office, self.name))
        rows = office.ask(lambda: _rows(office.agent, self.name)) if registered else None
        return {"name": self.name, "registered": registered, "rows": rows}


@dataclass(frozen=True, slots=True)
class WithdrawData:
    """Have a data set serve no later job, and take it out of agent.toml; its file stays."""

    name: str
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether the ledger says so by now.

        Raises:
            DataError: a job is using it, or there is none of this name.
        """
        check_unused(office, self.name)
        registered = _registered(office, self.name)
        if not registered and self.name not in office.home.config().data:
            raise DataError(f"data set {self.name!r}: neither in agent.toml nor on the ledger")
        withdrawn = _withdraw(office, self.name, self.reason) if registered else True
        drop_section(office.home, self.name)
        office.daemon.reload()
        return {"name": self.name, "withdrawn": withdrawn, "was_registered": registered}


def write_section(home: Home, name: str, section: Section, replace: bool) -> None:
    """Write [data.NAME] into agent.toml, comments kept.

    Raises:
        DataError: there is one, and it may not be replaced.
        ConfigError: the section is not valid.
    """
    if name in home.config().data and not replace:
        raise DataError(f"{home.path / CONFIG}: data.{name} is there already; --replace writes it anew")

    def change(document: tomlkit.TOMLDocument) -> None:
        document.setdefault("data", tomlkit.table(is_super_table=True))[name] = dict(section)

    home.edit(change)


def drop_section(home: Home, name: str) -> None:
    """Take [data.NAME] out of agent.toml, if it is there; the rest, comments too, stays as it is."""

    def change(document: tomlkit.TOMLDocument) -> None:
        document.get("data", {}).pop(name, None)

    home.edit(change)


def _withdraw(office: Office, name: str, reason: str) -> bool:
    def withdraw() -> None:
        check_free(office.agent, name)
        known = office.agent.registered(name)
        if known is not None:
            office.agent.withdrawals.end(name, known.commitment, reason)

    office.ask(withdraw)
    return until(office, lambda: not _registered(office, name))


def _rows(agent: Agent, name: str) -> int | None:
    shown = agent.clerk.standing.datasets.get((agent.name, name))
    return None if shown is None else shown.rows


def check_unused(office: Office, name: str) -> None:
    """Raise DataError if a job is using a data set here."""
    office.ask(lambda: check_free(office.agent, name))


def check_free(agent: Agent, name: str) -> None:
    """Raise DataError if a job is using a data set here; on the agent's own thread."""
    for spec in map(agent.spec, agent.open_jobs()):
        asks = (
            spec.protocol == INFERENCE.name and agent.name not in spec.parties
        )  # then the rows are the guest's
        used = (spec.settings.get("rows") or spec.dataset) if asks else spec.dataset
        if used == name and (asks or agent.name in spec.parties):
            raise DataError(f"data set {name!r}: job {spec.job} is using it; wait for its end, or cancel it")


def _registered(office: Office, name: str) -> bool:
    agent = office.agent
    return office.ask(lambda: (agent.name, name) in agent.clerk.standing.datasets)


def until(office: Office, done: Callable[[], bool]) -> bool:
    """Wait until something is done; return whether it was before patience ended."""
    patience = Patience(office.daemon.health, CHAINED_S)
    while not done():
        if patience.spent():
            return False
        time.sleep(POLL_S)
    return True
