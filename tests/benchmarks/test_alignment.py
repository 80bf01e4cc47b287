"""The alignment's benchmark: a run in miniature, and what is said when the peer is missing."""

import sys

import pytest

from benchmarks import alignment
from benchmarks.alignment import Cost, PeerMissing, Result, measure, peer_rows, rows

RESULT = Result(1_000, 2, 4_000, [Cost(0.2, 0.4), Cost(0.3, 0.4), Cost(0.1, 0.4)], [Cost(0.18, 0.34)])


def test_a_small_run_aligns_and_counts_four_exponentiations_for_each_id() -> None:
    result = measure(30, 2, 1, 16)
    assert (len(result.ours), len(result.bare), result.exponentiations) == (2, 2, 120)
    assert all(cost.wall_s > 0 and cost.cpu_s > 0 for cost in (*result.ours, *result.bare))


def test_the_bar_is_on_the_rate_beside_bare_x25519() -> None:
    wall, cpu = rows(RESULT)
    assert (wall.measured, wall.limit_or_peer) == ("20,000/s", "22,222/s of bare X25519")
    assert wall.ratio == pytest.approx(0.9)
    assert wall.met
    assert cpu.ratio == pytest.approx(0.85)
    assert cpu.met is None


def test_the_peer_is_compared_by_ids_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "peer", lambda count: (Cost(1.0, 0.9), "2.0.6"))
    wall, cpu = peer_rows(1_000, RESULT)
    assert wall.ratio == pytest.approx(5.0)
    assert cpu.ratio == pytest.approx(2_500 / (1_000 / 0.9))


def test_a_peer_that_can_not_be_used_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(count: int) -> tuple[Cost, str]:
        raise PeerMissing("openmined-psi can't be used: no wheel")

    monkeypatch.setattr(alignment, "peer", missing)
    [row] = peer_rows(1_000, RESULT)
    assert (row.measured, row.note) == ("not measured", "openmined-psi can't be used: no wheel")


def test_a_command_that_fails_gives_its_last_line() -> None:
    with pytest.raises(PeerMissing, match=r"can't be used: no wheel$"):
        alignment._call([sys.executable, "-c", "raise SystemExit('looking\\nno wheel')"])
    with pytest.raises(PeerMissing, match=r"can't be used: .*no-such-python"):
        alignment._call(["./no-such-python"])
