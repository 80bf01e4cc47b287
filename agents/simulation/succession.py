"""Does the ledger survive its keeper? A change of keepers in a whole federation, harmed from a seed.

Members write on the ledger all the while. At some time the keeper is lost for good, is away for a while, or people
want another one; one member offers itself, sometimes two. Everything else goes wrong as in any simulated run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from hansa.agents.core.agent import Agent
from hansa.agents.simulation.harm import Crashed, Harm
from hansa.agents.simulation.jobs import KEEPER, PARTIES, specification
from hansa.agents.simulation.template import copied_federation
from hansa.agents.simulation.weather import EPOCH_S
from hansa.agents.simulation.world import World, entries
from hansa.ledger import ChainedEntry, DatasetRegistered
from hansa.ledger.checkpoints import Checkpoint

MAX_STEPS = 20_000
WRITTEN = 8  # entries that are written in one run
SPAN_S = 60.0  # in which all of this begins
SILENCE_S = 90  # of the keeper, after which members agree by themselves
ASK_PAUSE_S = 30.0  # after which a person types a command again
SECOND = 0.3  # probability of a second candidate

Fate = Literal["gone", "back", "relieved"]


@dataclass(frozen=True, slots=True)
class Succession:
    """What came of it.

    Attributes:
        fate: what became of the keeper.
        entries: by agent that is up, its copy of the ledger.
        signed: by agent, the data sets of which it has journalled that it registers them.
        pledged: by agent, the heads it put its name to, in all its lives.
        final: heads that any agent ever took for final.
    """

    seed: int
    fate: Fate
    entries: dict[str, list[ChainedEntry]] = field(repr=False)
    signed: dict[str, set[str]]
    pledged: dict[str, list[str]] = field(repr=False)
    final: set[Checkpoint] = field(repr=False)
    crashes: tuple[str, ...]
    trace: tuple[str, ...] = field(repr=False)
    virtual_s: float


def succeed(harm: Harm) -> Succession:
    """Run one change of keepers to its end; deterministic in its argument.

    Raises:
        AssertionError: it has none.
    """
    with copied_federation() as folder:
        plot = Plot(World(harm, folder, (specification(),)))
        world = plot.world
        for _ in range(MAX_STEPS):
            plot.act()
            happened = world.tick()
            plot.note_final()
            if happened:
                continue
            if plot.over():
                break
            later = min(filter(None, (world.next_event(), plot.next_due())), default=None)
            assert later is not None, f"seed {harm.seed}: nothing happens any more"
            world.weather.now = later
        else:
            raise AssertionError(f"seed {harm.seed}: no end within {MAX_STEPS} ticks")
        return plot.told()


class Plot:
    """What people do in one run, and what is seen of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        random = world.weather.random
        fates: tuple[Fate, ...] = ("gone", "back", "relieved")
        self.fate = random.choice(fates)
        self.candidates = random.sample(PARTIES, 2 if random.random() < SECOND else 1)
        self.final: set[Checkpoint] = set()
        lost_at = EPOCH_S + random.uniform(0, SPAN_S)
        self._away_s = float("inf") if self.fate == "gone" else random.uniform(0, 3 * SILENCE_S)
        for seat in world.seats.values():
            policy = seat.config.written_policy.model_copy(update={"keeper_silence_s": SILENCE_S})
            seat.config = seat.config.model_copy(update={"written_policy": policy})
        self._acts: list[tuple[float, Callable[[], bool]]] = []
        if self.fate != "relieved":
            self._acts.append((lost_at, self._lose_keeper))
        for number in range(WRITTEN):
            author = random.choice((KEEPER, *PARTIES))
            at = EPOCH_S + random.uniform(0, SPAN_S)
            self._acts.append((at, partial(self._write, author, number)))
        for name in self.candidates:
            at = lost_at + random.uniform(0, SPAN_S)
            self._acts.append((at, partial(self._offer, name)))
        for name in PARTIES if self.fate != "gone" else ():
            at = lost_at + random.uniform(0, 3 * SILENCE_S)
            self._acts.append((at, partial(self._approve, name)))
        self._asked: dict[str, Agent] = {}  # who was asked to register a data set
        self._ask_at: dict[str, float] = {}

    def act(self) -> None:
        """Have people do what is due, until it is done: a killed agent may have forgotten what it was told."""
        now = self.world.weather.now
        self._acts = [(at, each) for at, each in self._acts if now < at or not each()]

    def next_due(self) -> float | None:
        """When people do something next, or None."""
        times = [*(at for at, _ in self._acts), *(self._ask_at.values() if self._acts else ())]
        return min((at for at in times if at > self.world.weather.now), default=None)

    def note_final(self) -> None:
        """Note what anybody takes for final."""
        for agent in self._up().values():
            final = agent.witness.heads.final
            if final is not None:
                self.final.add(final.checkpoint)

    def over(self) -> bool:
        """Whether all is done, and everybody that is up holds the same."""
        up = self._up()
        absent = {name for name, seat in self.world.seats.items() if seat.back_at == float("inf")}
        if self._acts or len(up) + len(absent) < len(self.world.seats):
            return False
        if any(queue for name, queue in self.world.network.queues.items() if name not in absent):
            return False
        settled = len({agent.clerk.head for agent in up.values()}) == 1
        return settled and all(
            agent.clerk.standing.epoch and not agent.clerk.waiting() and not agent.takeover.under_way
            for agent in up.values()
        )

    def told(self) -> Succession:
        """Close the world, and return what is left of it."""
        world = self.world
        up = self._up()
        found = Succession(
            seed=world.harm.seed,
            fate=self.fate,
            entries={name: entries(world.seats[name].url) for name in up},
            signed={name: seat.journal.registered for name, seat in world.seats.items()},
            pledged={name: seat.journal.pledged for name, seat in world.seats.items()},
            final=self.final,
            crashes=tuple(world.weather.crashes),
            trace=tuple(world.weather.trace),
            virtual_s=world.weather.now - EPOCH_S,
        )
        world.close()
        return found

    # --- what people do ------------------------------------------------------------------------------------
    def _lose_keeper(self) -> bool:
        seat = self.world.seats[KEEPER]
        if seat.agent is None:
            return False
        self.world.kill(KEEPER, Crashed(f"{KEEPER} is away"))
        seat.back_at = self.world.weather.now + self._away_s
        return True

    def _write(self, author: str, number: int) -> bool:
        """Have a data set registered; whoever is gone for good writes nothing any more."""
        name, seat = f"set-{number}", self.world.seats[author]
        if seat.back_at == float("inf") or name in seat.journal.registered:
            return True
        body = DatasetRegistered(name, 3, ("a",), None, bytes(32))
        if seat.agent is not None and self._asked.get(name) is not seat.agent:
            self._asked[name] = seat.agent  # a new process has not been asked
            seat.agent.write(body)
        return False

    def _offer(self, name: str) -> bool:
        """Have a member offer itself, again if it gave up, until another has taken over."""
        agent = self.world.seats[name].agent
        if agent is None:
            return False
        candidate = agent.takeover.candidate
        if agent.clerk.standing.epoch:
            self._ask(agent, name, lambda: candidate.give_up("another keeps the ledger"))
            return not agent.takeover.under_way
        if not agent.takeover.under_way:
            self._ask(agent, name, lambda: candidate.begin("simulated"))
        return False

    def _approve(self, name: str) -> bool:
        """Have a person agree to all candidates, over restarts too."""
        agent = self.world.seats[name].agent
        if agent is not None and not agent.clerk.standing.epoch:
            for candidate in self.candidates:
                if candidate != name:
                    self._ask(agent, f"{name} {candidate}", partial(agent.takeover.approve, candidate))
        return agent is not None and agent.clerk.standing.epoch > 0

    def _ask(self, agent: Agent, what: str, request: Callable[[], None]) -> None:
        """Have a member do something, unless it was asked a moment ago."""
        now = self.world.weather.now
        if now >= self._ask_at.get(what, 0.0):
            self._ask_at[what] = now + ASK_PAUSE_S
            agent.ask(request)

    def _up(self) -> dict[str, Agent]:
        return {name: seat.agent for name, seat in self.world.seats.items() if seat.agent is not None}
