"""Which pots and members stand in a drawing of money, and where? The larger ones; the rest are summed up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hansa.agents.audit.words import counted
from hansa.ledger.report import PayoutLine

MOST_POTS = 8
MOST_MEMBERS = 12
WHOLE_PX = 240  # of all the money together
ROW_PX = 36  # a label takes two lines
GAP_PX = 8


@dataclass(frozen=True, slots=True)
class Pot:
    """Where money comes from: a payout, or those that are drawn as one.

    Attributes:
        name: what stands beside it.
        amounts: minor units by member.
        moved: settled; else it is still to be.
    """

    name: str
    amounts: Mapping[str, int]
    moved: bool

    @property
    def minor(self) -> int:
        """All of it, in minor units."""
        return sum(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where money goes to: a member, or those that are drawn as one."""

    name: str
    members: tuple[str, ...]

    def part(self, pot: Pot) -> int:
        """Return what a pot holds for it, in minor units."""
        return sum(pot.amounts.get(member, 0) for member in self.members)


@dataclass(frozen=True, slots=True)
class Bar:
    """Where a pot or a receiver stands, pixels from above; its label is beside its middle."""

    top: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its label."""
        return self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Band:
    """What goes from a pot to a receiver.

    Attributes:
        minor: minor units.
        start, end: where it begins at the pot and ends at the receiver, pixels from above.
        width: pixels.
    """

    pot: Pot
    receiver: Receiver
    minor: int
    start: float
    end: float
    width: float


def pots_of(payouts: Sequence[PayoutLine]) -> list[Pot]:
    """Return the pots to draw: the largest in the payouts' order, then the others, settled and not, as one each."""
    ordered = sorted(payouts, key=lambda line: (-sum(line.amounts.values()), line.number))
    alone = MOST_POTS if len(payouts) <= MOST_POTS else MOST_POTS - 2
    shown = {line.number for line in ordered[:alone]}
    pots = [
        Pot(f"{line.number} · {line.job}", line.amounts, line.status == "settled")
        for line in payouts
        if line.number in shown
    ]
    for moved in (True, False):
        others = [line for line in ordered[alone:] if (line.status == "settled") == moved]
        if others:
            pots.append(Pot(counted(len(others), "other"), summed(others), moved))
    return pots


def receivers_of(pots: Sequence[Pot]) -> list[Receiver]:
    """Return the receivers to draw, who gets most first, and all others as one, the last."""
    sums = summed(pots)
    names = sorted(sums, key=lambda name: (-sums[name], name))
    if len(names) <= MOST_MEMBERS:
        return [Receiver(name, (name,)) for name in names]
    shown, others = names[: MOST_MEMBERS - 1], names[MOST_MEMBERS - 1 :]
    return [
        *(Receiver(name, (name,)) for name in shown),
        Receiver(counted(len(others), "other"), tuple(others)),
    ]


def summed(lines: Sequence[PayoutLine | Pot]) -> dict[str, int]:
    """Return what payouts of one currency come to by member, minor units."""
    sums: dict[str, int] = {}
    for line in lines:
        for name, minor in line.amounts.items():
            sums[name] = sums.get(name, 0) + minor
    return sums


def height_of(minors: Sequence[int], whole: int) -> float:
    """Return how high a column of bars is, pixels."""
    return sum(_slot(minor, whole) for minor in minors) + GAP_PX * (len(minors) - 1)


def placed(minors: Sequence[int], whole: int, height: float) -> list[Bar]:
    """Return a column of bars as high as their amounts, with room for labels, in the middle of some height.

    Args:
        whole: all the money, minor units, > 0; it is `WHOLE_PX` high.
    """
    top = (height - height_of(minors, whole)) / 2
    bars = []
    for minor in minors:
        slot, bar = _slot(minor, whole), WHOLE_PX * minor / whole
        bars.append(Bar(top + (slot - bar) / 2, bar))
        top += slot + GAP_PX
    return bars


def bands_of(
    pots: Sequence[Pot], receivers: Sequence[Receiver], left: Sequence[Bar], right: Sequence[Bar]
) -> list[Band]:
    """Return a band for every amount that is more than nothing, pot by pot."""
    whole = sum(pot.minor for pot in pots)
    ends = [bar.top for bar in right]
    found = []
    for pot, bar in zip(pots, left, strict=True):
        start = bar.top
        for at, receiver in enumerate(receivers):
            if minor := receiver.part(pot):
                width = WHOLE_PX * minor / whole
                found.append(Band(pot, receiver, minor, start, ends[at], width))
                start, ends[at] = start + width, ends[at] + width
    return found


def _slot(minor: int, whole: int) -> float:
    return max(ROW_PX, WHOLE_PX * minor / whole)
