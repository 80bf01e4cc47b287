"""One command for people. Errors are one clear line and a non-zero exit, never a traceback."""

import io
import sys
from typing import Any

import click

import hansa
from hansa.agents.cli.agent import agent
from hansa.agents.cli.backup import backup, restore
from hansa.agents.cli.broker import broker
from hansa.agents.cli.data import data
from hansa.agents.cli.demo import demo
from hansa.agents.cli.doctor import doctor
from hansa.agents.cli.federation import federation
from hansa.agents.cli.init import init
from hansa.agents.cli.job import job
from hansa.agents.cli.join import join
from hansa.agents.cli.keys import revoke_key, rotate_keys
from hansa.agents.cli.ledger import ledger
from hansa.agents.cli.lines import one_line
from hansa.agents.cli.model import model, predict
from hansa.agents.errors import AgentError
from hansa.broker import BrokerError
from hansa.ledger import LedgerError
from hansa.protocols import ProtocolError


class _OneLineErrors(click.Group):
    """Turns the house's errors, and the system's, into one line on stderr."""

    def invoke(self, context: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a name the terminal can't show must not end the command
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(context)
        except (AgentError, BrokerError, LedgerError, ProtocolError) as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(1) from None
        except OSError as error:
            raise click.ClickException(one_line(error)) from error


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hansa.__version__, prog_name="hansa")
def main() -> None:
    """Train one model on data that never leaves its owners, and keep one ledger of who contributed what."""


main.add_command(agent)
main.add_command(backup)
main.add_command(broker)
main.add_command(data)
main.add_command(demo)
main.add_command(doctor)
main.add_command(federation)
federation.add_command(rotate_keys)
federation.add_command(revoke_key)
main.add_command(init)
main.add_command(join)
main.add_command(job)
main.add_command(ledger)
main.add_command(model)
main.add_command(predict)
main.add_command(restore)
