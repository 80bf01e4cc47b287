"""One command for people. Errors are one clear line and a non-zero exit, never a traceback."""

import sys
from typing import Any

import click

import hansa
from hansa.agents.cli.demo import demo
from hansa.agents.cli.ledger import ledger
from hansa.agents.errors import AgentError
from hansa.broker import BrokerError
from hansa.ledger import LedgerError
from hansa.protocols import ProtocolError


class _OneLineErrors(click.Group):
    """Turns the house's errors into one line on stderr."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (AgentError, BrokerError, LedgerError, ProtocolError) as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(1) from None


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hansa.__version__, prog_name="hansa")
def main() -> None:
    """Train one model on data that never leaves its owners, and keep one ledger of who contributed what."""


main.add_command(demo)
main.add_command(ledger)
