"""Which method does a job measure contributions by, with which settings, and what follows from its values?

A job says so under "contribution." in the settings of its proposal. What follows from a round's values follows from
nothing else: method, settings, seed, players, rows, values.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hansa.ledger.contribution.exact import Banzhaf, LeaveOneOut, Shapley
from hansa.ledger.contribution.games import Question
from hansa.ledger.contribution.groups import Grouped
from hansa.ledger.contribution.gtg import Guided
from hansa.ledger.contribution.measure import answered, begin
from hansa.ledger.contribution.outcome import Contribution, Method
from hansa.ledger.contribution.sampled import Permutation, SampledBanzhaf, Truncated
from hansa.ledger.contribution.stratified import Stratified
from hansa.ledger.errors import BadValue
from hansa.ledger.jobs import CoalitionsValued, Setting

VOLUME = "volume"
PREFIX = "contribution."
SEED_DOMAIN = b"hansa/contribution-seed/1\x00"

# By the name a job gives. `Any`: each method is made from its own settings.
_MAKERS: dict[str, Callable[..., Any]] = {
    each.name: each
    for each in (
        LeaveOneOut,
        Shapley,
        Permutation,
        Truncated,
        Guided,
        Stratified,
        Banzhaf,
        SampledBanzhaf,
        Grouped,
    )
}
METHODS: tuple[str, ...] = (VOLUME, *_MAKERS)


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a job measures contributions by valuing coalitions.

    Attributes:
        name: of `METHODS`, not "volume".
        utility: as in `Charter`.
        validation: the coordinator's registered data set whose rows models are valued on; "" where the protocol
            values them on rows that its parties hold out.
        settings: (name, value) of the method's own, by name.
    """

    name: str
    utility: str
    validation: str = ""
    settings: tuple[tuple[str, Setting], ...] = field(default=())

    def method(self, rows: Mapping[str, int]) -> Method:
        """Return the method, for a round in which these rows were trained on, by player.

        Raises:
            ValueError: a setting that it does not have, or out of range.
        """
        given: dict[str, Any] = dict(self.settings)
        if self.name == Grouped.name:
            given["rows"] = dict(rows)
        try:
            method: Method = _MAKERS[self.name](**given)
        except TypeError:
            raise ValueError(
                f"{self.name} does not take all of {', '.join(sorted(dict(self.settings)))}"
            ) from None
        return method


def chosen(settings: Mapping[str, Setting]) -> Chosen | None:
    """Read from a job's settings how contributions are measured; None: by volume, without valuing anything.

    Raises:
        ValueError: no such method, another kind of value than a text, or settings that it does not take.
    """
    ours = {key.removeprefix(PREFIX): value for key, value in settings.items() if key.startswith(PREFIX)}
    if not ours:
        return None
    name, utility, validation = (ours.pop(key, "") for key in ("method", "utility", "validation"))
    if name not in _MAKERS:
        raise ValueError(f"contribution: expected one of {', '.join(METHODS)}, got {name!r:.60}")
    if utility not in ("score", "loss"):
        raise ValueError(f"utility: expected score or loss, got {utility!r:.60}")
    if not isinstance(validation, str):
        raise ValueError(f"validation: expected the name of a data set, got {validation!r:.60}")
    if "rows" in ours:
        raise ValueError("rows: are those that were trained on, not a setting")
    found = Chosen(str(name), str(utility), validation, tuple(sorted(ours.items())))
    found.method({"somebody": 1})  # does it take these settings?
    return found


def seed_of(parties: tuple[str, ...], draws: Mapping[str, bytes]) -> bytes:
    """Return the (32,) seed of all that is drawn: the parties' draws, hashed together in the order of their names.

    Raises:
        ValueError: a party without a draw.
    """
    for party in parties:
        if party not in draws:
            raise ValueError(f"{party} has added no draw to the seed")
    named = b"".join(party.encode() + b"\x00" + draws[party] for party in sorted(parties))
    return hashlib.sha256(SEED_DOMAIN + named).digest()


@lru_cache(maxsize=16)
def appraised(how: Chosen, seed: bytes, body: CoalitionsValued) -> Contribution:
    """Compute a round's shares again, from what is on the ledger and nothing else.

    Raises:
        BadValue: the values lack a coalition that the method asks for, or have one that it does not.
        ValueError: players that the method can't serve.
    """
    found = estimated(how, seed, body)
    spare = next((each for each in told(body) if each not in found.values), None)
    if spare is not None:
        raise BadValue(f"{spare}: a value that nobody has asked for")
    return found


def estimated(how: Chosen, seed: bytes, body: CoalitionsValued) -> Contribution:
    """Compute what any method makes of a round, whether the ledger has more values than it asks for or not.

    Raises:
        BadValue, ValueError: as `appraised`, but for spare values.
    """
    known = told(body)
    return answered(
        begin(how.method(dict(zip(body.players, body.rows, strict=True))), {body.round: body.players}, seed),
        lambda batch: {each: known[each] for each in batch if each in known},
    )


def told(body: CoalitionsValued) -> dict[Question, float]:
    """Return a round's values by what was asked."""
    return {
        Question(body.round, _members(body.players, number)): value
        for number, value in zip(body.coalitions, body.values, strict=True)
    }


def coalition_number(players: tuple[str, ...], coalition: frozenset[str]) -> int:
    """Return a coalition as the ledger has it: player i is bit i."""
    return sum(1 << place for place, name in enumerate(players) if name in coalition)


def _members(players: tuple[str, ...], number: int) -> frozenset[str]:
    return frozenset(name for place, name in enumerate(players) if number >> place & 1)
