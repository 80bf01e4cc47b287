"""Flower's app is packed as Flower wants it; figures that cannot be right are refused. Flower is not run here."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.flower_network import LEAST_POLL_S, parse, write_app
from benchmarks.flower_peer import PeerUnavailable

FIGURES: dict[str, Any] = {
    "rounds_s": [9.0, 6.0, 7.0],
    "answers": [4, 4, 4],
    "final": 3 / 1024,
    "step": 1 / 1024,
    "versions": {"flwr": "1.41.0"},
}


def test_the_first_round_does_not_count() -> None:
    timing = parse(json.dumps(FIGURES), None, rounds=3, parties=4)
    assert (timing.first_s, timing.round_s.median_s, timing.round_s.runs) == (9.0, 6.5, 2)
    assert timing.setting == "deployment runtime as documented"
    assert parse(json.dumps(FIGURES), LEAST_POLL_S, rounds=3, parties=4).setting.endswith("each 10.0 ms")


@pytest.mark.parametrize("wrong", [{"answers": [4, 3, 4]}, {"final": 2 / 1024}])
def test_rounds_without_every_update_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PeerUnavailable, match="not"):
        parse(json.dumps(FIGURES | wrong), None, rounds=3, parties=4)


def test_the_app_and_the_connection_are_written(tmp_path: Path) -> None:
    write_app(tmp_path, 4711, rounds=3, parties=4, parameters=10)
    app = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert app["config"] == {
        "rounds": 3,
        "parties": 4,
        "parameters": 10,
        "figures": str(tmp_path / "figures.json"),
    }
    assert (tmp_path / "app" / "rounds" / "app.py").exists()
    superlink = tomllib.loads((tmp_path / "config.toml").read_text())["superlink"]
    assert superlink[superlink["default"]] == {"address": "127.0.0.1:4711", "insecure": True}
