"""What can be wrong with a home's files: configuration, keys, disk, journal, data sets? And does its agent run?"""

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hansa
from hansa.agents.care.doctor import Finding, Patient
from hansa.agents.config import AgentConfig
from hansa.agents.core.policy import ANY
from hansa.agents.errors import (
    AgentError,
    AgentNotRunning,
    ConfigError,
    DataError,
    HomeError,
    JournalError,
    WrongPassphrase,
)
from hansa.agents.home import CONFIG, IDENTITY, JOURNAL, Home
from hansa.agents.service.control import ControlClient
from hansa.agents.service.passphrase import unlock
from hansa.agents.service.status import Status
from hansa.ledger.sqlite import read_only_uri
from hansa.protocols import PROTOCOLS, ModelRegistry

LOW_BYTES = 2**30  # of free space: less than this a night's work may fill
ANSWER_S = 4.0


def configuration(patient: Patient) -> Iterator[Finding]:
    """Look at agent.toml, and whether its policy can mean what it says."""
    path = patient.home.path / CONFIG
    try:
        patient.config = config = patient.home.config()
    except ConfigError as error:
        yield Finding("configuration", "wrong", str(error), f"correct {path}")
        return
    patient.healthy.add("agent.toml")
    if config.membership is not None:
        patient.healthy.add("federation")
    strange = list(_strange(config))
    for what in strange:
        yield Finding(
            "configuration", "wrong", f"{path}: policy.{what}", "correct it, then `hansa agent reload`"
        )
    if config.membership is None:
        yield Finding(
            "configuration",
            "note",
            f"{config.agent.name} belongs to no federation yet",
            "hansa join, or hansa federation create",
        )
    elif not strange:
        roles = ", ".join(config.agent.roles)
        yield Finding("configuration", "ok", f"{config.agent.name}, {roles} of {config.membership.id}")


def _strange(config: AgentConfig) -> Iterator[str]:
    policy = config.policy
    for key, allowed, known in (
        ("protocols", policy.protocols, PROTOCOLS.keys()),
        ("models", policy.models, ModelRegistry().names()),
        ("datasets", policy.datasets, config.data.keys()),
    ):
        for name in allowed:
            if name != ANY and name not in known:
                there = ", ".join(sorted(known)) or "none"
                yield f"{key}: nothing here is called {name!r:.60} (there is {there})"


def keys(patient: Patient) -> Iterator[Finding]:
    """Look at the key file."""
    path = patient.home.path / IDENTITY
    try:
        patient.identity = identity = unlock(patient.home, patient.passphrase_file)
    except WrongPassphrase as error:
        yield Finding(
            "keys", "wrong", str(error), "name the right one with --passphrase-file; nobody can recover it"
        )
    except HomeError as error:
        text = str(error)
        remedy = (
            f"chmod 600 {path}; if others may have read it: hansa keys rotate"
            if "has mode" in text
            else "restore the home from a backup: hansa restore"
        )
        yield Finding("keys", "wrong", text, remedy)
    else:
        yield Finding("keys", "ok", f"{path}: {identity.public.short_fingerprint}")


