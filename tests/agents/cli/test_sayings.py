"""Entries that hold hundreds of figures, in a line each."""

import pytest

from hansa.agents.cli.sayings import in_words
from hansa.ledger import Body, CoalitionsValued, ContributionMeasured, JobAborted, PayoutProposed

TEN = tuple(f"party-{number}" for number in range(10))
SHARES = {"east": 750_000_000, "west": 250_000_000}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            CoalitionsValued("trial", 2, TEN, (5,) * 10, tuple(range(1024)), (0.25, *[0.5] * 1023)),
            "job trial  round 2  1024 coalitions of party-0, party-1, party-2, party-3, party-4, party-5, party-6, "
            "party-7 and 2 more valued: of nobody 0.25, of all 0.5",
        ),
        (
            CoalitionsValued("trial", 2, ("east", "west"), (5, 5), (0, 1), (-0.25, 0.5)),
            "job trial  round 2  2 coalitions of east, west valued: of nobody -0.25",
        ),
        (ContributionMeasured("trial", "gtg", SHARES), "job trial  by gtg: east 75.0%, west 25.0%"),
        (ContributionMeasured("trial", "gtg", {"east": 0}), "job trial  by gtg: east 0"),
        (
            PayoutProposed("trial", "EUR", 123_456, {"west": 6, "east": 123_450}, b"", ()),
            "job trial  1,234.56 EUR for training: east 1,234.50, west 0.06",
        ),
        (
            PayoutProposed("trial", "JPY", 5, {"east": 5}, b"", (), scheme="fli"),
            "job trial  5 JPY for training as fli has it: east 5",
        ),
        (
            PayoutProposed("trial", "EUR", 5, {"east": 5}, b"", (), "uses", 7, 9),
            "job trial  0.05 EUR for uses 7 … 9: east 0.05",
        ),
    ],
)
def test_figures_are_told_in_words(body: Body, words: str) -> None:
    assert in_words(body) == words


@pytest.mark.parametrize(
    "body", [JobAborted("trial", "too few"), ContributionMeasured("trial", "volume", SHARES)]
)
def test_what_is_short_is_told_by_its_fields(body: Body) -> None:
    assert in_words(body) is None
