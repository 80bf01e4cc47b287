"""The demo as in practice: every agent a process of its own, a broker between them, each step a command.

What is typed is printed; anybody can type it again. The agents end with the demo, however it ends; the homes, and
the federation's place on the broker, stay.
"""

import os
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from urllib.parse import quote, urlsplit

import click
import tomlkit
from rich.console import Console
from rich.markup import escape

from hansa.agents.cli import main
from hansa.agents.cli.management import VARIABLE, open_management
from hansa.agents.core.lending import training_bench
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset
from hansa.agents.demo.digits import (
    DATASET,
    PARTIES,
    PLANS,
    Figures,
    Plan,
    compare,
    deal,
    minor_units,
    print_figures,
    print_members,
    print_shares,
    specification,
)
from hansa.agents.demo.folder import MARKER, clear, print_farewell
from hansa.agents.demo.processes import AgentProcesses
from hansa.agents.errors import AgentError
from hansa.agents.home import Home, write_whole
from hansa.agents.jobs.follow import follow, read_standing
from hansa.agents.jobs.progress import JobProgress, read_progress
from hansa.agents.local import AGGREGATOR
from hansa.broker import BrokerError, Management, withdraw
from hansa.ledger import Head, verify_store
from hansa.protocols import ModelRegistry

FEDERATION = "digits-demo-"  # and some digits: others may use the same broker
MANAGEMENT_PORT = 15672
LEVEL_S = 60.0  # for every copy of the ledger to have the last entry
POLL_S = 0.1


def run_demo_over(
    broker: str,
    management: str | None,
    folder: Path,
    *,
    replace: bool,
    seed: int,
    pot: str,
    console: Console,
) -> list[Figures]:
    """Run both jobs over a broker, print what happens, and leave the homes in `folder`.

    Args:
        broker: ``amqp(s)://user:password@host:port``, of whoever may make users and virtual hosts there.
        management: its management API, http(s)://user:password@host:port; guessed from `broker` if None.

    Raises:
        AgentError, BrokerError: the folder is in use, the pot is no amount of money, the broker is not there or
            does not let us in, or a job failed.
    """
    pot_minor = minor_units(pot)
    administration = management or guessed_management(broker)
    _withdraw_earlier(folder, open_management(administration), replace)
    clear(folder, replace, [AGGREGATOR, *PARTIES])
    started = time.monotonic()
    federation = FEDERATION + secrets.token_hex(3)
    homes = {name: Home(folder / name) for name in (AGGREGATOR, *PARTIES)}
    console.print(
        f"[bold]hansa demo horizontal[/]: {len(homes)} processes over {escape(_bare(broker))}, SQLite ledgers",
        highlight=False,
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARKER).touch()
    with _administering(administration), AgentProcesses() as agents:
        _found(console, agents, homes[AGGREGATOR], federation, _bare(broker))
        for name, organisation in PARTIES.items():
            _join(console, agents, homes[AGGREGATOR], homes[name], name, organisation)
        counts = deal(folder, seed)
        for name in PARTIES:
            rows = folder / name / "digits.csv"
            _run(console, homes[name], "data", "add", str(rows), "--name", DATASET, "--target", "digit")
        _wait_for_registrations(homes[AGGREGATOR])
        print_members(console, read_standing(homes[AGGREGATOR]).members, counts)
        figures = [_train(console, homes, plan, seed) for plan in PLANS]
        head = _await_level(homes)
    print_figures(console, figures)
    print_shares(console, _progress(homes[AGGREGATOR], PLANS[-1].job).shares, pot_minor)
    console.print(
        f"\nledger verified: {head.size} entries, head {head.hash.hex()[:16]}, the same at all {len(homes)} agents"
        f"   ({time.monotonic() - started:.0f} s in all)",
        highlight=False,
    )
    print_farewell(console, folder, "north")
    return figures


