"""Flower's figures are read as printed, and its absence is one clear line. Flower itself is not run here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import flower_peer
from benchmarks.flower_peer import Peer, PeerUnavailable, Setting, Timing, last_line, parse
from benchmarks.report import median_of

MESSAGE = Setting("message", 1.0)
LEGACY = Setting("legacy", 1.0)


def timing_of(setting: Setting, seconds: float) -> Timing:
    return Timing(setting, median_of([seconds]), 9.0, {"flwr": "1.41.0"})


def test_the_first_round_does_not_count() -> None:
    figures = json.dumps({"rounds_s": [9.0, 0.3, 0.5, 0.4], "versions": {"flwr": "1.41.0"}})
    timing = parse(MESSAGE, f"(ClientAppActor pid=1) noise\n{figures}\nmore noise\n")
    assert (timing.first_s, timing.round_s.median_s, timing.round_s.high_s) == (9.0, 0.4, 0.5)


def test_output_without_figures_is_refused() -> None:
    with pytest.raises(PeerUnavailable, match="message API, 1 CPU a client"):
        parse(MESSAGE, "noise\n")


def test_a_single_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rounds"):
        flower_peer.measure(MESSAGE, rounds=1)


def test_the_deprecated_interface_and_a_shortened_poll_count_only_as_fastest_of_all() -> None:
    slow, plain = timing_of(Setting("message", 2.0), 0.4), timing_of(MESSAGE, 0.3)
    polled = timing_of(Setting("message", 1.0, poll_s=0.01), 0.25)
    legacy = timing_of(LEGACY, 0.2)
    peer = Peer((slow, plain, polled, legacy))
    assert peer.recommended is plain
    assert peer.fastest is legacy


def test_the_rows_name_the_setting_and_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(
        (timing_of(MESSAGE, 0.3), timing_of(Setting("message", 1.0, 0.01), 0.25), timing_of(LEGACY, 0.2))
    )
    monkeypatch.setattr(flower_peer, "measure_all", lambda quick: peer)
    recommended, polled, legacy = flower_peer.run(quick=True)
    assert "fastest of the recommended" in recommended.note
    assert polled.name.endswith("polling each 10.0 ms")
    assert "fastest of all" not in polled.note
    assert "fastest of all" in legacy.note
    assert legacy.met is None


def test_a_package_that_cannot_be_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.CalledProcessError(
            1, command, "", "WARNING: slow\nERROR: No matching distribution\nhint\n"
        )

    monkeypatch.setattr(flower_peer, "VENV", tmp_path / ".venv-flower")
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(PeerUnavailable) as caught:
        flower_peer.environment()
    message = str(caught.value)
    assert message.endswith("could not be installed into .venv-flower: ERROR: No matching distribution")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(subprocess.TimeoutExpired("pip", 1), "no end after"), (OSError("disk full"), "disk full")],
)
def test_an_installation_that_hangs_or_cannot_start_says_so(
    failure: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        raise failure

    monkeypatch.setattr(flower_peer, "VENV", tmp_path / ".venv-flower")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(PeerUnavailable, match=reason):
        flower_peer.environment()


def test_an_environment_with_the_right_versions_is_used_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = f"{flower_peer.FLOWER} {np.__version__} 2.55.1\n"
    monkeypatch.setattr(flower_peer, "VENV", tmp_path)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, answers, "")
    )
    assert flower_peer.environment() == tmp_path / "bin" / "python"


def test_a_peer_that_hangs_is_ended_with_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower_peer, "RUN_S", 0.2)
    with pytest.raises(PeerUnavailable, match="did not finish"):
        flower_peer._finish([sys.executable, "-c", "import time; time.sleep(60)"], {})


def test_a_peer_that_fails_gives_its_last_words() -> None:
    with pytest.raises(PeerUnavailable, match="status 3: no luck"):
        flower_peer._finish(
            [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"], {}
        )


def test_the_peer_runs_in_a_folder_that_is_gone_afterwards() -> None:
    with flower_peer.scratch() as variables:
        folder = Path(variables["RAY_TMPDIR"])
        script = "import os; print(os.environ['FLWR_TELEMETRY_ENABLED'], 'PYTHONPATH' in os.environ)"
        assert flower_peer._finish([sys.executable, "-c", script], variables) == "0 False\n"
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", "no reason given"),
        ("a\nb\n\n", "b"),
        ("ERROR: a\nb", "ERROR: a"),
        ("ERROR: a\nERROR: b\n", "ERROR: b"),
    ],
)
def test_the_line_that_says_why_is_the_last_error_or_the_last_line(output: str, line: str) -> None:
    assert last_line(output) == line
