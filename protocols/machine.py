"""What is a protocol, to those who run one?

A role is two pure functions over frozen states: ``begin(brief)`` and ``step(state, event)``, each returning
the next state and the effects it asks for. Nothing here sends, sleeps, computes or stores: the agent (or the
simulator) performs the effects and feeds the outcomes back as events. An agent may therefore crash between
any two steps, restore the last state it stored, run the pending ``Compute`` effects again, and go on.

States, messages, facts, results and task inputs are records: dataclasses whose fields are bool, int, float,
str, bytes, None, numpy arrays, tuples, ``dict[str, T]``, ``Literal``, other records, and unions of records,
so that a codec directed by their types can store and send them without knowing any protocol.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from hansa.protocols.model import Array, BoolArray, Evaluation, FloatArray, Model
from hansa.protocols.preparation import Preparation

StateT = TypeVar("StateT")
StateT_co = TypeVar("StateT_co", covariant=True)


# -- effects: what a machine asks of its agent --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver a message to the named agent; at least once, in the order of sending."""

    recipient: str
    message: object


@dataclass(frozen=True, slots=True)
class Compute:
    """Run a task of the protocol off the step; its outcome returns as ``Computed`` with the same id.

    The agent keeps the effect until that event is consumed and runs it again after a crash: the same inputs
    and seed give the same result.
    """

    task_id: str
    function: str
    inputs: object
    seed: int


@dataclass(frozen=True, slots=True)
class Record:
    """Put a fact on the ledger."""

    fact: object


@dataclass(frozen=True, slots=True)
class Keep:
    """Hold on to a record until the job has a result: if it ends without one, another job can start from it.

    A later one takes its place.
    """

    record: object


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire ``TimerFired(name)`` after so many seconds; a timer of the same name is replaced."""

    name: str
    after_s: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; unknown names are fine, since it may just have fired."""

    name: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The role is done; no later effect follows."""

    result: object


@dataclass(frozen=True, slots=True)
class Abort:
    """The role gives up; the agent tells everyone the reason, and who was missing. No later effect follows."""

    reason: str
    missing: tuple[str, ...] = ()


Effect = Send | Compute | Record | Keep | SetTimer | CancelTimer | Finish | Abort


# -- events: what an agent tells its machine ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A message of this protocol, its signature and schema already checked."""

    sender: str
    message: object


@dataclass(frozen=True, slots=True)
class Computed:
    """A task ended: with a result, or with one line saying why not."""

    task_id: str
    result: object | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer ran out. One that was cancelled at the same instant may still arrive."""

    name: str


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer gave up (or was suspended), and won't take part in the rest of the job."""

    name: str
    reason: str


Event = Received | Computed | TimerFired | PeerLeft