def guessed_management(broker: str) -> str:
    """Return where a broker's management API is if it is where it usually is: same host, port 15672, same user.

    Raises:
        AgentError: the broker's URL names no user with a password.
    """
    parts = urlsplit(broker)
    if parts.username is None or parts.password is None or parts.hostname is None:
        raise AgentError(
            "--broker: expected amqp://user:password@host:port, of somebody who administers the broker"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "https" if parts.scheme == "amqps" else "http"
    return f"{scheme}://{parts.username}:{parts.password}@{host}:{MANAGEMENT_PORT}"


# --- steps ------------------------------------------------------------------------------------------------
def _found(console: Console, agents: AgentProcesses, home: Home, federation: str, broker: str) -> None:
    _run(console, None, "init", str(home.path), "--name", AGGREGATOR, "--role", "aggregator")
    _run(
        console, home, "federation", "create", federation, "--broker", broker, "--purpose", "the digits demo"
    )
    _start(console, agents, home)


def _join(
    console: Console, agents: AgentProcesses, keeper: Home, home: Home, name: str, organisation: str
) -> None:
    _run(console, None, "init", str(home.path), "--name", name, "--organisation", organisation)
    invitation = home.path / f"{name}.invite"
    _run(console, keeper, "federation", "invite", name, "--admit", "--out", str(invitation))
    _run(console, home, "join", str(invitation))
    _start(console, agents, home)


def _train(console: Console, homes: dict[str, Home], plan: Plan, seed: int) -> Figures:
    """Submit a job, watch it to its end, and hold its model against those of pooled and of lonely rows."""
    console.print(f"\n[bold]{plan.title}[/], FedAvg, {plan.rounds} rounds", highlight=False)
    spec = specification(plan, seed)
    file = homes[AGGREGATOR].path / f"{plan.job}.toml"
    write_whole(file, _job_file(spec))
    _run(console, homes[AGGREGATOR], "job", "submit", str(file), "--watch", whole=True)
    done = _progress(homes[AGGREGATOR], plan.job).ending
    assert done is not None
    assert done.score is not None
    registry = ModelRegistry()
    benches = {
        name: training_bench(spec, registry, {DATASET: _reader(homes[name])}) for name in sorted(PARTIES)
    }
    return compare(spec, plan, benches, done.score)


def _start(console: Console, agents: AgentProcesses, home: Home) -> None:
    _print_typed(console, ["agent", "run", "--home", str(home.path)], " &")
    agents.start(home)


def _run(console: Console, home: Home | None, *words: str, whole: bool = False) -> None:
    """Carry out a command as if it were typed; print what it says, or the first line of it.

    Raises:
        AgentError: it failed.
    """
    arguments = [*words, *(() if home is None else ("--home", str(home.path)))]
    _print_typed(console, arguments)
    said = StringIO()
    try:
        with nullcontext() if whole else redirect_stdout(said):
            main.main(arguments, prog_name="hansa", standalone_mode=False)
    except click.ClickException as error:
        raise AgentError(error.format_message()) from error
    except SystemExit as error:
        raise AgentError(f"hansa {' '.join(words[:2])} ended with {error.code}; it says above why") from None
    for line in said.getvalue().splitlines()[:1]:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def _print_typed(console: Console, arguments: list[str], ending: str = "") -> None:
    typed = shlex.join(["hansa", *arguments])
    console.print(f"[dim]$ {escape(typed)}{ending}[/]", highlight=False, soft_wrap=True)


def _job_file(spec: JobSpec) -> str:
    """Return a job as a person writes it: what the ledger says of the data is left to the ledger."""
    return tomlkit.dumps(
        {
            "job": spec.job,
            "protocol": spec.protocol,
            "model": spec.model,
            "dataset": spec.dataset,
            "classes": list(spec.classes),
            "minimum_parties": spec.minimum_parties,
            "consent_s": spec.consent_s,
            "seed": spec.seed,
            "settings": dict(spec.settings),
            "hyperparameters": dict(spec.hyperparameters),
        }
    )


# --- the broker -------------------------------------------------------------------------------------------
def _bare(broker: str) -> str:
    """Return a broker's URL without user and password."""
    parts = urlsplit(broker)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def _administering(management: str) -> Iterator[None]:
    """Let the commands find the management API; not on their command line, which others can read."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = management
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def _withdraw_earlier(folder: Path, management: Management, replace: bool) -> None:
    """Take an earlier demo's federation off the broker, if its folder is to be replaced and says which it was."""
    keeper = Home(folder / AGGREGATOR)
    if not (replace and (folder / MARKER).is_file() and keeper.exists()):
        return
    with suppress(AgentError, BrokerError):  # of an earlier version, or gone already
        federation = keeper.config().federation.id
        if federation.startswith(FEDERATION):
            for name in (AGGREGATOR, *PARTIES):
                withdraw(management, federation, name)
            management.call("DELETE", f"vhosts/{quote(federation, safe='')}")


# --- the ledgers ------------------------------------------------------------------------------------------
def _reader(home: Home) -> Callable[[], Dataset]:
    return lambda: home.dataset(DATASET)


def _progress(home: Home, job: str) -> JobProgress:
    with follow(home) as view:
        return read_progress(view.news())[job]


def _wait_for_registrations(home: Home) -> None:
    expected = {(name, DATASET) for name in PARTIES}
    _until(lambda: expected <= set(read_standing(home).datasets), "not every party's data set is registered")


def _await_level(homes: dict[str, Home]) -> Head:
    """Wait until every copy of the ledger ends where the keeper's does; verify each, and return where."""
    heads: dict[str, Head] = {}

    def level() -> bool:
        heads.update({name: _verified(home) for name, home in homes.items()})
        return len(set(heads.values())) == 1

    _until(level, "the copies of the ledger differ")
    return heads[AGGREGATOR]


def _verified(home: Home) -> Head:
    fingerprint = bytes.fromhex(home.config().federation.charter)
    with closing(home.stored()) as store:
        return verify_store(store, fingerprint=fingerprint).head


def _until(done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + LEVEL_S
    while not done():
        if time.monotonic() > deadline:
            raise AgentError(f"{otherwise} after {LEVEL_S:g} s")
        time.sleep(POLL_S)
