"""What lies in an agent's folder?

identity.key     its keys (0600)
agent.toml       who it is, its federation, data sets and policy
broker.password  of its user at the broker (0600)
journal.sqlite   what it must not forget, sealed under the home's key
chunks/          large arrays, sealed
salts/           what opens the commitments to our data sets' rows, sealed likewise
scratch/         rows that worker processes share, while a vertical job lasts (0700)
ledger.sqlite    its copy of the ledger
lock             held by the one process that may work with these
control.sock     where the running agent takes orders (0600)
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit

from hansa.agents.config import AgentConfig, DataSection, load_config, validate
from hansa.agents.core.blobs import DiskFiles
from hansa.agents.core.journal import SqliteJournal
from hansa.agents.data.rows import Dataset, load_dataset
from hansa.agents.data.salts import SaltFiles
from hansa.agents.errors import ConfigError, DataError, HomeError, WrongPassphrase
from hansa.broker import BrokerAddress, BrokerError, Identity
from hansa.broker import WrongPassphrase as KeysClosed
from hansa.ledger import LedgerStore

IDENTITY = "identity.key"
CONFIG = "agent.toml"
JOURNAL = "journal.sqlite"
CHUNKS = "chunks"
SALTS = "salts"
SCRATCH = "scratch"
LEDGER = "ledger.sqlite"
PASSWORD = "broker.password"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Home:
    """An agent's folder."""

    path: Path

    @classmethod
    def create(
        cls, path: Path, identity: Identity, config: dict[str, Any], passphrase: bytes | None = None
    ) -> "Home":
        """Make a folder with keys and configuration.

        Nothing is written unless all of it is valid. The keys come last, and make it a home. Until then the same
        call begins anew, over what an interrupted one has left.

        Args:
            config: plain, or a document with comments, which are kept.
            passphrase: protects the keys' file.

        Raises:
            HomeError: there is a home already, or a part of another; or the keys are another agent's.
            ConfigError: the configuration is not valid.
            OSError: names the file that could not be written.
        """
        text = tomlkit.dumps(config)
        _check_room(path, text)
        _check_owner(path, identity, validate(AgentConfig, tomlkit.parse(text).unwrap(), path / CONFIG))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path / CONFIG, text)
        with _naming(path / IDENTITY):
            identity.save(path / IDENTITY, passphrase)
        return cls(path)

    def exists(self) -> bool:
        """Whether this folder is somebody's home."""
        return (self.path / IDENTITY).exists() and (self.path / CONFIG).exists()

    def begun(self) -> bool:
        """Whether a part of a home is here, be it broken; what may not be looked into may be one."""
        try:
            return any((self.path / name).exists() for name in (IDENTITY, CONFIG, LEDGER))
        except PermissionError:
            return True

    def missing(self) -> list[str]:
        """Return the files this home lacks; where the ledger lies, only agent.toml can say."""
        configured = (self.path / CONFIG).exists()
        needed = (IDENTITY, CONFIG) if configured else (IDENTITY, CONFIG, LEDGER)
        return [name for name in needed if not (self.path / name).exists()]

    def config(self) -> AgentConfig:
        """Read agent.toml; ConfigError names file and key."""
        return load_config(self.path / CONFIG)

    def edit(self, change: Callable[[tomlkit.TOMLDocument], None]) -> AgentConfig:
        """Change agent.toml, comments kept; all of it must be valid afterwards, or nothing is written.

        Who changes it at the same time waits: neither change is lost.

        Raises:
            ConfigError: names the file and the key.
        """
        path = self.path / CONFIG
        load_config(path)
        with _alone_in(self.path):
            document = tomlkit.parse(path.read_text(encoding="utf-8"))
            change(document)
            config = validate(AgentConfig, document.unwrap(), path)
            write_whole(path, tomlkit.dumps(document))
        return config

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from working with this home: two would sign two things under one number.

        Raises:
            HomeError: another process has it.
        """
        descriptor = self.lock()
        try:
            yield
        finally:
            os.close(descriptor)

    def lock(self) -> int:
        """Return the open lock file; closing it, or the end of the process, gives the home back. As `held`."""
        descriptor = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HomeError(f"{self.path}: in use by another process") from None
        return descriptor

    def address(self) -> BrokerAddress:
        """Return the way to the broker, password included.

        Raises:
            ConfigError: agent.toml has no [broker], or what it says is no address.
            HomeError: the password's file is missing, or others can read it.
        """
        section = self.config().broker
        if section is None:
            raise ConfigError(f"{self.path / CONFIG}: broker: missing; `hansa join` writes it")
        try:
            address = BrokerAddress.from_url(
                section.url,
                ca_file=self._file(section.ca_file),
                cert_file=self._file(section.cert_file),
                key_file=self._file(section.key_file),
            )
        except ValueError as error:
            raise ConfigError(f"{self.path / CONFIG}: broker.url: {error}") from None
        if section.password_file is None:
            return address
        return replace(address, password=read_secret(self.path / section.password_file))

    def _file(self, name: str | None) -> Path | None:
        return None if name is None else self.path / name

    def identity(self, passphrase: bytes | None = None) -> Identity:
        """Read the keys.

        Raises:
            HomeError: missing, unreadable, or of another agent than agent.toml names.
            WrongPassphrase: they need one, or another one.
            ConfigError: agent.toml is not valid.
        """
        try:
            identity = Identity.load(self.path / IDENTITY, passphrase)
        except KeysClosed as error:
            raise WrongPassphrase(str(error)) from None
        except BrokerError as error:
            raise HomeError(str(error)) from None
        except OSError as error:
            raise HomeError(f"{self.path / IDENTITY}: {error.strerror}") from None
        _check_owner(self.path, identity, self.config())
        return identity

    def journal(self, identity: Identity, *, read_only: bool = False) -> SqliteJournal:
        """Open the journal under the home's key; to read it, it must be there."""
        return SqliteJournal(self.path / JOURNAL, identity.home_key(), read_only=read_only)

    def salts(self, identity: Identity) -> SaltFiles:
        """Open the folder of what opens our commitments, under the home's key."""
        return SaltFiles(self.path / SALTS, identity.home_key())

    @property
    def scratch(self) -> Path:
        """Where worker processes find our rows while a job lasts; emptied when the agent starts."""
        return self.path / SCRATCH

    def files(self) -> DiskFiles:
        """Open the folder of sealed chunks."""
        return DiskFiles(self.path / CHUNKS)

    def ledger_url(self) -> str:
        """Return the URL of this agent's copy; a relative SQLite path is relative to the home."""
        url = self.config().ledger.url
        scheme, separator, rest = url.partition(":///")
        if scheme == "sqlite" and separator and not rest.startswith("/"):
            return f"sqlite:///{(self.path / rest).resolve()}"
        return url

    def store(self, create: bool = False) -> LedgerStore:
        """Open this agent's copy of the ledger.

        Raises:
            LedgerError: missing or unusable.
            HomeError: its password's file is.
        """
        return LedgerStore.open(self.ledger_url(), create=create, password=self._ledger_password())

    def stored(self) -> LedgerStore:
        """Open this agent's copy of the ledger for reading only; errors as for `store`."""
        return LedgerStore.open_read_only(self.ledger_url(), password=self._ledger_password())

    def _ledger_password(self) -> str | None:
        file = self.config().ledger.password_file
        return None if file is None else read_secret(self.path / file)

    def dataset(self, name: str) -> Dataset:
        """Read and check one of the configured data sets.

        Raises:
            ConfigError: agent.toml has no section for it.
            DataError: names file or query, row and column; or the password's file.
        """
        section = self.config().data.get(name)
        if section is None:
            raise ConfigError(f"{self.path / CONFIG}: data.{name}: no such section")
        return self.read(name, section)

    def read(self, name: str, section: DataSection) -> Dataset:
        """Read and check a data set that a section describes, whether it stands in agent.toml or not yet.

        Raises:
            DataError: as for `dataset`.
        """
        if section.password_file is None:
            return load_dataset(name, section, self.path)
        try:
            password = read_secret(self.path / section.password_file)
        except HomeError as error:  # a data set's failings stay in our own log
            raise DataError(str(error)) from None
        return load_dataset(name, section, self.path, password)


