"""The containers of compose.yaml without their engine: same script, same environment, real processes.

RabbitMQ is a private node with the settings that compose.yaml gives its broker, and loads the example definitions;
the ledger lies in the tests' PostgreSQL.
"""

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from hansa.agents.cli import main
from hansa.agents.home import Home
from hansa.agents.jobs.follow import read_standing
from hansa.broker import Management, ProvisionFailed
from hansa.ledger import read_entry
from tests import postgres, servers
from tests.docker.compose import DOCKER, read_compose
from tests.docker.engine import Engine

SETTINGS = read_compose().configs["rabbitmq"]
POSTGRES = "postgres:5432/ledger"


@pytest.fixture(scope="module")
def node() -> Iterator[servers.Node]:
    """Run a broker as compose.yaml has it, with the example definitions."""
    folder = Path(tempfile.mkdtemp(prefix="compose-", dir=postgres.run_folder("rabbitmq-")))
    definitions = DOCKER / "example-secrets" / "rabbitmq_definitions.json"
    settings = SETTINGS.replace("/run/secrets/rabbitmq_definitions", str(definitions))
    prepared = servers.prepare(folder, settings=settings)
    started = servers.launch(prepared)
    try:
        servers.await_boot([started])
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Give the URL of an empty database, password included."""
    server = postgres.shared()
    name = server.create()
    yield server.address(name)
    server.drop(name)


def management_url(node: servers.Node) -> str:
    told = (DOCKER / "example-secrets" / "management_url").read_text(encoding="utf-8").strip()
    return told.replace("rabbitmq:15672", f"127.0.0.1:{node.management_port}")


@pytest.fixture
def engine(tmp_path: Path, node: servers.Node, database: str) -> Iterator[Engine]:
    secrets, data, volumes = tmp_path / "secrets", tmp_path / "data", tmp_path / "volumes"
    volumes.mkdir()
    shutil.copytree(DOCKER / "example-secrets", secrets)
    (secrets / "management_url").write_text(management_url(node))
    url = make_url(database)
    (secrets / "postgres_password").write_text(str(url.password))
    typed("demo", "data", data)
    addresses = {
        "rabbitmq:5672": f"127.0.0.1:{node.port}",
        f"hansa@{POSTGRES}": f"{url.username}@{url.host}:{url.port}/{url.database}",
    }
    engine = Engine(volumes, secrets, data, addresses)
    yield engine
    engine.kill()


def test_the_broker_takes_the_settings_and_the_definitions(node: servers.Node) -> None:
    administrator = Management.from_url(management_url(node))
    assert [each["name"] for each in json.loads(administrator.call("GET", "users"))] == ["administrator"]
    with pytest.raises(ProvisionFailed, match="401"):
        Management.from_url(node.management_url).call("GET", "users")  # guest is nobody here
    for key, expression in {
        "wal_max_size_bytes": "application:get_env(ra, wal_max_size_bytes).",
        "vm_memory_high_watermark.relative": "vm_memory_monitor:get_vm_memory_high_watermark().",
    }.items():
        (line,) = [line for line in SETTINGS.splitlines() if key in line and not line.startswith("#")]
        assert line.split(" = ")[1] in node.control("eval", expression)


def test_the_servers_health_checks_find_them_well(node: servers.Node, database: str) -> None:
    services = read_compose().services
    _, *words = services["rabbitmq"].healthcheck
    words = [str(servers.scripts() / words[0]), "--longnames", *words[1:]]
    checked = subprocess.run(words, env=node.environment, capture_output=True, timeout=60, check=False)
    assert checked.returncode == 0, checked
    _, line = services["postgres"].healthcheck
    program = str(postgres.programs() / "pg_isready")
    line = f"{line.replace('pg_isready', program)} --port {make_url(database).port}"
    assert subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False).returncode == 0


def entries(home: Home) -> Counter[str]:
    """Return how many entries of each kind the ledger has."""
    with closing(home.stored()) as store:
        return Counter(read_entry(each.signed).kind for each in store.read())


def typed(*words: object) -> str:
    """Return what a command prints, which has to work."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_containers_found_a_federation_train_and_come_back(engine: Engine, node: servers.Node) -> None:
    administrator = Management.from_url(management_url(node))
    aggregator = engine.compose.services["aggregator"]
    home = Home(engine.home(aggregator))
    engine.up()
    assert all(map(engine.healthy, engine.compose.ours))
    engine.until(lambda: len(read_standing(home).datasets) == 3, "every party has registered its data")
    assert set(read_standing(home).members) == {each.name for each in engine.compose.ours}

    job = str(engine.path(aggregator, "/jobs/job.toml"))
    watched = engine.execute(aggregator, "hansa", "job", "submit", job, "--watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "round 30/30" in watched.stdout
    assert set(engine.stop().values()) == {0}

    before, users = entries(home), administrator.call("GET", "users")
    engine.up()
    assert set(engine.stop().values()) == {0}
    assert entries(home) == before  # nobody was let in, and nothing registered, twice
    assert administrator.call("GET", "users") == users
    assert json.loads(typed("job", "list", "--json", "--home", home.path))["status"] == "finished"
    assert json.loads(typed("ledger", "verify", home.path, "--json"))["ok"]
    for service in engine.compose.ours:
        said = engine.log(service).read_text() + (engine.home(service) / "agent.toml").read_text()
        assert not [word for word in engine.passwords() if word in said]
