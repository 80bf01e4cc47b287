"""What does an agent do, for whom, and under which policy? Its `agent.toml`, validated whole.

Unknown keys are refused: a misspelt policy must not silently allow what it meant to forbid.
"""

import json
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hansa.agents.errors import ConfigError
from hansa.broker.identity import check_name
from hansa.broker.layout import check_member


def _check_fingerprint(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"a fingerprint is 64 of 0-9 and a-f, not {value!r:.80}")
    return value


Name = Annotated[str, AfterValidator(check_name)]
Fingerprint = Annotated[str, AfterValidator(_check_fingerprint)]
Section = TypeVar("Section", bound=BaseModel)

ANY = "*"
KEEPER = "keeper"  # among coordinators: the federation's, never an agent of this name

DATABASES = ("sqlite:///", "postgresql+psycopg://")

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_PLAIN_WORDS = {  # pydantic speaks of Python, the file's author thinks in TOML
    "extra_forbidden": "unknown key",
    "missing": "missing",
    "tuple_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSection(_Section):
    """`[agent]`: who this is."""

    name: Annotated[str, AfterValidator(check_member)]
    organisation: str = Field(default="", max_length=200)
    roles: tuple[Literal["party", "aggregator", "arbiter"], ...] = Field(default=("party",), min_length=1)
    workers: int = Field(default=1, ge=1, le=256, strict=True)


class FederationSection(_Section):
    """`[federation]`: which one, and the fingerprint of its charter, pinned."""

    id: Name
    keeper: Name
    charter: Fingerprint


class BrokerSection(_Section):
    """`[broker]`: the way to it, without the password: that stands alone in a file of mode 0600.

    Attributes:
        url: ``amqp(s)://user@host:port/federation``; without a user, the client certificate names us.
        password_file, ca_file, cert_file, key_file: relative to the home.
    """

    url: str = Field(min_length=1)
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class DaemonSection(_Section):
    """`[daemon]`: what the running agent shows on this machine.

    Attributes:
        listen: where health and metrics are told, without a password: ADDRESS:PORT; port 0 takes any free one.
        expose: listen at an address that others reach, too.
    """

    listen: str = Field(default="127.0.0.1:0", min_length=1)
    expose: bool = Field(default=False, strict=True)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where to listen."""
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @model_validator(mode="after")
    def _stays_on_this_machine(self) -> "DaemonSection":
        try:
            host, port = self.host_and_port
            address = ip_address(host)
        except ValueError:
            raise ValueError(f"listen is ADDRESS:PORT, such as 127.0.0.1:9464, not {self.listen!r}") from None
        if not 0 <= port < 2**16:
            raise ValueError(f"listen: there is no port {port}")
        if not (address.is_loopback or self.expose):
            raise ValueError(
                f"listen: others reach {host}, and there is no password; expose = true allows it"
            )
        return self


class LedgerSection(_Section):
    """`[ledger]`: where this agent's copy lies.

    Attributes:
        url: ``sqlite:///FILE``, relative to the home, or ``postgresql+psycopg://USER@HOST/DATABASE``.
        password_file: of the database's user, mode 0600, relative to the home.
    """

    url: str = Field(default="sqlite:///ledger.sqlite", min_length=1, repr=False)  # perhaps with a password
    password_file: str | None = Field(default=None, min_length=1)


class RowsSection(_Section):
    """What the columns of a data set are, and how they become features.

    Attributes:
        id, target: columns; all others are features.
        holdout: share of the rows kept for evaluation.
        categories: columns of text, or of codes, that become a 0/1 feature per category.
        missing: "refuse" rows with a missing value, or "fill" it: see `hansa.protocols.preparation`.
        standardise: bring numbers to mean 0 and variance 1 in vertical jobs.
        rare: a category that makes up a smaller share of the rows than this gets no feature of its own.
    """

    id: str = Field(default="id", min_length=1)
    target: str | None = None
    holdout: float = Field(default=0.2, ge=0.0, lt=1.0, strict=True)
    categories: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    missing: Literal["refuse", "fill"] = "refuse"
    standardise: bool = Field(default=True, strict=True)
    rare: float = Field(default=0.0, ge=0.0, lt=1.0, strict=True)

    @model_validator(mode="after")
    def _categories_are_features(self) -> "RowsSection":
        for place, column in enumerate(self.categories):
            if column in (self.id, self.target):
                key = "id" if column == self.id else "target"
                raise ValueError(f"categories: {column!r} is the {key}, not a feature")
            if column in self.categories[:place]:
                raise ValueError(f"categories: {column!r} is named twice")
        return self


class DataSection(RowsSection):
    """`[data.NAME]`: one data set, from a file or from a database.

    Attributes:
        file: CSV, or Parquet if it is called so; relative to the home.
        url: ``sqlite:///FILE``, relative to the home, or ``postgresql+psycopg://USER@HOST/DATABASE``.
        query: one statement that only reads.
        password_file: of the database's user, mode 0600, relative to the home.
        timeout_s: the longest that a query may take.
    """

    file: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, min_length=1, repr=False)  # somebody may have put a password there
    query: str | None = Field(default=None, min_length=1)
    password_file: str | None = Field(default=None, min_length=1)
    timeout_s: int = Field(default=300, ge=1, le=86_400, strict=True)

    @model_validator(mode="after")
    def _from_one_place(self) -> "DataSection":
        if (self.file is None) == (self.url is None):
            raise ValueError("needs either file, or url with query")
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        if self.url is None and self.password_file is not None:
            raise ValueError("password_file belongs to url")
        if self.url is not None and not self.url.startswith(DATABASES):
            raise ValueError(f"url must begin with {' or '.join(DATABASES)}")
        return self


class PolicySection(_Section):
    """`[policy]`: which jobs this organisation consents to; `"*"` allows any.

    Attributes:
        coordinators: who may propose them; `"keeper"` is whoever keeps the federation's ledger, whatever its name.
        protocols, models: what they may run.
        datasets: of those under ``[data]``; nothing else is ever served.
        minimum_parties: with fewer, a model could tell one party's rows to another; quorums count, too.
        served_rows: of how many rows a day the other parties of a model may have us help to predict, each model
            by itself; 0: of none.
        own_scores: whether a guest may ask for scores where we are its only host: less its own part, they are ours.
        keeper_silence_s: after how long a silence of the ledger's keeper we agree by ourselves that another member
            keeps it.
        unguarded: whether a job may switch off the leak guard, and so take short keys, too.
        contributions: how jobs may measure what each party has contributed: "volume", or by valuing coalitions,
            which tells whoever recomputes it what the models of some are worth.
        own_parts: whether the coordinator of a vertical job may see our own part of the scores of rows held out, to
            measure contributions by it.
    """

    coordinators: tuple[str, ...] = (KEEPER,)
    protocols: tuple[str, ...] = (ANY,)
    models: tuple[str, ...] = (ANY,)
    datasets: tuple[str, ...] = (ANY,)
    minimum_parties: int = Field(default=2, ge=1, strict=True)
    served_rows: int = Field(default=0, ge=0, strict=True)
    own_scores: bool = Field(default=False, strict=True)
    keeper_silence_s: int = Field(default=1_800, ge=1, strict=True)
    unguarded: bool = Field(default=False, strict=True)
    contributions: tuple[str, ...] = (ANY,)
    own_parts: bool = Field(default=False, strict=True)


class AgentConfig(_Section):
    """The whole file."""

    agent: AgentSection
    membership: FederationSection | None = Field(default=None, alias="federation")  # once it has joined one
    broker: BrokerSection | None = None
    daemon: DaemonSection = DaemonSection()
    ledger: LedgerSection = LedgerSection()
    data: dict[Name, DataSection] = {}
    written_policy: PolicySection = Field(default=PolicySection(), alias="policy")

    @model_validator(mode="after")
    def _keeper_is_an_aggregator(self) -> "AgentConfig":
        keeps = self.membership is not None and self.membership.keeper == self.agent.name
        if keeps and "aggregator" not in self.agent.roles:
            raise ValueError("agent.roles must name 'aggregator': this agent is the keeper of the ledger")
        return self

    @property
    def policy(self) -> PolicySection:
        """The policy under the keeper that we joined; without a federation, "keeper" is nobody."""
        return self.policy_under(None if self.membership is None else self.membership.keeper)

    def policy_under(self, keeper: str | None) -> PolicySection:
        """Return the policy, with the name of who keeps the ledger where it says "keeper"; None: nobody does."""
        written = self.written_policy
        if KEEPER not in written.coordinators:
            return written
        named = tuple(name for name in written.coordinators if name != KEEPER)
        whose = () if keeper is None else (keeper,)
        return written.model_copy(update={"coordinators": whose + named})

    @property
    def federation(self) -> FederationSection:
        """The federation that this agent belongs to.

        Raises:
            ConfigError: to none yet.
        """
        if self.membership is None:
            raise ConfigError(
                f"{self.agent.name} belongs to no federation yet: `hansa join` one, or `hansa federation create`"
            )
        return self.membership


def load_config(path: Path) -> AgentConfig:
    """Read and validate an `agent.toml`.

    Raises:
        ConfigError: missing, not TOML, or a key that is unknown, missing or out of range; names file and key.
    """
    return validate(AgentConfig, read_toml(path), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file's content; ConfigError names the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no text: byte {error.start} is not utf-8") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def validate(model: type[Section], content: dict[str, Any], path: Path) -> Section:
    """Check content against a model; ConfigError names the first wrong key and how many more there are."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = problems[0]
        where = ".".join(_toml_key(str(part)) for part in first["loc"] if part != "[key]")
        text = _PLAIN_WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(": ".join(filter(None, (str(path), where, text + more)))) from None


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key)
