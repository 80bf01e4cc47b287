"""The Paillier peer: what it prints is read, and where it cannot run the published figures stand in."""

import json
import sys
from collections.abc import Sequence

import pytest

from benchmarks import heu_peer, paillier
from benchmarks.flower_peer import PeerUnavailable

PRINTED = {"encrypt_s": 1e-3, "decrypt_s": 2e-3, "product_s": {"16": 3e-4}, "version": "0.5"}


def test_the_peers_last_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []

    def finish(command: Sequence[str], limit_s: float) -> str:
        commands.append(command)
        return f"[info] a thread pool\n{json.dumps(PRINTED)}\n"

    monkeypatch.setattr(heu_peer, "_finish", finish)
    figures = heu_peer.measure(10, 2, [16])
    assert figures == heu_peer.Figures(1e-3, 2e-3, {16: 3e-4}, "sf-heu 0.5")
    assert commands[-1][1:] == [
        str(heu_peer.SCRIPT),
        "--rows",
        "10",
        "--columns",
        "2",
        "--fraction-bits",
        "16",
    ]


def test_no_figures_and_a_failing_peer_are_one_line() -> None:
    with pytest.raises(PeerUnavailable, match="sf-heu: no such thing"):
        heu_peer._finish([sys.executable, "-c", "raise SystemExit('no such thing')"], 60.0)
    with pytest.raises(PeerUnavailable, match="FileNotFoundError"):
        heu_peer._finish(["/no/such/program"], 60.0)


def test_published_figures_stand_in_and_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heu_peer, "_finish", lambda command, limit_s: "nothing")
    figures = paillier.peer_figures(quick=True)
    assert figures is heu_peer.PUBLISHED
    assert "not in this run" in figures.source
    assert "no figures" in capsys.readouterr().out
