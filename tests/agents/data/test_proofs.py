"""One row opened to an auditor: what holds, what is refused, and what a file may say."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.data import proofs
from hansa.agents.data.commitments import commit
from hansa.agents.data.proofs import RowProof, prove_row, read_proof
from hansa.agents.errors import DataError
from hansa.ledger import BadProof
from tests.agents.data.test_commitments import KEY, one_row, table

ROWS = [((("n", "age"), ("t", "ward")), f"id-{row}", (float(row), "east"), ("y", "no")) for row in range(7)]


def proof(row: int = 3) -> RowProof:
    dataset = table(*ROWS)
    return prove_row("town", "north", 12, commit(dataset, KEY), row, dataset, row)


@given(one_row().filter(lambda row: row[3] is None or row[3][1] == row[3][1]), st.integers(0, 3))
def test_any_row_is_opened_and_read_back(tmp_path_factory: Any, row: tuple[Any, ...], before: int) -> None:
    columns, key, values, target = row
    dataset = table(*[(columns, f"{key}-{place}", values, target) for place in range(before)], row)
    made = prove_row("town", "north", 1, commit(dataset, KEY), before, dataset, before)
    made.check()
    path = tmp_path_factory.getbasetemp() / "proof.json"
    path.write_bytes(made.written())
    assert read_proof(path) == made
    read_proof(path).check()


def test_a_number_as_target_stays_one(tmp_path: Path) -> None:
    dataset = replace(table(*ROWS), target=np.array([0.5] * 7, dtype=object))
    made = prove_row("town", "north", 1, commit(dataset, KEY), 2, dataset, 2)
    made.check()
    assert made.target is not None
    assert (made.target.kind, made.target.value) == ("number", 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": 2},
        {"rows": 9},
        {"id": "id-4"},
        {"salt": "00" * 16},
        {"root": "00" * 32},
        {"path": ()},
        {"target": None},
    ],
)
def test_whatever_else_it_says_does_not_hold(change: dict[str, Any]) -> None:
    with pytest.raises(BadProof):
        replace(proof(), **change).check()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"salt": "xy"}, "written in hexadecimal"),
        ({"salt": "00"}, "a salt of 16 bytes and a root of 32"),
        ({"root": "00"}, "a salt of 16 bytes and a root of 32"),
        ({"columns": proof().columns * 2}, "stands there twice"),
        ({"target": replace(proof().columns[1], value=None)}, "the target has no value"),
    ],
)
def test_what_opens_nothing_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        replace(proof(), **change).check()


@pytest.mark.parametrize(
    "harm",
    [
        lambda told: told | {"more": 1},
        lambda told: told | {"format": "hansa-row-proof-v2"},
        lambda told: told | {"columns": [{"name": "age", "kind": "number", "value": "3"}]},
        lambda told: told | {"columns": [{"name": "age", "kind": "text", "value": 3.0}]},
        lambda told: told | {"columns": [{"name": "age", "kind": "number", "value": float("inf")}]},
        lambda told: told | {"leaf": "3"},
        lambda told: [told],
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, harm: Callable[[Any], Any]) -> None:
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(harm(json.loads(proof().written()))))
    with pytest.raises(DataError, match=r"proof\.json: no proof of a row"):
        read_proof(path)


def test_a_file_too_large_for_a_row_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MOST_BYTES", 10)
    (tmp_path / "proof.json").write_bytes(proof().written())
    with pytest.raises(DataError, match="larger than the proof of any row"):
        read_proof(tmp_path / "proof.json")


def test_a_row_that_has_changed_cannot_be_opened() -> None:
    dataset = table(*ROWS)
    changed = replace(dataset, numbers=dataset.numbers + 1)
    with pytest.raises(DataError, match="this row, or the table's columns, have changed"):
        prove_row("town", "north", 12, commit(dataset, KEY), 3, changed, 3)


def test_a_proof_keeps_its_row_out_of_its_repr() -> None:
    assert "id-3" not in repr(proof())
    assert proof().salt not in repr(proof())