def disk(patient: Patient) -> Iterator[Finding]:
    """Try to write, and look how much room there is."""
    folder = patient.home.path
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = "make room" if error.errno == 28 else "mount it writable, and give it to the agent's user"
        yield Finding("disk", "wrong", f"{folder}: cannot be written: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(folder).free
    text = f"{folder}: {free / 2**30:.1f} GiB free"
    if free < LOW_BYTES:
        yield Finding(
            "disk", "wrong", text, f"make room: at least {LOW_BYTES >> 30} GiB, for journal and arrays"
        )
    else:
        yield Finding("disk", "ok", text)


def agent(patient: Patient) -> Iterator[Finding]:
    """See whether the agent runs and answers."""
    home = patient.home
    try:
        with closing(ControlClient(home)) as client:
            patient.status = told = client.ask(Status(), ANSWER_S)
    except AgentNotRunning:
        pass
    except AgentError as error:
        yield Finding(
            "agent", "wrong", str(error), "look into its log; hansa agent stop, then start it again"
        )
        return
    else:
        yield from _at_work(home, told)
        return
    try:
        with home.held():
            pass
    except HomeError as error:
        yield Finding(
            "agent",
            "wrong",
            f"{error}, which does not answer",
            "wait, if a command is at work; else end that process",
        )
    except OSError as error:
        yield Finding("agent", "unchecked", f"not checked: {error.filename}: {error.strerror}")
    else:
        yield Finding("agent", "note", "not running", f"hansa agent run --home {home.path}")


def _at_work(home: Home, told: dict[str, Any]) -> Iterator[Finding]:
    """Look at what a running agent told; one that was started before an upgrade tells less, or something else."""
    version = str(told.get("version", "unknown"))
    if version != hansa.__version__ or not {"pid", "awaited"} <= told.keys():
        text = f"runs hansa {version} still, while {hansa.__version__} is installed"
        again = f"restart the agent: hansa agent stop --home {home.path}, then hansa agent run"
        yield Finding("agent", "wrong", text, again)
        return
    yield Finding("agent", "ok", f"runs as process {told['pid']}, hansa {version}")
    if told["awaited"]:
        waits = f"restored from a backup, chains nothing before {', '.join(told['awaited'])} answer"
        yield Finding("agent", "wrong", waits, "start their agents, or: hansa ledger go-on --without NAME")


def journal(patient: Patient) -> Iterator[Finding]:
    """Look into the journal: does it open with our keys, is it whole, may it be written?"""
    path = patient.home.path / JOURNAL
    if not path.exists():
        yield Finding("journal", "note", "none yet: this agent has never run")
        return
    yield from unwritable("journal", path)
    remedy = restore_remedy(patient)
    try:
        whole = _quick_check(path)
        if patient.identity is not None:
            with closing(patient.home.journal(patient.identity, read_only=True)) as opened:
                opened.load("meta")
    except JournalError as error:
        yield Finding("journal", "wrong", str(error), remedy)
        return
    except (OSError, sqlite3.Error) as error:
        yield Finding("journal", "wrong", f"{path}: {error}", remedy)
        return
    if whole != "ok":
        yield Finding("journal", "wrong", f"{path}: damaged: {whole:.200}", remedy)
    else:
        yield Finding("journal", "ok", f"{path}: {'opens, and ' if patient.identity else ''}is whole")


def restore_remedy(patient: Patient) -> str:
    """Return what helps what cannot be read; a backup only where the disk itself is well."""
    if "disk" not in patient.healthy:
        return "see to the disk first, then ask the doctor again: what lies on it is whole, perhaps"
    return "restore the home from a backup: hansa restore"


def _quick_check(path: Path) -> str:
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as database:
        [answer] = database.execute("PRAGMA quick_check(1)").fetchone()
    return str(answer)


def unwritable(area: str, path: Path) -> Iterator[Finding]:
    """Yield a finding if a file may not be written, by its mode or by us."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        text = f"{path}: mode {mode:04o}: cannot be written"
        yield Finding(area, "wrong", text, f"chmod 600 {path}, and give it to the agent's user")


def data(patient: Patient) -> Iterator[Finding]:
    """Read every data set that agent.toml names."""
    assert patient.config is not None  # needed
    for name in patient.config.data:
        try:
            dataset = patient.home.dataset(name)
        except (DataError, ConfigError) as error:
            yield Finding("data", "wrong", str(error), f"correct the data, or data.{name} in agent.toml")
        else:
            yield Finding("data", "ok", f"{name}: {dataset.rows} rows, {len(dataset.columns)} columns")
    if not patient.config.data:
        yield Finding("data", "ok", "no data sets configured")
