"""What an author signs reads back as it was meant, and nothing else passes for it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.fields import pack_fields
from hansa.ledger import (
    DatasetRegistered,
    JobRefused,
    MalformedEntry,
    SignedEntry,
    decode_body,
    read_entry,
    sign_entry,
)
from hansa.ledger.entry import BODY_BYTES, ENTRY_DOMAIN
from tests.ledger.town import BREMEN, DIGEST, FEDERATION

BODY = JobRefused("herring", "not with Danzig")
ENTRY = sign_entry(BREMEN, federation=FEDERATION, author_seq=3, body=BODY, time_ms=1_000)
FIELDS = read_entry(ENTRY.signed)


def packed(**changes: object) -> bytes:
    fields = replace(FIELDS, **changes)  # type: ignore[arg-type]  # whatever a test wants
    return pack_fields(
        ENTRY_DOMAIN,
        fields.federation,
        fields.author,
        fields.author_seq,
        fields.kind,
        fields.schema,
        fields.time_ms,
        fields.body,
    )


def test_an_entry_says_who_wrote_what_and_when() -> None:
    assert (FIELDS.federation, FIELDS.author, FIELDS.author_seq) == (FEDERATION, "bremen", 3)
    assert (FIELDS.kind, FIELDS.schema, FIELDS.time_ms) == ("job-refused", 1, 1_000)
    assert decode_body(FIELDS.kind, FIELDS.schema, FIELDS.body) == BODY
    assert packed() == ENTRY.signed


def test_an_entry_bears_its_authors_signature() -> None:
    BREMEN.public.verify(ENTRY.signature, ENTRY.signed)
    assert "signature" not in repr(ENTRY)


@given(
    st.text(max_size=50),
    st.text(max_size=50),
    st.integers(0, 2**63 - 1),
    st.from_regex(r"[a-z0-9-]{1,60}", fullmatch=True),
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.binary(max_size=200),
)
def test_any_fields_are_read_as_they_were_packed(
    federation: str, author: str, number: int, kind: str, schema: int, time_ms: int, body: bytes
) -> None:
    signed = pack_fields(ENTRY_DOMAIN, federation, author, number, kind, schema, time_ms, body)
    fields = read_entry(signed)
    assert (fields.federation, fields.author, fields.author_seq) == (federation, author, number)
    assert (fields.kind, fields.schema, fields.time_ms, fields.body) == (kind, schema, time_ms, body)


@given(st.integers(0, len(ENTRY.signed) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_says_something_else(position: int, flip: int) -> None:
    changed = bytearray(ENTRY.signed)
    changed[position] ^= flip
    try:
        fields = read_entry(bytes(changed))
    except MalformedEntry:
        return
    assert fields != FIELDS


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(MalformedEntry):
        read_entry(noise)


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (b"", "not an entry"),
        (ENTRY.signed[:-1], "not an entry"),
        (ENTRY.signed + b"\0", "not an entry"),
        (ENTRY.signed.replace(b"hansa-entry-v1", b"hansa-entry-v2"), "'hansa-entry-v2'"),
        (packed(kind="Job Refused"), "no kind"),
        (packed(kind="k" * 61), "no kind"),
        (packed(schema=0), "from 1"),
        (packed(body=bytes(BODY_BYTES + 1)), f"at most {BODY_BYTES}"),
    ],
    ids=["empty", "cut", "longer", "version", "kind", "long-kind", "schema", "body"],
)
def test_what_is_no_entry_is_refused_by_name(signed: bytes, reason: str) -> None:
    with pytest.raises(MalformedEntry, match=reason):
        read_entry(signed)


def test_a_body_may_be_as_large_as_the_limit() -> None:
    assert len(read_entry(packed(body=bytes(BODY_BYTES))).body) == BODY_BYTES


def test_nobody_can_sign_a_body_over_the_limit() -> None:
    columns = tuple(f"{'column':x<100}-{number}" for number in range(700))
    body = DatasetRegistered("catch", 1, columns, None, DIGEST)
    with pytest.raises(ValueError, match="dataset-registered body of at most"):
        sign_entry(BREMEN, federation=FEDERATION, author_seq=0, body=body, time_ms=0)


def test_a_number_or_time_before_zero_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        sign_entry(BREMEN, federation=FEDERATION, author_seq=-1, body=BODY, time_ms=0)


def test_entries_compare_by_their_bytes() -> None:
    assert SignedEntry(ENTRY.signed, ENTRY.signature) == ENTRY
