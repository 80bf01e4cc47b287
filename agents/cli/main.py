"""One command for people. Errors are one clear line and a non-zero exit, never a traceback.

A command's module is imported when the command is typed: help, version and mistakes are answered at once, without
loading an agent.
"""

import io
import sys
from importlib import import_module
from typing import Any

import click

import hansa
from hansa.agents.cli.lines import one_line

# Command: the module here that has it, and the first line of its help.
COMMANDS = {
    "agent": ("agent", "Run the agent of a home, and see how it is."),
    "backup": ("backup", "Write the home into FILE: keys, configuration, journal, ledger."),
    "broker": (
        "broker",
        "Give a federation its place on a RabbitMQ broker, by the management API or by lines to type.",
    ),
    "data": ("data", "Offer data sets to the federation, and withdraw them."),
    "demo": ("demo", "See hansa at work on real data."),
    "doctor": (
        "doctor",
        "Look for what is wrong with a home, from its key file to its peers, and say what helps.",
    ),
    "federation": ("federation", "Found a federation, let members in and out, or leave one."),
    "init": ("init", "Make an agent's home in FOLDER: new keys, and an agent.toml to fill in."),
    "job": ("job", "Have models trained, and follow how it goes."),
    "join": (
        "join",
        "Ask to be let in, with the invitation in FILE, and set this home up once the keeper says yes.",
    ),
    "ledger": ("ledger", "Show and verify the ledger of an agent's home, or of a folder of homes."),
    "model": ("model", "Trained models."),
    "payout": ("payout", "Propose who is paid what for a job, approve it, settle it, and report on it."),
    "predict": (
        "predict",
        "Score ROWS with MODEL, a file of `hansa model export`; or, with --job, with all who hold parts of one.",
    ),
    "restore": ("backup", "Make a home of the backup in FILE, in place of the one that was lost."),
}
ERRORS = (
    ("hansa.agents.errors", "AgentError"),
    ("hansa.broker.errors", "BrokerError"),
    ("hansa.ledger.errors", "LedgerError"),
    ("hansa.protocols.errors", "ProtocolError"),
)


class _Commands(click.Group):
    """Imports the command that is typed, and turns errors of the house and the system into one line on stderr."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a name the terminal can't show must not end the command
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(1) from None
        except OSError as error:
            raise click.ClickException(one_line(error)) from error
        except Exception as error:
            if not isinstance(error, _told()):
                raise
            raise click.ClickException(str(error)) from error


def load(name: str) -> click.Command:
    """Import a command of `COMMANDS`."""
    command: click.Command = getattr(import_module(f"hansa.agents.cli.{COMMANDS[name][0]}"), name)
    return command


def _told() -> tuple[type[Exception], ...]:
    """Return the errors whose text is for people, of the rooms that are loaded: others have raised none."""
    return tuple(getattr(sys.modules[room], name) for room, name in ERRORS if room in sys.modules)


@click.group(
    cls=_Commands,
    commands=[click.Command(name, help=line) for name, (_, line) in COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(hansa.__version__, prog_name="hansa")
def main() -> None:
    """Train one model on data that never leaves its owners, and keep one ledger of who contributed what."""
