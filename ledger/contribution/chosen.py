"""Which method does a job measure contributions by, with which settings, and what follows from its values?

A job says so under "contribution." in the settings of its proposal. What follows from a round's values follows from
nothing else: method, settings, seed, players, rows, values.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
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
from hansa.ledger.jobs import MOST_PLAYERS, MOST_VALUES, CoalitionsValued, Setting

VOLUME = "volume"
PREFIX = "contribution."
SEED_DOMAIN = b"hansa/contribution-seed/1\x00"

# Of a job measured by all coalitions: 1,024 models are rebuilt and valued in every round.
MOST_EXACT_PARTIES = 10
# Orders or samples in a round. Everybody who replays the ledger draws them again, and whatever the settings and
# values, that takes no more than some 0.1 s.
MOST_DRAWN = 1_024
MANY_PLAYERS = 33  # whose coalitions' numbers take 9 bytes each in an entry, which takes 64 KiB
MOST_VALUES_OF_MANY = 3_400
# Of a coalition, signs aside; and it is 0 or at least 2^-200, or sums of shares grow too long.
MOST_WORTH = 2.0**200
# Of a whole number where a setting is a fraction: the ledger has some that no float can hold.
MOST_WHOLE = 2**53

# By the name a job gives. `Any`: each method is made from its own settings.
_MAKERS: dict[str, type[Any]] = {
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
EXACT = (Shapley.name, Banzhaf.name)


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
            ValueError: a setting that it does not have, of another kind, or out of range.
        """
        maker = _MAKERS[self.name]
        kinds = _kinds(self.name)
        for name, value in self.settings:
            if name not in kinds:
                raise ValueError(f"{name}: {self.name} has no such setting, but {', '.join(kinds) or 'none'}")
            if not _fits(value, kinds[name]):
                raise ValueError(f"{name}: expected {kinds[name].__name__}, got {value!r:.60}")
        given: dict[str, Any] = dict(self.settings)
        if self.name == Grouped.name:
            given["rows"] = dict(rows)
        method: Method = maker(**given)
        return method

    def check_parties(self, count: int) -> None:
        """Refuse so many parties in a job if a round of them might ask for more than the ledger takes.

        Nothing is drawn or listed for that. What holds of so many holds of fewer, but for groups.

        Raises:
            ValueError: too many or too few; it names what to take instead.
        """
        if not 1 <= count <= MOST_PLAYERS:
            raise ValueError(f"{count} parties: coalitions of 1 … {MOST_PLAYERS} are valued; take volume")
        if self.name in EXACT and count > MOST_EXACT_PARTIES:
            raise ValueError(
                f"{self.name}: {count} parties have {2**count:,} coalitions, and in a job at most "
                f"{MOST_EXACT_PARTIES} parties are measured exactly; take gtg, stratified or permutation"
            )
        method = self.method({})
        if isinstance(method, Grouped) and count < method.least:
            raise ValueError(
                f"{self.name}: {count} parties are too few for a group of {method.least}; take volume"
            )
        effort, room = method.effort(count), MOST_VALUES if count < MANY_PLAYERS else MOST_VALUES_OF_MANY
        lessen = " or ".join(name for name, kind in _kinds(self.name).items() if kind is int)
        if effort.values > room:
            raise ValueError(
                f"{self.name}: {count} parties may ask for {effort.values:,} values in a round, and an entry takes "
                f"{room:,}; lessen {lessen}, or take leave-one-out"
            )
        if effort.drawn > MOST_DRAWN:
            raise ValueError(
                f"{self.name}: {effort.drawn:,} orders or samples in a round are more than {MOST_DRAWN:,}; "
                f"lessen {lessen}"
            )


def _kinds(name: str) -> dict[str, type]:
    """Return a method's settings with what they hold."""
    return {each.name: type(each.default) for each in fields(_MAKERS[name]) if each.default is not MISSING}


def _fits(value: Setting, kind: type) -> bool:
    if kind is float and type(value) is int:
        return abs(value) <= MOST_WHOLE
    return type(value) is kind


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
    found = Chosen(str(name), str(utility), validation, tuple(sorted(ours.items())))
    found.method({})  # does it take these settings?
    return found


def seed_of(parties: tuple[str, ...], draws: Mapping[str, bytes]) -> bytes:
    """Return the (32,) seed of all that is drawn: the parties' draws, hashed together in the order of their names.

    Nobody can choose it. Whoever adds its draw last has seen the others' and can try some, as a coordinator can who
    goes on without somebody: what they can gain is the luck of the best of so many draws.

    Raises:
        ValueError: a party without a draw.
    """
    for party in parties:
        if party not in draws:
            raise ValueError(f"{party} has added no draw to the seed")
    named = b"".join(party.encode() + b"\x00" + draws[party] for party in sorted(parties))
    return hashlib.sha256(SEED_DOMAIN + named).digest()


@dataclass(frozen=True, slots=True)
class Appraised:
    """What follows from the values of one round.

    Attributes:
        shares: by player, in the utility's unit, exact.
        variances: of these, over what was drawn; empty if nothing was, or too little to tell.
        gain: what everybody together has made the model worth more.
        evaluations: how many coalitions were valued.
    """

    shares: Mapping[str, Fraction]
    variances: Mapping[str, Fraction]
    gain: Fraction
    evaluations: int


@lru_cache(maxsize=16)
def appraised(how: Chosen, seed: bytes, body: CoalitionsValued) -> Appraised:
    """Compute a round's shares again, from what is on the ledger and nothing else.

    Kept for who asks next: a rule asks first, and then the standing that takes the entry in. The values are not.

    Raises:
        BadValue: the values lack a coalition that the method asks for, or have one that it does not, or are of no
            size that a model's worth has.
        ValueError: players that the method can't serve.
    """
    how.check_parties(len(body.players))
    for value in body.values:
        if value and not 1 / MOST_WORTH <= abs(value) <= MOST_WORTH:
            raise BadValue(f"values: expected 0 or 2^-200 … 2^200, signs aside, got {value}")
    found = estimated(how, seed, body)
    spare = next((each for each in told(body) if each not in found.values), None)
    if spare is not None:
        raise BadValue(f"{spare}: a value that nobody has asked for")
    outcome = found.outcomes[0]
    return Appraised(outcome.shares, outcome.variances, found.gain, found.evaluations)


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
        Question(body.round, coalition): value
        for coalition, value in zip(_coalitions(body), body.values, strict=True)
    }


def coalition_number(players: tuple[str, ...], coalition: frozenset[str]) -> int:
    """Return a coalition as the ledger has it: player i is bit i."""
    return sum(1 << place for place, name in enumerate(players) if name in coalition)


def _coalitions(body: CoalitionsValued) -> Iterator[frozenset[str]]:
    """Yield the coalitions that a round's numbers stand for, each out of the one without its first player."""
    alone = {1 << place: frozenset([name]) for place, name in enumerate(body.players)}
    known = {0: frozenset[str]()}
    for number in body.coalitions:
        rest = number & (number - 1)
        if rest in known:
            known[number] = known[rest] | alone[number ^ rest] if number else known[0]
        else:
            known[number] = frozenset(name for bit, [name] in alone.items() if number & bit)
        yield known[number]
