"""What has each contributed, if nobody's update may be seen alone?

Under protected aggregation a sum over a group is all there is. Each round the parties are drawn into groups
of three or more, once: a second partition of the same updates would give equations that together tell single
ones. Groups get Shapley's value of the game that they play, and in a group everybody gets its part of the
rows: the average that makes the model gives it the same part, and what else sets members apart is what nobody
may see. So a member that spoils the model is paid like its group, and one that adds nothing is paid too; over
the rounds groups change, and that evens out in part.

It also tells. A party's updates are much alike from round to round, so the sums of groups that change are equations
of which a few rounds are enough to tell single parties apart (docs/contribution.md, benchmarks/group_leak.py). A
`steady` partition, one for the job, says the same about every group in each round and nothing about who is what in
it; the luck of the draw is then that of the whole job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from hansa.ledger.contribution.exact import shapley, subsets
from hansa.ledger.contribution.games import WHOLE_JOB, Asking, Game, Values
from hansa.ledger.contribution.outcome import Effort, Outcome
from hansa.ledger.contribution.stream import Stream
from hansa.ledger.shares import volume_shares

LEAST_GROUP = 3
MOST_GROUPS = 10  # 1,024 unions; with more parties groups grow instead


@dataclass(frozen=True, slots=True)
class Grouped:
    """Group Shapley: one partition a round, Shapley's value of groups, shared in a group by rows.

    Attributes:
        rows: trained on, by party; at least one of each.
        least: members of a group, at least 3.
        steady: the same players are in the same groups in every round.
    """

    name: ClassVar[str] = "group"
    rows: Mapping[str, int] = field(hash=False)
    least: int = LEAST_GROUP
    steady: bool = False

    def __post_init__(self) -> None:
        if self.least < LEAST_GROUP:
            raise ValueError(f"least: a group has at least {LEAST_GROUP} members, not {self.least}")
        for party, count in self.rows.items():
            if count < 1:
                raise ValueError(f"rows: expected at least 1 of {party}, got {count}")

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return Effort(2 ** min(players // self.least, MOST_GROUPS), 1)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for all unions of the groups of every game at once."""
        drawn = [self._partition(game, seed) for game in games]
        unions = [_unions(groups) for groups in drawn]
        yield from values.need(
            game.question(each) for game, listed in zip(games, unions, strict=True) for each in listed
        )
        outcomes = []
        for game, groups, listed in zip(games, drawn, unions, strict=True):
            worth, denominator = values.whole(game.question(each) for each in listed)
            by_group = shapley([str(number) for number in range(len(groups))], worth, denominator)
            shares = {
                party: part * by_group[str(number)]
                for number, group in enumerate(groups)
                for party, part in volume_shares({each: self.rows[each] for each in group}).items()
            }
            outcomes.append(Outcome(game, dict(sorted(shares.items())), {}, groups=groups))
        return tuple(outcomes)

    def _partition(self, game: Game, seed: bytes) -> tuple[tuple[str, ...], ...]:
        for party in game.players:
            if party not in self.rows:
                raise ValueError(f"rows: there are none of {party}, who took part in round {game.round}")
        return partition(game, seed, self.least, steady=self.steady)


def partition(
    game: Game, seed: bytes, least: int = LEAST_GROUP, *, steady: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Return the one partition of a round: as many groups as there can be, of sizes that differ by one at most.

    Args:
        steady: draw for the job and not for the round. Where not all of a job's parties took part in a round, those
            who did have a partition of their own, the same in every round that they make up.

    Raises:
        ValueError: too few players for a single group.
    """
    count = min(len(game.players) // least, MOST_GROUPS)
    if count == 0:
        raise ValueError(
            f"round {game.round}: {len(game.players)} players are too few for a group of {least}; "
            "by volume they can be paid"
        )
    order = Stream(seed, Grouped.name, WHOLE_JOB if steady else game.round).shuffled(game.players)
    return tuple(tuple(sorted(order[number::count])) for number in range(count))


def _unions(groups: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    return [
        frozenset(party for number in chosen for party in groups[number])
        for chosen in subsets(range(len(groups)))
    ]
