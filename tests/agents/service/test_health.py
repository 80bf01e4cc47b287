"""What monitors read, and who may."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.config import DaemonSection
from hansa.agents.core.tally import STEP_BOUNDS_S
from hansa.agents.errors import ConfigError
from hansa.agents.service import metrics
from hansa.agents.service.health import HealthServer, is_own_host
from hansa.agents.service.vitals import Vitals

VITALS = Vitals(
    name="north",
    federation="town",
    keeper="aggregator",
    head=(5, "ab" * 32),
    members={"north": "active"},
    jobs={"one": "open", "two": "finished"},
    ended={},
    rounds={"one": 3, "two": 4},
    received=10,
    sent=11,
    refused={'Bad"Signature\\\n': 2},
    last_refusal="",
    unconfirmed=1,
    unroutable=("south",),
    tasks=1,
    steps=(*range(len(STEP_BOUNDS_S)), 2),
    step_s=1.5,
    journal_bytes=4_096,
)


class Agent:
    """What the server asks."""

    ready = True

    def health(self) -> tuple[bool, dict[str, Any]]:
        return self.ready, {"ready": self.ready, "why": "" if self.ready else "not connected"}

    def metrics(self) -> str:
        return "hansa_agent_up 1.0\n"


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture(params=["127.0.0.1:0", "[::1]:0"])
def server(request: pytest.FixtureRequest, agent: Agent) -> Iterator[HealthServer]:
    with closing(HealthServer(DaemonSection(listen=request.param), agent.health, agent.metrics)) as running:
        yield running


def get(server: HealthServer, path: str, host: str = "localhost") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_ready_is_200_and_everything_else_503_with_the_reason(server: HealthServer, agent: Agent) -> None:
    assert get(server, "/health") == (200, json.dumps({"ready": True, "why": ""}) + "\n")
    agent.ready = False
    assert get(server, "/health?verbose") == (
        503,
        json.dumps({"ready": False, "why": "not connected"}) + "\n",
    )


def test_metrics_are_text_and_other_paths_do_not_exist(server: HealthServer) -> None:
    assert get(server, "/metrics") == (200, "hansa_agent_up 1.0\n")
    assert get(server, "/secrets")[0] == 404


def test_a_web_page_cannot_have_a_browser_read_it(server: HealthServer) -> None:
    assert get(server, "/metrics", host="evil.example:80")[0] == 403
    assert get(server, "/metrics", host="")[0] == 403


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(server: HealthServer) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port))) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: local")
    assert get(server, "/health")[0] == 200


def test_whoever_exposes_it_is_asked_by_any_name(agent: Agent) -> None:
    section = DaemonSection(listen="0.0.0.0:0", expose=True)
    with closing(HealthServer(section, agent.health, agent.metrics)) as server:
        assert get(server, "/health", host="agent.example.org")[0] == 200


def test_an_address_that_is_taken_is_said(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        section = DaemonSection(listen=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(ConfigError, match="already in use"):
            HealthServer(section, agent.health, agent.metrics)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("localhost:9464", True),
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("[::1", False),
        ("example.org", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_only_the_machines_own_names_are_own(host: str, own: bool) -> None:
    assert is_own_host(host) is own


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"listen": "0.0.0.0:1"}, "expose = true"),
        ({"listen": "9464"}, "ADDRESS:PORT"),
        ({"listen": "example.org:80"}, "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:http"}, "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:70000"}, "no port 70000"),
    ],
)
def test_an_address_that_others_reach_or_that_is_none_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DaemonSection(**section)


def samples(text: str) -> dict[str, float]:
    """Read the text format; every sample must stand below its TYPE."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            base = sample.partition("{")[0]
            suffixes = ("_bucket", "_sum", "_count")
            assert base in kinds or any(base.removesuffix(suffix) in kinds for suffix in suffixes), line
            found[sample] = float(value)
    return found


def test_prometheus_reads_an_agents_vitals() -> None:
    text = metrics.write_metrics(VITALS, name="north", state="ready", started=100.5)
    assert text.endswith("\n")
    found = samples(text)
    assert found['hansa_broker_state{state="ready"}'] == 1
    assert found['hansa_broker_state{state="blocked"}'] == 0
    assert found["hansa_messages_received_total"] == 10
    assert found["hansa_messages_sent_total"] == 11
    assert found[r'hansa_messages_refused_total{error="Bad\"Signature\\\n"}'] == 2
    assert found["hansa_messages_unconfirmed"] == 1
    assert found["hansa_peers_unroutable"] == 1
    assert found["hansa_journal_bytes"] == 4_096
    assert found["hansa_ledger_entries"] == 5
    assert found['hansa_jobs{status="open"}'] == 1
    assert found['hansa_jobs{status="aborted"}'] == 0
    assert found["hansa_rounds"] == 7
    assert found["process_start_time_seconds"] == 100.5
    assert found["process_resident_memory_bytes"] > 2**20
    buckets = [value for name, value in found.items() if name.startswith("hansa_step_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found["hansa_step_seconds_count"] == sum(VITALS.steps)
    assert found["hansa_step_seconds_sum"] == 1.5


def test_an_agent_that_does_not_answer_is_down_but_its_process_is_not() -> None:
    found = samples(metrics.write_metrics(None, name="north", state="connecting", started=100.5))
    assert found["hansa_agent_up"] == 0
    assert found["process_start_time_seconds"] == 100.5
    assert not any(name.startswith("hansa_messages") for name in found)


def test_memory_is_0_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path, encoding: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert metrics.resident_bytes() == 0
