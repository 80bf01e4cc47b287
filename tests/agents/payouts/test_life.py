"""From two jobs to the money: uses, payouts, approvals by quorum, settlement, report and audit, over a real broker.

Every agent is a daemon: the keeper's a process of its own, the parties' on threads of this one.
"""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import tomlkit
from click.testing import CliRunner

from hansa.agents.cli import main
from hansa.agents.demo.processes import AgentProcesses
from hansa.agents.home import Home
from hansa.agents.local import AGGREGATOR, Member
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.service.test_succession import PARTIES, registered, table
from tests.agents.towns import found_town, raze_town

JOB = """
job = "{job}"
model = "softmax"
dataset = "rows"
classes = ["no", "yes"]
seed = 4
{how}
[payout]
currency = "EUR"
pot = "100000.00"
price_per_row = "0.005"
[settings]
rounds = 2
"""
VALUED = 'contribution = "shapley"\nvalidation = "agreed"'


@pytest.fixture
def town(tmp_path: Path) -> Iterator[dict[str, Home]]:
    """Yield a federation at work, whose parties' rows are on the ledger."""
    node = servers.shared()
    data = {"data": {"rows": {"file": "rows.csv", "target": "outcome"}}}
    homes = found_town(tmp_path / "town", node, [Member(name, config=data) for name in PARTIES])
    for name in homes:
        (homes[name].path / "rows.csv").write_text(table(name))
    homes[AGGREGATOR].edit(_lend)
    with AgentProcesses() as processes, ExitStack() as stack:
        running = {name: stack.enter_context(at_work(homes[name])) for name in PARTIES}
        processes.start(homes[AGGREGATOR])
        until(lambda: all(ready(each) for each in running.values()), "ready")
        until(lambda: registered(homes[AGGREGATOR]) == len(homes), "their rows are on the ledger")
        yield homes
    raze_town(node, homes)


def _lend(document: tomlkit.TOMLDocument) -> None:
    """Have the coordinator hold the rows that coalitions' models are valued on."""
    document["data"] = {"agreed": {"file": "rows.csv", "target": "outcome"}}


def test_two_jobs_and_their_uses_are_paid_for_to_the_cent(town: dict[str, Home], tmp_path: Path) -> None:
    def hansa(who: str, *words: object) -> str:
        result = CliRunner(env={"COLUMNS": "160"}).invoke(
            main, [*map(str, words), "--home", str(town[who].path)]
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    def propose(*words: object) -> int:
        told = hansa(AGGREGATOR, "payout", "propose", "--yes", *words)
        found = re.search(r"payout (\d+) proposed; 2 of those whom it pays must approve it", told)
        assert found is not None, told
        return int(found[1])

    def pay(number: int, reference: str) -> None:
        for name in PARTIES[:2]:
            told = hansa(name, "payout", "approve", number, "--yes")
            assert "recomputed from our own copy of the ledger, and the same as in the entry" in told
        assert hansa(AGGREGATOR, "payout", "settle", number, "--reference", reference).endswith(
            "is settled\n"
        )

    for job, how in (("herring", ""), ("salt", VALUED)):
        file = tmp_path / f"{job}.toml"
        file.write_text(JOB.format(job=job, how=how))
        told = hansa(AGGREGATOR, "job", "submit", file, "--watch")
    assert told.count("8 coalitions of 3 parties valued, gain ") == 2
    assert "contributions to the model's score: east " in hansa(AGGREGATOR, "job", "result", "salt")
    assert "its model has scored 12345 rows in all" in hansa(
        "north", "model", "used", "--job", "herring", "--rows", 12_345, "--purpose", "the market of Scania"
    )
    for words, reference in (
        (("--job", "herring"), "TX 1"),
        (("--job", "salt"), "TX 2"),
        (("--job", "herring", "--uses"), "=TX()"),
    ):
        pay(propose(*words), reference)

    def level() -> bool:
        return '"open"' not in hansa("west", "payout", "list", "--json") and "TX()" in hansa(
            "west", "payout", "list"
        )

    until(level, "west has heard of every settlement")
    told = hansa("west", "payout", "report", "--csv", tmp_path / "paid.csv", "--html", tmp_path / "paid.html")
    assert "every amount is recomputed from the ledger, which holds\n" in told
    rows = list(csv.DictReader((tmp_path / "paid.csv").read_text().splitlines()))
    assert {row["reference"] for row in rows} == {"TX 1", "TX 2", "'=TX()"}
    pots = [
        sum(int(row["amount"].replace(".", "")) for row in rows[start : start + 3]) for start in (0, 3, 6)
    ]
    assert pots == [10_000_000, 10_000_000, 6_172]  # 12,345 rows at 0.005 EUR, rounded down
    sums = {each["party"]: each for each in json.loads(hansa("west", "payout", "report", "--json"))["totals"]}
    assert sum(int(each["settled"].replace(".", "")) for each in sums.values()) == sum(pots)
    assert {each["open"] for each in sums.values()} == {"0.00"}

    exported = tmp_path / "town.export"
    runner = CliRunner()
    made = runner.invoke(main, ["ledger", "export", str(exported), str(town["west"].path)]).stdout
    charter = made.split("--charter ")[1].strip()
    audited = runner.invoke(main, ["ledger", "audit", str(exported), "--charter", charter, "--json"])
    assert audited.exit_code == 0, audited.output
    assert [each["status"] for each in json.loads(audited.stdout)["payouts"]] == ["settled"] * 3
