"""Commitments to rows: a leaf each, that no other row has; opened singly, and erased singly."""

import hashlib
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.data.commitments import (
    ERASED,
    SALT_BYTES,
    Opening,
    Registered,
    commit,
    is_number,
    row_leaves,
    row_tags,
    unchanged,
)
from hansa.agents.data.rows import Dataset
from hansa.ledger.merkle import EMPTY_ROOT, Frontier, check_inclusion

KEY = bytes(range(32))
TEXT = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(
    ["", "a", "ab", "a\x00b", "a,b", "\x00\x00\x00\x01a", "\xff\xff\xff\xff", "None", "nan", "1.0"]
)
NUMBER = st.sampled_from([0.0, -0.0, 1.0, float("nan"), 5e-324, 2.0**52]) | st.floats(allow_infinity=False)
COLUMN = st.tuples(st.sampled_from("nt"), st.sampled_from(["x", "y", "xy", "", "x\x00", "t"]))


@st.composite
def one_row(draw: st.DrawFn) -> tuple[Any, ...]:
    """Draw a row of a table: the columns' kinds and names, id, values and target."""
    columns = tuple(draw(st.lists(COLUMN, max_size=3, unique_by=lambda each: each[1])))
    values = tuple(draw(NUMBER) if kind == "n" else draw(TEXT | st.none()) for kind, _ in columns)
    target = draw(st.none() | st.tuples(st.sampled_from(["x", "late"]), NUMBER | TEXT))
    return columns, draw(TEXT), values, target


def table(*rows: tuple[Any, ...]) -> Dataset:
    """Return rows of the same columns as a data set."""
    columns, _, _, target = rows[0]
    numbers = [[v for v, (k, _) in zip(row[2], columns, strict=True) if k == "n"] for row in rows]
    texts = {
        name: np.array([row[2][place] for row in rows], dtype=object)
        for place, (kind, name) in enumerate(columns)
        if kind == "t"
    }
    return Dataset(
        name="rows",
        ids=tuple(row[1] for row in rows),
        columns=tuple(name for _, name in columns),
        numbers=np.array(numbers, dtype=np.float64).reshape(len(rows), -1),
        target=None if target is None else np.array([row[3][1] for row in rows], dtype=object),
        target_name=None if target is None else target[0],
        holdout=0.2,
        source="here",
        texts=texts,
    )


