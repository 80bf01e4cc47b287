"""Softmax regression: one linear score per class. The model to try first."""

from hansa.protocols.horizontal.network import Descent, Network
from hansa.protocols.model import ModelShape


class SoftmaxRegression(Network):
    """Multinomial logistic regression by minibatch descent.

    Parameters: coefficients (features, classes) and intercepts (classes,), zero at first; the loss is convex,
    so the start is of no account.
    """

    def __init__(
        self,
        shape: ModelShape,
        *,
        learning_rate: float = 0.1,
        epochs: int = 1,
        batch_rows: int = 32,
        l2: float = 0.0,
        dtype: str = "float64",
    ) -> None:
        """Make the model; the hyperparameters are explained at ``Descent``.

        Raises:
            ValueError: a regression's shape, or a hyperparameter out of range.
        """
        if not shape.classes:
            raise ValueError("softmax regression predicts classes; the job's task is regression")
        super().__init__(
            shape, hidden=(), descent=Descent(learning_rate, epochs, batch_rows, l2), dtype=dtype
        )
