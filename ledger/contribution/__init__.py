"""Who contributed how much to a model? Estimators that ask for coalitions' values; see docs/contribution.md."""

from hansa.ledger.contribution.chosen import (
    METHODS,
    VOLUME,
    Chosen,
    appraised,
    chosen,
    coalition_number,
    seed_of,
)
from hansa.ledger.contribution.comparison import Compared, compare
from hansa.ledger.contribution.exact import MOST_EXACT, Banzhaf, LeaveOneOut, Shapley
from hansa.ledger.contribution.games import WHOLE_JOB, Asking, Game, Question
from hansa.ledger.contribution.groups import LEAST_GROUP, Grouped, partition
from hansa.ledger.contribution.gtg import Guided
from hansa.ledger.contribution.measure import (
    RoundValue,
    answered,
    begin,
    measure,
    measure_rounds,
    recomputed,
)
from hansa.ledger.contribution.outcome import Contribution, Method, Outcome
from hansa.ledger.contribution.properties import PROPERTIES, Properties
from hansa.ledger.contribution.sampled import Permutation, SampledBanzhaf, Truncated
from hansa.ledger.contribution.stratified import Stratified
from hansa.ledger.contribution.stream import SEED_BYTES, Stream
from hansa.ledger.contribution.weights import WEIGHT_SCALE, Weights, weights

__all__ = [
    "LEAST_GROUP",
    "METHODS",
    "MOST_EXACT",
    "PROPERTIES",
    "SEED_BYTES",
    "VOLUME",
    "WEIGHT_SCALE",
    "WHOLE_JOB",
    "Asking",
    "Banzhaf",
    "Chosen",
    "Compared",
    "Contribution",
    "Game",
    "Grouped",
    "Guided",
    "LeaveOneOut",
    "Method",
    "Outcome",
    "Permutation",
    "Properties",
    "Question",
    "RoundValue",
    "SampledBanzhaf",
    "Shapley",
    "Stratified",
    "Stream",
    "Truncated",
    "Weights",
    "answered",
    "appraised",
    "begin",
    "chosen",
    "coalition_number",
    "compare",
    "measure",
    "measure_rounds",
    "partition",
    "recomputed",
    "seed_of",
    "weights",
]
