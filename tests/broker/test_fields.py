"""Signed bytes: one form per value, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.errors import MalformedMessage
from hansa.broker.fields import MAX_INT, Field, pack_fields, unpack_fields

FIELD = st.text() | st.binary() | st.integers(0, MAX_INT)


@given(st.text(), st.lists(FIELD))
def test_fields_come_back_as_they_went(domain: str, fields: list[Field]) -> None:
    packed = pack_fields(domain, *fields)
    assert unpack_fields(packed, [type(field) for field in fields]) == (domain, fields)


@given(st.lists(FIELD), st.lists(FIELD))
def test_different_fields_never_share_bytes(left: list[Field], right: list[Field]) -> None:
    same = [(type(field), field) for field in left] == [(type(field), field) for field in right]
    assert (pack_fields("d", *left) == pack_fields("d", *right)) == same


@given(st.lists(FIELD), st.data())
def test_a_shorter_or_longer_encoding_is_refused(fields: list[Field], data: st.DataObject) -> None:
    packed = pack_fields("d", *fields)
    types = [type(field) for field in fields]
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(MalformedMessage):
        unpack_fields(packed[:cut], types)
    with pytest.raises(MalformedMessage, match="follow the last"):
        unpack_fields(packed + b"x", types)


@pytest.mark.parametrize("number", [-1, MAX_INT + 1])
def test_integers_outside_what_databases_hold_are_not_signed(number: int) -> None:
    with pytest.raises(ValueError, match="2\\^63"):
        pack_fields("d", number)


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="field 1 should be int"):
        unpack_fields(pack_fields("d", "7"), [int])


def test_text_that_is_no_utf8_is_refused() -> None:
    packed = pack_fields("d", "ab").replace(b"ab", b"\xff\xff")
    with pytest.raises(MalformedMessage, match="UTF-8"):
        unpack_fields(packed, [str])


def test_an_integer_of_another_width_or_too_large_is_refused() -> None:
    domain = pack_fields("d")
    for content in (b"\x01", b"\xff" * 8, b"\x00" * 9):
        with pytest.raises(MalformedMessage, match="8 bytes below"):
            unpack_fields(domain + b"i" + len(content).to_bytes(4, "big") + content, [int])