def spelt(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row so that two are equal only if they are the same: by bits, and any NaN as one."""

    def value(each: Any) -> Any:
        if isinstance(each, float):
            return "nan" if each != each else ("number", struct.pack("<d", each))
        return each if each is None else ("text", each)

    columns, key, values, target = row
    return (
        columns,
        key,
        tuple(map(value, values)),
        None if target is None else (target[0], value(target[1])),
    )


def leaf(row: tuple[Any, ...], salt: bytes = bytes(SALT_BYTES)) -> bytes:
    (only,) = row_leaves(table(row), [salt])
    return only


@given(one_row(), one_row())
def test_two_rows_have_one_leaf_only_if_they_are_the_same(
    one: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    assert (leaf(one) == leaf(other)) == (spelt(one) == spelt(other))


@given(one_row(), st.data())
def test_any_change_of_a_row_is_another_leaf(row: tuple[Any, ...], data: st.DataObject) -> None:
    columns, key, values, target = row
    place = data.draw(st.integers(0, len(columns)))
    if place == len(columns):
        other = (columns, data.draw(TEXT), values, target)
    else:
        value = data.draw(NUMBER if columns[place][0] == "n" else TEXT | st.none())
        other = (columns, key, (*values[:place], value, *values[place + 1 :]), target)
    assert (leaf(row) == leaf(other)) == (spelt(row) == spelt(other))
    assert leaf(row, b"s" * SALT_BYTES) != leaf(row)


def test_a_leaf_is_what_the_module_says() -> None:
    row = ((("t", "ward"), ("n", "age")), "é", ("east", 2.5), ("late", "no"))
    schema = hashlib.sha256(
        b"hansa-schema-v1" + b"\0\0\0\2" + b"t\0\0\0\4ward" + b"n\0\0\0\3age" + b"t\0\0\0\4late"
    )
    said = b"\0\0\0\2\xc3\xa9" + struct.pack("<d", 2.5) + b"\0\0\0\4east" + b"\0\0\0\2no"
    data = b"s" * 16 + b"hansa-row-v1" + schema.digest() + said
    assert leaf(row, b"s" * 16) == hashlib.sha256(b"\x00" + data).digest()


def test_a_target_of_numbers_is_none_of_text() -> None:
    number, text = (((), "a", (), ("y", value)) for value in (1.0, "1.0"))
    assert (is_number(table(number)), is_number(table(text))) == (True, False)
    assert leaf(number) != leaf(text)


def rows(count: int) -> Dataset:
    """Return a table of so many rows."""
    columns = (("n", "x"), ("t", "ward"))
    return table(
        *((columns, f"id-{row}", (float(row), "east" if row % 3 else None), None) for row in range(count))
    )


@given(st.integers(1, 40), st.data())
def test_every_row_is_opened_by_its_path(count: int, data: st.DataObject) -> None:
    opening = commit(rows(count), KEY)
    frontier = Frontier()
    for each in range(count):
        frontier, _ = frontier.append(opening.leaf(each))
    root = opening.root()
    assert (opening.rows, root) == (count, frontier.root)
    place = data.draw(st.integers(0, count - 1))
    check_inclusion(opening.leaf(place), place, count, opening.path(place), root)
    assert (
        opening.leaf(place) == row_leaves(rows(count), [opening.salt(each) for each in range(count)])[place]
    )


def test_no_rows_have_the_root_of_no_rows() -> None:
    assert Opening("rows", b"", b"", b"").root() == EMPTY_ROOT


@given(st.integers(1, 12), st.data())
def test_rows_left_open_their_commitment_once_others_are_gone(count: int, data: st.DataObject) -> None:
    whole = rows(count)
    opening = commit(whole, KEY)
    gone = data.draw(st.sets(st.integers(0, count - 1)))
    left = opening.erased(gone)
    assert left.root() == opening.root()
    assert all((left.salt(each) == ERASED) == (each in gone) for each in range(count))
    kept = whole.only(np.array([each for each in range(count) if each not in gone], dtype=np.int64), "here")
    assert left.opens(kept, gone)
    assert left.opens(whole, ()) == (not gone)
    if kept.rows:
        assert not left.opens(replace(kept, ids=("other", *kept.ids[1:])), gone)
        assert not left.opens(kept.only(np.arange(1, kept.rows), "here"), gone)


def test_salts_are_drawn_anew_and_hide_equal_rows() -> None:
    one, other = commit(rows(3), KEY), commit(rows(3), KEY)
    assert one.root() != other.root()
    assert one.tags == other.tags
    assert len({one.salt(each) for each in range(3)} | {other.salt(each) for each in range(3)}) == 6
    assert "salts" not in repr(one)


def test_what_is_kept_is_read_back_whole_or_not_at_all() -> None:
    opening = commit(rows(5), KEY)
    again = Opening.of_content("rows", opening.content())
    assert (again.salts, again.tags, again.leaves) == (opening.salts, opening.tags, opening.leaves)
    for content in (opening.content()[:-1], opening.content() + b"x", bytes(7) + b"\1"):
        with pytest.raises(ValueError, match="do not open"):
            Opening.of_content("rows", content)


def test_a_tag_is_of_one_id_in_one_data_set_of_one_home() -> None:
    (tag,) = row_tags(KEY, "rows", ["caf\u00e9"])
    assert row_tags(KEY, "rows", ["cafe\u0301", " caf\u00e9 "]) == [tag, tag]
    others = [
        *row_tags(KEY, "rows", ["cafe", "b"]),
        *row_tags(KEY, "row", ["scaf\u00e9"]),
        *row_tags(bytes(32), "rows", ["caf\u00e9"]),
    ]
    assert tag not in others
    assert len({tag, *others}) == 5


def test_rows_are_found_by_their_tags() -> None:
    opening = commit(rows(4), KEY)
    two, three, none = row_tags(KEY, "rows", ["id-2", "id-3", "id-9"])
    assert opening.found([two, three, none]) == {two: [2], three: [3]}


def test_commitments_of_both_kinds_tell_whether_rows_have_changed() -> None:
    held, other = rows(3), rows(4)
    opening = commit(held, KEY)
    tree = Registered(opening.root(), None)
    old = Registered(held.commitment(b"salt"), b"salt")
    assert (unchanged(held, tree, opening), unchanged(other, tree, opening)) == (True, False)
    assert (unchanged(held, old, None), unchanged(other, old, None)) == (True, False)
    assert unchanged(held, tree, None) is None
