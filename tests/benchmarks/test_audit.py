"""The benchmark of an audit audits what it has written, and its table says so."""

import pytest

from benchmarks import audit
from benchmarks.__main__ import AREAS, load


def test_an_audit_and_its_limit_have_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "HEADS_EVERY", 50)
    monkeypatch.setattr(audit, "peaks", lambda sample: (100 * 1024, 50 * 1024))
    result = audit.measure(130, turns=1)
    assert (result.entries, result.ours.runs) == (130, 1)
    assert 0 < result.part < 130  # the founding is ours alone
    rate, memory = result.rows()
    assert rate.name == "audit of an export, 130 entries"
    assert rate.bar == "≥ 0.6"
    assert (memory.measured, memory.limit_or_peer, memory.met) == ("100 MiB", "400 MiB", True)
    assert "audit" in AREAS["ledger"]
    assert load("audit") is audit.run
