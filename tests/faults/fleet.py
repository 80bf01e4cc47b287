"""A federation of real daemons: one process per agent, each behind a proxy of its own, over a real broker."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import tomlkit
from sklearn.datasets import load_digits

from hansa.agents.care.backup import make_backup, restore_backup
from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import AgentError
from hansa.agents.home import PASSWORD, Home, write_whole
from hansa.agents.local import LocalFederation, Member
from hansa.agents.service.reach import reach
from hansa.broker import Account, BrokerAddress, Management, provision
from hansa.broker.layout import user
from hansa.ledger import LedgerStore
from tests.faults.daemon import Look, Propose, Stretch
from tests.faults.tripwire import Tripwire
from tests.proxy import Proxy

KEEPER = "aggregator"
PARTIES = ("east", "north", "west")
AGENTS = (KEEPER, *PARTIES)
PROBES = ("probe-from", "probe-to")  # on the broker only: they are nobody's members
ROUNDS = 10
PATIENCE_S = 120.0  # for anything that should take seconds, on a machine that is busy
POLL_S = 0.02
LABELS = tuple(f"written-{digit}" for digit in range(10))  # unlike anything else that travels

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}  # four daemons share the cores


class Stuck(AssertionError):
    """Something that should have happened has not."""


def specification(job: str, *, rounds: int = ROUNDS, quorum: int = 3, deadline_s: float = 600.0) -> JobSpec:
    """Return a job on the digits: a model whose largest array travels beside its messages."""
    return JobSpec(
        job=job,
        protocol="horizontal-fedavg",
        model="mlp",
        dataset="digits",
        parties=PARTIES,
        classes=LABELS,
        features=64,
        hyperparameters={"hidden": 300, "learning_rate": 0.05, "epochs": 1, "batch_rows": 64},
        settings={
            "rounds": rounds,
            "quorum": quorum,
            "round_deadline_s": deadline_s,
            "silence_s": 4 * deadline_s,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=quorum,
        consent_s=600.0,
        seed=5,
    )


class Fleet:
    """The daemons of one federation, and what it takes to hurt them.

    Args:
        folder: for homes and logs.
        ports: of the broker's nodes.
        management: its administrator.
        ledgers: by agent, the URL of its ledger where that is not a file in its home.
    """

    def __init__(
        self,
        folder: Path,
        ports: Iterable[int],
        management: Management,
        ledgers: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"fleet-{secrets.token_hex(3)}"
        self.folder = folder
        self.management = management
        self.proxies = {name: Proxy(*ports) for name in (*AGENTS, *PROBES)}
        self.password = secrets.token_urlsafe(16)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        _found(folder / "homes", self.name)
        self.homes = {name: Home(folder / "homes" / name) for name in AGENTS}
        provision(management, self.name, [Account(name, self.password) for name in (*AGENTS, *PROBES)])
        for name, home in self.homes.items():
            self._connect(name, home)
        for name, url in (ledgers or {}).items():
            self._move_ledger(self.homes[name], url)

    def _connect(self, name: str, home: Home) -> None:
        write_whole(home.path / PASSWORD, self.password)
        url = f"amqp://{user(self.name, name)}@127.0.0.1:{self.proxies[name].port}/{self.name}"

        def change(document: tomlkit.TOMLDocument) -> None:
            document["broker"] = {"url": url, "password_file": PASSWORD}

        home.edit(change)

    def _move_ledger(self, home: Home, url: str) -> None:
        old = home.store()
        new = LedgerStore.open(url, create=True)
        new.append(tuple(old.read()))
        new.close()
        old.close()

        def change(document: tomlkit.TOMLDocument) -> None:
            document["ledger"] = {"url": url}

        home.edit(change)

    def address(self, name: str) -> BrokerAddress:
        """Return the way of an agent that has no home, a probe's, to the broker."""
        port = self.proxies[name].port
        return BrokerAddress("127.0.0.1", port, self.name, user(self.name, name), self.password)

    # --- processes ----------------------------------------------------------------------------------------
    def log(self, name: str) -> Path:
        """Return where an agent's daemons, one after the other, write their logs."""
        return self.folder / f"{name}.log"

    def start(self, name: str) -> None:
        """Start an agent's daemon, without waiting."""
        words = [sys.executable, "-m", "tests.faults.daemon", str(self.homes[name].path)]
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                words, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start_all(self) -> None:
        """Start everybody; returns when all are connected."""
        for name in AGENTS:
            self.start(name)
        self.until_ready(AGENTS)

    def until_ready(self, names: Iterable[str]) -> None:
        """Wait until these are connected and served."""
        names = tuple(names)
        self.until(
            lambda: all(self.look(name).get("state") == "ready" for name in names), f"{names} are connected"
        )

    def kill(self, name: str) -> None:
        """End a daemon with SIGKILL."""
        self._processes[name].kill()
        self._processes[name].wait()

    def stretch(self, name: str, wire: Tripwire) -> None:
        """Have a daemon die at an instant."""
        with reach(self.homes[name], alone=False) as ask:
            ask(Stretch(wire))

    def killed(self, name: str) -> bool:
        """Whether a daemon was killed; Stuck if it ended in another way."""
        status = self._processes[name].poll()
        if status not in (None, -signal.SIGKILL):
            raise Stuck(f"{name} ended with status {status} instead of being killed")
        return status is not None

    def back_up(self, name: str) -> Path:
        """Back an agent's home up while it is at work; return the file."""
        file = self.folder / f"{name}-{secrets.token_hex(4)}.backup"
        make_backup(self.homes[name], file)
        return file

    def restore(self, name: str, file: Path) -> None:
        """Put a backup in place of a dead agent's home; its rows have a backup of their own."""
        path = self.homes[name].path
        lost = path.rename(path.with_name(f".{name}-{secrets.token_hex(4)}"))
        restore_backup(file, path)
        for rows in lost.glob("*.csv"):
            shutil.copy(rows, path)

    def stop(self, name: str) -> int:
        """End a daemon with SIGTERM; return its status."""
        self._processes[name].terminate()
        return self._processes[name].wait(PATIENCE_S)

    def close(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        for proxy in self.proxies.values():
            proxy.close()

    def remove(self) -> None:
        """Take the federation off the broker again."""
        self.management.call("DELETE", f"vhosts/{self.name}")
        for name in (*AGENTS, *PROBES):
            self.management.call("DELETE", f"users/{user(self.name, name)}")

    # --- jobs ---------------------------------------------------------------------------------------------
    def propose(self, spec: JobSpec) -> None:
        """Have the aggregator submit a job."""
        with reach(self.homes[KEEPER], alone=False) as ask:
            ask(Propose(spec))

    def look(self, name: str, job: str = "") -> dict[str, Any]:
        """Return how far an agent is; empty while it can't be asked."""
        try:
            with reach(self.homes[name], alone=False) as ask:
                return ask(Look(job))
        except AgentError:
            return {}

    def until_round(self, job: str, number: int) -> None:
        """Wait until the aggregator has closed a round."""
        self.until(lambda: self.look(KEEPER, job).get("round", 0) >= number, f"round {number} of {job}")

    def until_over(self, job: str, present: Iterable[str] = AGENTS) -> None:
        """Wait until the job has ended at everybody who is there, and nothing is under way any more."""
        present = tuple(present)

        def over() -> bool:
            looks = [self.look(name, job) for name in present]
            if not all(look.get("outcome") for look in looks):
                return False
            return len({tuple(look["head"]) for look in looks}) == 1 and not any(
                look["busy"] for look in looks
            )

        self.until(over, f"{job} is over")

    def until(self, done: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        """Wait; Stuck says for what in vain, and how everybody was."""
        deadline = time.monotonic() + patience_s
        while not done():
            if time.monotonic() > deadline:
                looks = {name: self.look(name) for name in AGENTS}
                raise Stuck(f"waited {patience_s:g} s in vain until {what}: {looks}")
            time.sleep(POLL_S)


def _found(folder: Path, federation: str) -> None:
    """Make homes whose parties hold a third of the digits each, registered."""
    folder.mkdir(parents=True)
    config = {"data": {"digits": {"file": "digits.csv", "target": "digit"}}}
    members = [Member(name, config=config) for name in PARTIES]
    features, target = load_digits(return_X_y=True)
    features = features / 16.0
    with LocalFederation.found(members, federation=federation, folder=folder, aggregator=KEEPER) as local:
        for place, name in enumerate(PARTIES):
            mine = range(place, len(target), len(PARTIES))
            frame = pl.DataFrame({"id": [f"writer-{row}" for row in mine]}).with_columns(
                *(
                    pl.Series(f"pixel{column}", features[place :: len(PARTIES), column])
                    for column in range(64)
                ),
                pl.Series("digit", [LABELS[digit] for digit in target[place :: len(PARTIES)]]),
            )
            frame.write_csv(folder / name / "digits.csv")
        local.register()
        local.settle()
