"""What jobs without a model leave behind: each bank's own borrowers, and nothing for those who only helped."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hansa.agents.core.messages import Setting
from hansa.agents.data.withdrawing import WithdrawRows
from hansa.agents.errors import JobError
from hansa.agents.jobs.takeaway import Export
from hansa.agents.local import LocalFederation
from tests.agents.federations import PARTIES, found, lender, rows, specification
from tests.agents.offices import order


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with found(tmp_path_factory.mktemp("banks"), journalled=False) as local:
        yield local


def run(
    local: LocalFederation, job: str, protocol: str, parties: tuple[str, ...], **settings: Setting
) -> None:
    spec = replace(
        specification(job),
        protocol=protocol,
        model="",
        parties=parties,
        classes=(),
        features=0,
        hyperparameters={},
        settings=settings,
        minimum_parties=len(parties),
    )
    local.run(spec)
    local.settle()


def test_a_bank_takes_away_which_of_its_own_customers_are_shared(
    banks: LocalFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(banks, "lending", "over-threshold-alignment", PARTIES, threshold=3)
    told = order(banks, "east", Export("lending", "csv"))
    with Path(told["file"]).open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids == list(rows("east").ids)  # they all number their rows alike
    order(banks, "west", WithdrawRows("rows", ("3",)))
    with pytest.raises(
        JobError, match="other rows than when they were compared"
    ):  # positions say nothing now
        order(banks, "west", Export("lending", "csv"))
    other = replace(rows("east"), ids=tuple(f"other-{place}" for place in range(60)))
    monkeypatch.setitem(banks.agents["east"].datasets, "rows", lender(other))
    with pytest.raises(JobError, match="data set 'rows' has other rows than when they were compared"):
        order(banks, "east", Export("lending", "csv"))


def test_whoever_has_only_helped_takes_nothing_away(banks: LocalFederation) -> None:
    run(banks, "secret", "alignment", ("east", "north"), receiver="east")
    assert order(banks, "east", Export("secret", "csv"))["rows"] == 60
    with pytest.raises(JobError, match="at north: another party alone knows which rows are common"):
        order(banks, "north", Export("secret", "csv"))
