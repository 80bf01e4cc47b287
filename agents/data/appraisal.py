"""What does a coordinator lend to the tasks that value coalitions? The agreed way, its seed, and rows of its own.

Both benches are plain values, so that a task can run in a process of its own; no row stands in a repr.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hansa.agents.data.rows import Dataset, labels, numeric_target
from hansa.agents.errors import AgentError, DataError
from hansa.ledger.contribution import Chosen, Question, answered, begin, coalition_number
from hansa.ledger.jobs import MOST_VALUES
from hansa.protocols import Array, BareWorkbench, Evaluation, Model, Valuation, Worth
from hansa.protocols.workbench import Rows


@dataclass(frozen=True, slots=True, eq=False)
class AppraisalWorkbench(BareWorkbench):
    """The agreed way of measuring contributions, for a protocol whose parties hold out the rows themselves.

    Attributes:
        how: as all parties have agreed on it.
        seed: (32,) bytes, made of the draws of all.
    """

    how: Chosen
    seed: bytes

    kind = "the coordinator"

    def appraise(self, number: int, rows: Mapping[str, int], worth: Worth) -> Valuation:
        """Value as many coalitions as the job's way of measuring contributions asks for.

        Raises:
            AgentError: more coalitions were asked for than an entry takes.
            ValueError: too many or too few took part for it.
        """
        players = tuple(sorted(rows))

        def tell(batch: tuple[Question, ...]) -> Mapping[Question, float]:
            figures = worth([question.coalition for question in batch])
            return {question: self._value(each) for question, each in zip(batch, figures, strict=True)}

        found = answered(begin(self.how.method(rows), {number: players}, self.seed), tell)
        if len(found.values) > MOST_VALUES:
            raise AgentError(
                f"{self.how.name} has asked for {len(found.values)} coalitions of round {number}; the ledger takes "
                f"{MOST_VALUES}: lessen what it draws"
            )
        told = sorted((coalition_number(players, each.coalition), v) for each, v in found.values.items())
        return Valuation(
            round=number,
            players=players,
            rows=tuple(rows[player] for player in players),
            coalitions=tuple(coalition for coalition, _ in told),
            values=tuple(value for _, value in told),
            shares={name: f"{share.numerator}/{share.denominator}" for name, share in found.shares.items()},
        )

    def _value(self, evaluation: Evaluation) -> float:
        """Return what a model is worth in the charter's utility."""
        return evaluation.score if self.how.utility == "score" else -evaluation.loss


@dataclass(frozen=True, slots=True, eq=False)
class ValidationWorkbench(AppraisalWorkbench):
    """That, and models, and the rows of the coordinator's own on which these are valued."""

    make_model: Callable[[], Model]
    agreed_rows: Rows = field(repr=False)

    def model(self) -> Model:
        """Return a new model."""
        return self.make_model()

    def validation(self) -> Rows:
        """Return the rows that coalitions' models are valued on."""
        return self.agreed_rows


def validation_rows(dataset: Dataset, features: int, classes: tuple[str, ...]) -> Rows:
    """Return all rows of a data set, (rows, features) and (rows,), as the models of a job take them.

    Raises:
        AgentError: it has other columns than the job.
        DataError: no rows, no target, or a label that is none of the job's classes; names row and column.
    """
    if len(dataset.columns) != features:
        raise AgentError(
            f"data set {dataset.name!r}, on which models are to be valued, has {len(dataset.columns)} feature "
            f"columns; the job expects {features}"
        )
    if not dataset.rows:
        raise DataError(f"{dataset.source}: data set {dataset.name!r} has no rows to value models on")
    target: Array = labels(dataset, classes) if classes else numeric_target(dataset)
    return dataset.features, target
