"""What can go wrong in vertical regression, beyond what crypto/errors.py and the room's errors.py name.

::

    ValueError
    ├── RowsRefused           our own rows can't be trained on: their shape, their labels, a value beyond its limit
    └── LeakRefused           the run would give away what it must not: the leak guard
        ├── ColdStart         the guest's first scores are too even: a gradient would tell the labels
        ├── SmallBatch        a batch of so few rows that its gradients tell about single ones
        ├── ConstantColumn    a column without variance
        └── LoneRowColumn     a column in which one row stands alone: its gradient is that row's residual

Each is raised before anything of ours has travelled, and ends the job; no message holds a value of ours.
"""


class RowsRefused(ValueError):
    """Our own rows can't be trained on."""


class LeakRefused(ValueError):
    """The run would give away what it must not."""


class ColdStart(LeakRefused):
    """The guest's first scores vary too little, so that residuals are labels in thin disguise."""


class SmallBatch(LeakRefused):
    """A batch has too few rows for the columns that look at it."""


class ConstantColumn(LeakRefused):
    """A column has the same value in every row: its gradient is the sum of residuals."""


class LoneRowColumn(LeakRefused):
    """A column is constant but for one row: its gradient is that row's residual."""