# -- the machine --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT_co]):
    """The next state, and what the machine asks for, in order."""

    state: StateT_co
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a role knows when it begins.

    Attributes:
        job: the job's id.
        me: the agent that plays the role.
        role: a key of the protocol's ``roles``.
        coordinator: the agent that leads the job.
        parties: the agents that hold data, sorted.
        settings: an instance of the protocol's ``settings``.
        seed: the job's seed; every random choice of the machine derives from it.
        start: what an earlier job has kept here (``Keep``), if the settings say to start from it.
        secret: fresh random bytes of the agent, for this role alone; all its secrets derive from them.
        valued: whether contributions are measured by valuing coalitions (``Workbench.appraise``), for which the
            coordinator's role records a ``Valuation`` of each round.
        volumes: at the coordinator, by party, how many rows and feature columns it has registered: who says that it
            has more is refused. Whoever is missing has registered nothing that is known here.
    """

    job: str
    me: str
    role: str
    coordinator: str
    parties: tuple[str, ...]
    settings: object
    seed: int
    start: object | None = field(default=None, repr=False, compare=False)
    secret: bytes = field(default=b"", repr=False, compare=False)
    valued: bool = False
    volumes: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if list(self.parties) != sorted(set(self.parties)):
            raise ValueError(f"parties must be sorted and distinct, not {self.parties}")


Worth = Callable[[Sequence[frozenset[str]]], Sequence[Evaluation]]
"""How good are the models that exactly these parties have made? The same at every call."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """What coalitions' models are worth in one round, and what each party has contributed to it.

    Attributes:
        round: as given.
        players: who took part, ascending.
        rows: trained on, in that order.
        coalitions: that were valued, rising; player i is bit i.
        values: of these, in the agreed utility.
        shares: by player, exact, as "numerator/denominator".
    """

    round: int
    players: tuple[str, ...]
    rows: tuple[int, ...]
    coalitions: tuple[int, ...]
    values: tuple[float, ...]
    shares: dict[str, str]


class Workbench(Protocol):
    """What a task may use of the agent that runs it; what a bench does not lend raises LocalProtocolError."""

    def model(self) -> Model:
        """Return a new model, as the job describes it; tasks share none."""
        ...

    def training(self) -> tuple[FloatArray, Array]:
        """Return the rows to train on: (rows, features) and (rows,)."""
        ...

    def holdout(self) -> tuple[FloatArray, Array]:
        """Return the rows to evaluate on, disjoint from ``training``; shapes as there."""
        ...

    def validation(self) -> tuple[FloatArray, Array]:
        """Return the coordinator's rows that coalitions' models are valued on; shapes as of ``training``."""
        ...

    def appraise(self, number: int, rows: Mapping[str, int], worth: Worth) -> Valuation:
        """Value as many coalitions as the job's way of measuring contributions asks for.

        Args:
            number: of the round, from 1; 0 for a job that is valued as a whole.
            rows: trained on, by who took part.
            worth: how good the models of some coalitions are, all at once; asked for none twice.

        Raises:
            ValueError: too many or too few took part for it.
        """
        ...

    def preparation(self) -> Preparation:
        """Return how columns of our own became the features of ``training``."""
        ...

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the ids of our rows, in our order, and the number that people give to the first row."""
        ...

    def lookup(self, ids: Sequence[str], preparation: Preparation) -> tuple[BoolArray, FloatArray]:
        """Return which of these ids we hold, (ids,), and the features of those, (held, features), in their order.

        Raises:
            PreparationError: our columns are not those that this preparation is for.
        """
        ...


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a role waits for, in words for people.

    Attributes:
        what: "round 3", say; empty once it has ended.
        whom: the agents whose word is awaited; none while it computes.
    """

    what: str
    whom: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a job starts from: what another job has left at this agent.

    Attributes:
        digest: of its model; empty if it has none that all share.
        of: the record that a role has kept of a job without an end, or the result of one that has finished.
    """

    job: str
    digest: bytes
    of: Literal["kept", "result"] = "kept"


def _from_nothing(_: Any) -> Start | None:
    return None


def _all_alike(_settings: Any, _party: str) -> str:
    return "party"


@dataclass(frozen=True, slots=True)
class RoleSpec(Generic[StateT]):
    """One role: its two functions, every class its state can have, and what a state waits for.

    ``step`` raises LocalProtocolError or PeerError instead of returning; the caller then keeps the old state.
    """

    begin: Callable[[Brief], Step[StateT]]
    step: Callable[[StateT, Event], Step[StateT]]
    states: tuple[type, ...]
    awaited: Callable[[StateT], Awaited]


# `Any` in the two tables below: a protocol's roles and tasks differ in type, and Python cannot say "some S".


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Heavy work that ``Compute`` may name: a pure function of inputs, the workbench's rows and a seed.

    ``uses_bench`` is False where it never looks at the bench: it may then run in any process, with none made.
    ``heavy`` tasks are long arithmetic that keeps other threads from running: they are for a process of their own.
    """

    function: Callable[[Any, Workbench, int], object]
    inputs: type
    result: type
    uses_bench: bool = True
    heavy: bool = False


Bench = Literal["training", "ids", "aligned", "lookup"]


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """A protocol as one value: what the registry lists and an agent needs to run it.

    Attributes:
        kept: the classes of what its roles ``Keep``.
        start: reads from the settings where a job starts.
        coordinator_role: of the agent that leads the job.
        role_of: reads from the settings which role a party plays.
        bench: what tasks of those who hold rows need of them: rows and a model, ids alone, rows in the order of an
            alignment, or rows by id.
        names_model: whether a job names a model of the registry, which then fits equal columns at all parties.
    """

    name: str
    version: int
    settings: type
    roles: Mapping[str, RoleSpec[Any]]
    messages: tuple[type, ...]
    facts: tuple[type, ...]
    results: tuple[type, ...]
    tasks: Mapping[str, TaskSpec]
    kept: tuple[type, ...] = ()
    start: Callable[[Any], Start | None] = _from_nothing
    coordinator_role: str = "aggregator"
    role_of: Callable[[Any, str], str] = _all_alike
    bench: Bench = "training"
    names_model: bool = True

    def role(self, name: str) -> RoleSpec[Any]:
        """Return one role, or raise ValueError listing those there are."""
        if name not in self.roles:
            raise ValueError(f"{self.name} has no role {name!r}; it has {', '.join(sorted(self.roles))}")
        return self.roles[name]
