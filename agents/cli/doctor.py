"""`hansa doctor`: what is wrong with a home, and what helps."""

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from hansa.agents.care import doctor_heads, doctor_home, doctor_ledger, doctor_town
from hansa.agents.care.doctor import TIMEOUT_S, Check, Finding, Patient, examine
from hansa.agents.home import Home
from hansa.agents.service.logs import printable

CHECKS = (
    Check("configuration", doctor_home.configuration),
    Check("keys", doctor_home.keys, ("agent.toml",)),
    Check("disk", doctor_home.disk),
    Check("agent", doctor_home.agent),
    Check("journal", doctor_home.journal),
    Check("data", doctor_home.data, ("agent.toml",)),
    Check("ledger", doctor_ledger.ledger, ("federation",)),
    Check("checkpoints", doctor_heads.checkpoints, ("ledger",)),
    Check("clock", doctor_ledger.clock),
    Check("membership", doctor_ledger.membership, ("keys", "federation")),
    Check("broker", doctor_town.broker, ("federation",), 3 * TIMEOUT_S),
    Check("queues", doctor_town.queues, ("broker",)),
    Check("rights", doctor_town.rights, ("broker",)),
    Check("peers", doctor_town.peers, ("keys", "broker"), 6 * TIMEOUT_S),
)
SIGNS = {
    "ok": ("✓", "green"),
    "wrong": ("✗", "bold red"),
    "note": ("·", "cyan"),
    "unchecked": ("–", "yellow"),
}


@click.command()
@click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("."),
    show_default=True,
    envvar="HANSA_HOME",
    show_envvar=True,
    help="The agent's folder.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the passphrase of the keys (mode 0600).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding and line.")
def doctor(folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Look for what is wrong with a home, from its key file to its peers, and say what helps.

    Exits with 1 if anything is wrong. The agent may run meanwhile; if it does not, it is run for a moment at the
    end, to ask who else is there.
    """
    logging.disable(logging.ERROR)  # what is wrong is said here, once
    try:
        wrong = _tell(Patient(Home(folder), passphrase_file=passphrase_file), as_json)
    finally:
        logging.disable(logging.NOTSET)
    sys.exit(1 if wrong else 0)


def _tell(patient: Patient, as_json: bool) -> int:
    """Print what is found, as it is found; return how many things are wrong."""
    console = Console(highlight=False, soft_wrap=True)
    wrong = 0
    for finding in examine(patient, CHECKS):
        wrong += finding.verdict == "wrong"
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            console.print(_line(finding))
    if not as_json:
        click.echo({0: "nothing is wrong", 1: "1 thing is wrong"}.get(wrong, f"{wrong} things are wrong"))
    return wrong


def _line(finding: Finding) -> Text:
    sign, style = SIGNS[finding.verdict]
    line = Text.assemble((sign, style), f" {finding.area:<14} {printable(finding.text)}")
    if finding.remedy and finding.verdict != "ok":
        line.append(
            f"\n  {'':<14} → {printable(finding.remedy)}", "dim" if finding.verdict != "wrong" else ""
        )
    return line
