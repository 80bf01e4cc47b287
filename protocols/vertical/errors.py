"""What can go wrong in vertical regression, beyond what crypto/errors.py and the room's errors.py name.

::

    DataRefused
    ├── RowsRefused           our own rows can't be trained on: their shape, their labels, a value beyond its limit
    └── LeakRefused           the run would give away what it must not: the leak guard
        ├── ColdStart         the guest's first scores are too even: a gradient would tell the labels
        ├── GoneCold          its scores have become so on the way
        ├── SmallBatch        a batch of so few rows that its gradients tell about single ones
        ├── Outnumbered       a party with so many columns more than the others that it can subtract their scores
        ├── ConstantColumn    a column without variance
        ├── DependentColumn   a column that follows from the others
        ├── LoneRowColumn     a column in which a handful of rows stands alone: its gradient is about them
        ├── OutlyingRow       a row that outweighs all others in some combination of columns
        ├── FewHeldOut        so many coalitions are valued that their figures would tell scores of single rows
        └── BareScores        our own scores, which the arbiter of a valued job sees, are a column in thin disguise

Each is raised before anything of ours has travelled, but for GoneCold, and BareScores where training has made them
so; all end the job, and no message holds a value of ours.
"""

from hansa.protocols.errors import DataRefused


class RowsRefused(DataRefused):
    """Our own rows can't be trained on."""


class LeakRefused(DataRefused):
    """The run would give away what it must not."""


class ColdStart(LeakRefused):
    """The guest's first scores vary too little, so that residuals are labels in thin disguise."""


class GoneCold(LeakRefused):
    """The guest's scores vary too little by now, for the columns that look at them."""


class SmallBatch(LeakRefused):
    """A batch has too few rows for the columns that look at it."""


class Outnumbered(LeakRefused):
    """A party has so many columns that, over the epochs, it can subtract what all others add."""


class ConstantColumn(LeakRefused):
    """A column has the same value in every row: its gradient is the sum of residuals."""


class DependentColumn(LeakRefused):
    """A column is a combination of others: it adds to what we see, and not to what hides us."""


class LoneRowColumn(LeakRefused):
    """A column is constant but for a few rows: its gradient is the sum of their residuals."""


class OutlyingRow(LeakRefused):
    """A combination of columns is about one row and hardly any other: so is its gradient."""


class FewHeldOut(LeakRefused):
    """There are too few rows held out for the figures that a valued job makes known of them."""


class BareScores(LeakRefused):
    """Our own scores of the rows held out are as good as a column of ours, or take few values."""
