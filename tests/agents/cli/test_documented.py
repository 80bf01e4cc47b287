"""What the documents on payouts tell people to type is there to be typed; the file that they show is one."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from hansa.agents.cli import main
from hansa.agents.jobs.jobfile import JobFile
from hansa.ledger.contribution import chosen
from hansa.ledger.terms import terms

ROOT = Path(__file__).parents[3]
INCENTIVES = (ROOT / "docs" / "incentives.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8").split("## Who is paid what")[1].split("\n## ")[0]
TYPED = re.compile(r"^(hansa .*)$|`(hansa [a-z]+ [^`\n]*)`", re.MULTILINE)
COMMANDS = sorted({one or other for one, other in TYPED.findall(INCENTIVES + README)})


@pytest.mark.parametrize("line", COMMANDS)
def test_what_is_to_be_typed_is_a_command_with_these_options(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("agreed.csv", "credit-7.toml", "FILE"):
        Path(name).touch()
    Path("north").mkdir()
    command: click.Command = main
    words = shlex.split(line, comments=True)[1:]
    context = click.Context(main)
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    # `FINGERPRINT` stands for 64 hexadecimal digits.
    command.make_context("typed", [word.replace("FINGERPRINT", "ab" * 32) for word in words])


def test_there_are_such_commands() -> None:
    assert len(COMMANDS) > 15


def test_the_file_that_the_document_shows_is_a_jobs() -> None:
    [shown] = re.findall(r"```toml\n(.*?)```", INCENTIVES, re.DOTALL)
    file = JobFile(**tomllib.loads(shown))
    assert file.payout is not None
    agreed = terms({f"payout.{name}": value for name, value in file.payout.terms().items()})
    assert agreed is not None
    assert (agreed.pot_minor, agreed.price_micros, agreed.cost_micros) == (10_000_000, 5_000, 10_000)
    assert isinstance(file.contribution, dict)
    how = chosen(
        {"contribution.utility": "score"} | {f"contribution.{key}": v for key, v in file.contribution.items()}
    )
    assert how is not None
    assert how.settings == (("cycles", 4),)
