"""The multilayer perceptron: one hidden layer of ReLU units, for classes or numbers."""

import numpy as np

from hansa.protocols.horizontal.network import Descent, Network, check_count
from hansa.protocols.model import ModelShape


class MultilayerPerceptron(Network):
    """A network with one hidden layer.

    Parameters: weights (features, hidden), biases (hidden,), weights (hidden, outputs), biases (outputs,),
    with one output per class, or one for a regression. Weights start at random, normal with variance
    2 / inputs (He et al. 2015, "Delving Deep into Rectifiers", eq. 10); biases at zero.
    """

    def __init__(
        self,
        shape: ModelShape,
        *,
        hidden: int = 32,
        learning_rate: float = 0.05,
        epochs: int = 1,
        batch_rows: int = 32,
        l2: float = 0.0,
        momentum: float = 0.0,
        dtype: str = "float64",
        seed: int = 0,
    ) -> None:
        """Make the model; the hyperparameters besides ``hidden`` (units) are explained at ``Descent``.

        Raises:
            ValueError: a hyperparameter out of range.
        """
        check_count("hidden", hidden)
        descent = Descent(learning_rate, epochs, batch_rows, l2, momentum)
        super().__init__(shape, hidden=(hidden,), descent=descent, dtype=dtype)
        generator = np.random.default_rng(seed)
        for weights in self._parameters[::2]:
            weights[:] = generator.normal(0.0, np.sqrt(2.0 / len(weights)), weights.shape)
