"""The benchmark of proofs proves what it times, and its table says so."""

import pytest

from benchmarks import merkle
from benchmarks.__main__ import AREAS, load
from benchmarks.merkle import Disk, growth, measure, percentile, rows_of


def test_every_size_has_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "BESIDE", 50)
    measured = list(measure([10, 70], proofs=7))
    assert [inclusion.size for inclusion, _, _ in measured] == [10, 70]
    assert all(len(result.made_s) == len(result.lengths) == 7 for result, _, _ in measured)
    assert measured[0][2].bare > 0
    assert measured[1][2].bare == 0
    rows = rows_of(measured)
    names = [row.name for row in rows]
    assert "inclusion, 70 entries: checked" in names
    assert "consistency, 10 entries: length" in names
    assert "disk, 70 entries" in names
    assert sum(row.met is not None for row in rows) == 8


def test_a_proof_grows_by_a_hash_for_each_doubling() -> None:
    row = growth([result for result, _, _ in measure([16, 64], proofs=5)])
    assert row.name == "inclusion: 4 times the entries"
    assert row.measured.endswith("64 bytes more")
    assert row.limit_or_peer == "64 bytes: a hash for each doubling"


def test_a_percentile_is_a_value_that_was_found() -> None:
    assert percentile([5], 99) == 5
    assert percentile(list(range(100)), 50) == 49
    assert percentile(list(range(100)), 99) == 98


def test_what_the_tree_takes_stands_beside_a_ledger_without() -> None:
    assert Disk(10, 66.0, 60.0).row().ratio == pytest.approx(1.1)
    assert Disk(10, 66.0, 0.0).row().limit_or_peer == "–"


def test_the_ledgers_suites_are_there_to_be_run() -> None:
    for name in AREAS["ledger"]:
        assert callable(load(name))
