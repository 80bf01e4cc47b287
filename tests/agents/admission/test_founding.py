"""A charter says how contributions are measured, and how many agree to a payout, from the first entry on."""

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from hansa.agents.admission.founding import found
from hansa.agents.cli import main
from hansa.agents.home import Home
from hansa.broker import Identity
from hansa.ledger import Charter, decode_body, read_entry

BROKER = "amqp://broker.example"


def charter(home: Home) -> Charter:
    with closing(home.stored()) as store:
        fields = read_entry(next(store.read(0, 1)).signed)
    body = decode_body(fields.kind, fields.schema, fields.body)
    assert isinstance(body, Charter)
    return body


def test_a_charter_is_typed_with_what_it_says_of_contributions(tmp_path: Path) -> None:
    def typed(*words: str) -> str:
        result = CliRunner().invoke(main, words, env={"HANSA_MANAGEMENT": ""})
        assert result.exit_code == 0, result.output
        return result.output

    home = str(tmp_path / "guild")
    typed("init", home, "--name", "aggregator", "--role", "aggregator")
    rules = ("--contribution", "gtg", "--utility", "loss", "--approvals", "2")
    typed("federation", "create", "town", "--home", home, "--broker", BROKER, *rules)
    said = charter(Home(Path(home)))
    assert (said.contribution, said.utility, said.approvals) == ("gtg", "loss", 2)


def test_a_way_of_measuring_that_nobody_knows_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    keeper = Identity.generate("aggregator")
    home = Home.create(tmp_path / "guild", keeper, {"agent": {"name": "aggregator", "roles": ["aggregator"]}})
    before = sorted(path.name for path in home.path.iterdir())
    with pytest.raises(ValueError, match=r"contribution: expected one of volume, .*, got 'auction'"):
        found(home, keeper, "town", BROKER, lambda account: None, contribution="auction")
    assert sorted(path.name for path in home.path.iterdir()) == before
