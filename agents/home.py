"""What lies in an agent's folder?

identity.key     its keys (0600)
agent.toml       who it is, its federation, data sets and policy
journal.sqlite   what it must not forget, sealed under the home's key
chunks/          large arrays, sealed
ledger.sqlite    its copy of the ledger
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hansa.agents.blobs import DiskFiles
from hansa.agents.config import AgentConfig, dump_toml, load_config, validate
from hansa.agents.data import Dataset, load_csv
from hansa.agents.errors import ConfigError, HomeError
from hansa.agents.journal import SqliteJournal
from hansa.broker import BrokerError, Identity
from hansa.ledger import LedgerStore

IDENTITY = "identity.key"
CONFIG = "agent.toml"
JOURNAL = "journal.sqlite"
CHUNKS = "chunks"
LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class Home:
    """An agent's folder."""

    path: Path

    @classmethod
    def create(cls, path: Path, identity: Identity, config: dict[str, Any]) -> "Home":
        """Make a folder with keys and configuration.

        Nothing is written unless all of it is valid.

        Raises:
            HomeError: there is a home already, or a part of one; or the keys are another agent's.
            ConfigError: the configuration is not valid.
        """
        for name in (IDENTITY, CONFIG):
            if (path / name).exists():
                raise HomeError(f"{path}: there is an agent's home already: {name} exists")
        _check_owner(path, identity, validate(AgentConfig, config, path / CONFIG))
        text = dump_toml(config)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity.save(path / IDENTITY)
        (path / CONFIG).write_text(text, encoding="utf-8")
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

    def identity(self, passphrase: bytes | None = None) -> Identity:
        """Read the keys.

        Raises:
            HomeError: missing, unreadable, or of another agent than agent.toml names.
            ConfigError: agent.toml is not valid.
        """
        try:
            identity = Identity.load(self.path / IDENTITY, passphrase)
        except BrokerError as error:
            raise HomeError(str(error)) from None
        except OSError as error:
            raise HomeError(f"{self.path / IDENTITY}: {error.strerror}") from None
        _check_owner(self.path, identity, self.config())
        return identity

    def journal(self, identity: Identity, *, read_only: bool = False) -> SqliteJournal:
        """Open the journal under the home's key; to read it, it must be there."""
        return SqliteJournal(self.path / JOURNAL, identity.home_key(), read_only=read_only)

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
        """Open this agent's copy of the ledger; LedgerError if it is missing or unusable."""
        return LedgerStore.open(self.ledger_url(), create=create)

    def stored(self) -> LedgerStore:
        """Open this agent's copy of the ledger for reading only; errors as for `store`."""
        return LedgerStore.open_read_only(self.ledger_url())

    def dataset(self, name: str) -> Dataset:
        """Read and check one of the configured data sets.

        Raises:
            ConfigError: agent.toml has no section for it.
            DataError: names file, row and column.
        """
        section = self.config().data.get(name)
        if section is None:
            raise ConfigError(f"{self.path / CONFIG}: data.{name}: no such section")
        return load_csv(name, section, self.path)


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


def _check_owner(path: Path, identity: Identity, config: AgentConfig) -> None:
    if identity.name != config.agent.name:
        raise HomeError(f"{path}: the keys are {identity.name}'s, agent.toml is {config.agent.name}'s")
