"""What may a field of an entry hold? Lengths, digests, names and ranges, said once for every kind.

Each check raises ValueError, which names the field.
"""

from collections.abc import Iterable
from math import isfinite

from hansa.broker.identity import check_name

REASON_CHARS = 500  # free text: reasons, purposes, references
LABEL_CHARS = 200  # what people and libraries name: organisations, columns, models, metrics
DIGEST_BYTES = 32


def check_text(name: str, value: str, limit: int) -> None:
    """Refuse a text of more than so many characters."""
    if len(value) > limit:
        raise ValueError(f"{name}: expected at most {limit} characters, got {len(value)}")


def check_at_least(name: str, value: int, least: int) -> None:
    """Refuse a number below its least."""
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")


def check_between(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number below its least or above its most."""
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} … {most}, got {value}")


def check_digest(name: str, value: bytes) -> None:
    """Refuse what is no digest, or no key, by its length."""
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"{name}: expected {DIGEST_BYTES} bytes, got {len(value)}")


def check_names(name: str, values: Iterable[str]) -> None:
    """Refuse what is nobody's name, and a name that comes twice."""
    listed = tuple(values)
    for value in listed:
        check_name(value)
    if len(set(listed)) != len(listed):
        raise ValueError(f"{name}: somebody is named twice")


def check_finite(name: str, value: float | None) -> None:
    """Refuse a figure that is there and not finite."""
    if value is not None and not isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