def find_homes(folder: Path) -> list[Home]:
    """Return the homes in a folder, broken ones too: itself, or those directly in it, sorted by name.

    Raises:
        HomeError: there is none.
    """
    here = Home(folder)
    if folder.is_dir() and here.begun():
        return [here]
    if not folder.is_dir():
        raise HomeError(f"{folder}: no such folder")
    homes = [Home(path) for path in sorted(folder.iterdir()) if path.is_dir() and Home(path).begun()]
    if not homes:
        raise HomeError(f"{folder}: no agent's home (identity.key and agent.toml) here or one level below")
    return homes


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that, whenever the machine stops, it has the old content or the new; OSError names it."""
    fresh = path.with_name(f".{path.name}.new")
    with _naming(path):
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), mode)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk keep which names stand in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path) -> str:
    """Return a password that stands alone in a file.

    Raises:
        HomeError: missing, unreadable, or readable by others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise HomeError(f"{path}: mode {mode:04o} lets others read it: chmod 600 it")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise HomeError(f"{path}: {error.strerror}") from None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have an OSError name the file: the system's words for a full disk don't."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else changes files in a folder, this process's other threads included."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_room(path: Path, text: str) -> None:
    """Raise HomeError if a folder holds a home, or a part of another than the one that is being made."""
    keys, config = path / IDENTITY, path / CONFIG
    if keys.exists() and not config.exists():
        raise HomeError(
            f"{path}: {IDENTITY} without {CONFIG}: restore a backup, or remove it if nobody knows these keys yet"
        )
    if keys.exists():
        raise HomeError(f"{path}: there is an agent's home already: {IDENTITY} exists")
    if config.exists() and config.read_text(encoding="utf-8", errors="replace") != text:
        raise HomeError(
            f"{path}: {CONFIG} without {IDENTITY}: restore a backup, or remove it if nothing in it is needed"
        )


def _check_owner(path: Path, identity: Identity, config: AgentConfig) -> None:
    if identity.name != config.agent.name:
        raise HomeError(f"{path}: the keys are {identity.name}'s, agent.toml is {config.agent.name}'s")
