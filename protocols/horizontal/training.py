"""How does a ``torch.nn.Module`` take part? By a factory that a job may name, or passed from Python.

    @torch_model
    def digits_cnn(shape: ModelShape, *, channels: int = 8) -> torch.nn.Module: ...

A package that names this factory as an entry point of the group ``hansa.models`` adds a model; its
hyperparameters are the factory's own and those of ``Training``. PyTorch is an extra, and loaded when a model is
made, not before.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

from hansa.protocols.errors import ModelError
from hansa.protocols.horizontal.network import Descent
from hansa.protocols.model import Array, FloatArray, Model, ModelShape

NO_TORCH = "PyTorch is not installed: pip install 'hansa[torch]'"
OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True, slots=True)
class Training:
    """How a module is trained on a party's rows.

    Attributes:
        optimizer: ``sgd`` or ``adam``; its memory (Adam's moments) lasts for one ``fit``, as the model's
            parameters are everybody's afterwards.
        learning_rate, epochs, batch_rows, l2, momentum: as in ``Descent``; momentum is for ``sgd``, and l2
            is PyTorch's ``weight_decay``, which spares no parameter.
        device: ``cpu``, ``cuda`` or another that PyTorch knows; each party must have it. On a GPU a repeated
            training may differ in the last digits.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.05
    epochs: int = 1
    batch_rows: int = 32
    l2: float = 0.0
    momentum: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        Descent(self.learning_rate, self.epochs, self.batch_rows, self.l2, self.momentum)  # the same bounds
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is for sgd, not for {self.optimizer}")


class AdaptedModel(Model, Protocol):
    """A ``Model`` around an object of another library, which it gives back trained."""

    def predict_proba(self, X: FloatArray, /) -> Array:
        """Return (rows, classes) probabilities."""
        ...

    def fitted(self) -> Any:
        """Return a copy of the other library's object as it is trained now."""
        ...


def torch_model(factory: Callable[..., Any]) -> Callable[..., AdaptedModel]:
    """Make a model factory of one that returns a ``torch.nn.Module``.

    Args:
        factory: (shape, *, hyperparameters) -> module. The module takes (rows, features) numbers, so that one
            for images begins with ``nn.Unflatten``, and returns (rows, classes) scores without softmax, or
            (rows, 1) numbers for a regression. PyTorch's random numbers are seeded by the job.

    Returns:
        (shape, *, hyperparameters, those of ``Training``, seed) -> model.

    Raises:
        TypeError: the factory has a hyperparameter of the name of one of ``Training``, or ``seed``.
    """
    own = list(inspect.signature(factory).parameters.values())
    ours = [*inspect.signature(Training).parameters.values(), _SEED]
    taken = sorted({each.name for each in own} & {each.name for each in ours})
    if taken:
        raise TypeError(
            f"{factory.__name__} has a hyperparameter {taken[0]!r}, which every PyTorch model has"
        )
    names = {field.name for field in fields(Training)}

    @functools.wraps(factory)
    def make(shape: ModelShape, *, seed: int = 0, **given: Any) -> AdaptedModel:
        training = Training(**{name: value for name, value in given.items() if name in names})
        rest = {name: value for name, value in given.items() if name not in names}
        return module_model(lambda: factory(shape, **rest), shape, training, seed)

    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in [*own[1:], *ours]]
    make.__signature__ = inspect.Signature([*own[:1], *keywords])  # type: ignore[attr-defined]
    return make


_SEED = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)


def module_model(make: Callable[[], Any], shape: ModelShape, training: Training, seed: int) -> AdaptedModel:
    """Return a model around the module that ``make`` returns.

    Raises:
        ModelError: PyTorch is missing, or the module can't be trained by averaging; says why.
    """
    try:
        from hansa.protocols.horizontal.torch_module import ModuleModel
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModelError(NO_TORCH) from None
    return ModuleModel(make, shape, training, seed=seed)


def is_module(value: object) -> bool:
    """Tell whether this is a ``torch.nn.Module``; whoever has one has loaded PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)
