"""`hansa agent`: keep an agent at work, look at it, stop it."""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from hansa.agents.cli.options import home_option
from hansa.agents.errors import AgentError, BrokerTurnedAway, HomeError
from hansa.agents.home import Home
from hansa.agents.service.daemon import Daemon
from hansa.agents.service.logs import LEVELS, Form, printable, write_logs
from hansa.agents.service.notify import Notifier
from hansa.agents.service.passphrase import unlock
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Reload, Status, Stop
from hansa.broker import BrokerError
from hansa.ledger import LedgerError

STOPPED_S = 15.0  # how long `stop` waits for the process to end
TASKS_S = 0.3  # how long tasks may take to notice that nobody wants their result
POLL_S = 0.02
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DONE = 0  # no signal's number

log = logging.getLogger("hansa.daemon")


class _TurnedAway(click.ClickException):
    exit_code = 3  # the service manager's restart would change nothing


@click.group()
def agent() -> None:
    """Run the agent of a home, and see how it is."""


@agent.command()
@home_option
@click.option(
    "--log",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or one object per line.",
)
@click.option("--log-level", "level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the passphrase of the keys (mode 0600).",
)
def run(home: Home, form: str, level: str, passphrase_file: Path | None) -> None:
    """Keep the agent at work until it is told to stop (SIGTERM, SIGINT, `hansa agent stop`).

    SIGHUP has it read policy and data sets again. Exits with 3 if the broker does not let it in.
    """
    config = home.config()
    _ = config.federation  # before anything is locked or asked: an agent of no federation has no work
    write_logs(config.agent.name, cast(Form, form), level)
    try:
        with home.held():
            daemon = Daemon(home, unlock(home, passphrase_file), notifier=Notifier.from_environment())
            with obey_signals(daemon):
                daemon.run()
    except BrokerTurnedAway as error:
        raise _TurnedAway(str(error)) from None
    except (AgentError, BrokerError, LedgerError, OSError):
        raise  # one line each
    except Exception:
        log.critical("%s: ends because of a fault of its own", config.agent.name, exc_info=True)
        _leave(1)
    _leave(0)


@agent.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(home: Home, as_json: bool) -> None:
    """Show how the running agent is."""
    with reach(home, alone=False) as ask:
        told = ask(Status())
    click.echo(json.dumps(told) if as_json else "\n".join(describe(told)))


@agent.command()
@home_option
def stop(home: Home) -> None:
    """End the running agent after the step under way, and wait until it has ended."""
    with reach(home, alone=False) as ask:
        process = ask(Stop())["pid"]
    deadline = time.monotonic() + STOPPED_S
    while time.monotonic() < deadline:
        with suppress(HomeError), home.held():
            click.echo(f"{home.config().agent.name}: stopped")
            return
        time.sleep(POLL_S)
    raise AgentError(f"process {process} was told to stop, but has not ended within {STOPPED_S:g} s")


@agent.command()
@home_option
def reload(home: Home) -> None:
    """Have the running agent read policy and data sets of agent.toml again."""
    with reach(home, alone=False) as ask:
        click.echo(ask(Reload())["taken"])


@contextmanager
def obey_signals(daemon: Daemon) -> Iterator[None]:
    """Stop a daemon at SIGTERM or SIGINT, have it reload at SIGHUP.

    A thread does so: a handler would run in the middle of the agent's own work, perhaps under its locks. Python
    writes the numbers of signals into a pipe for it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def obey() -> None:
        while (number := os.read(reading, 1)[0]) != DONE:
            if number in SIGNALS:
                _obey(daemon, number)

    before = {each: signal.signal(each, lambda _number, _frame: None) for each in SIGNALS}
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    obeyer = threading.Thread(target=obey, name="hansa-signals", daemon=True)
    obeyer.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        for each, handler in before.items():
            signal.signal(each, handler)
        os.write(writing, bytes([DONE]))
        obeyer.join()
        os.close(reading)
        os.close(writing)


def _obey(daemon: Daemon, number: int) -> None:
    if number != signal.SIGHUP:
        daemon.stop()
        return
    try:
        daemon.reload()
    except AgentError as error:
        log.error("not reloaded, all stays as it was: %s", error)


def _leave(code: int) -> None:
    """Exit, without waiting for tasks under way: the journal has them, and the next start runs them again."""
    deadline = time.monotonic() + TASKS_S
    while any(thread.name.startswith("hansa-task") for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            logging.shutdown()
            os._exit(code)  # the interpreter would wait for them
        time.sleep(POLL_S)
    sys.exit(code)


def describe(told: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of `hansa agent status`."""
    whose = f" ({printable(told['organisation'])})" if told["organisation"] else ""
    since = _utc(told["started"])
    broker = told["broker"]
    trouble = f": {printable(broker['trouble'])}" if broker["trouble"] else ""
    yield f"{told['name']}{whose}: {', '.join(told['roles'])} of {told['federation']}"
    yield f"  running   since {since} UTC, process {told['pid']}, hansa {told['version']}"
    yield f"  broker    {broker['state']}{trouble}"
    ledger = told["ledger"]
    yield f"  ledger    {ledger['entries']} entries, head {ledger['head'][:16]}, kept by {told['keeper']}"
    yield from _checkpoint(told["checkpoint"])
    if told["awaited"]:
        waits = "restored from a backup; chains nothing before it knows what is held by"
        yield f"  keeping   {waits} {', '.join(told['awaited'])}"
    members = (name if how == "active" else f"{name} ({how})" for name, how in told["members"].items())
    yield f"  members   {', '.join(members) or 'none'}"
    for job in told["jobs"]:
        reason = f": {printable(job['reason'])}" if job.get("reason") else ""
        yield f"  job       {job['job']}: {job.get('outcome', job['status'])}{reason}"
    refused = ", ".join(f"{count} {error}" for error, count in told["refused"].items())
    last = f"; the last: {printable(told['last_refusal'])}" if refused else ""
    yield f"  messages  {told['unconfirmed']} unconfirmed; refused: {refused or 'none'}{last}"
    if told["unroutable"]:
        yield f"  no queue  {', '.join(told['unroutable'])}: not provisioned on the broker"
    yield f"  health    {told['health_url']}/health"


def _checkpoint(told: dict[str, Any]) -> Iterator[str]:
    """Yield what is to be said of the heads that the members put their names to."""
    if told["evidence"]:
        yield f"  FORKED    {told['evidence']} proofs that a keeper has signed two histories: hansa ledger evidence"
    if told["final"] is not None:
        final = f"the first {told['final']} entries, since {_utc(told['since_s'])} UTC"
        yield f"  final     {final}{'; not yet the newest: ' if told['lacks'] else ''}{printable(told['lacks'])}"
    elif told["lacks"]:
        yield f"  final     nothing yet: {printable(told['lacks'])}"
    if told["abstains"]:
        whom = ", ".join(told["abstains"])
        yield f"  abstains  restored from a backup; cosigns nothing before it is told what {whom} know"


def _utc(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
