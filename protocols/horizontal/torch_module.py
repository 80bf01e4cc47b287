"""How does a ``torch.nn.Module`` become a ``Model``? Its ``state_dict`` travels as arrays, in its order.

All of it is averaged, buffers included: BatchNorm's running mean and variance like weights, its counter rounded
to a whole number. Where parties' rows differ much, the average of their variances is too small (it lacks the
spread between them), and GroupNorm or LayerNorm, which keep no statistics, do better.

Parameters of single and double precision travel as they are; half precision travels widened, other numbers as
float64. Nothing is ever unpickled. Only with PyTorch installed can this be imported.
"""

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from hansa.protocols.errors import ModelError
from hansa.protocols.horizontal import scores
from hansa.protocols.horizontal.training import Training
from hansa.protocols.model import Array, Evaluation, FloatArray, ModelShape, check_layout

BLOCK_ROWS = 4096  # predicted at once, which bounds the memory for layers between
PROBE_ROWS = 2  # BatchNorm refuses to train on one; here it is only looked at

# PyTorch's source of random numbers belongs to the whole process: models that draw from it take turns.
_TURN = threading.Lock()


class ModuleModel:
    """A ``Model`` around a module; what ``make`` returns is never changed."""

    # Where PyTorch is not installed, its types are Any.

    def __init__(
        self, make: Callable[[], Any], shape: ModelShape, training: Training, *, seed: int = 0
    ) -> None:
        """Make the module, and try it on rows of zeros.

        Args:
            make: returns a module that takes (rows, features) numbers and returns (rows, classes) scores, or
                (rows, 1) or (rows,) numbers for a regression.
            shape: features, classes and task.
            training: how ``fit`` trains.
            seed: for the module's random start.

        Raises:
            ModelError: no module, one without parameters to train, with state that is no plain tensor, or
                with outputs of another shape.
        """
        self.shape = shape
        self.training = training
        with _seeded(seed):
            module = make()
            if not isinstance(module, nn.Module):
                raise ModelError(f"expected a torch.nn.Module, not {type(module).__name__}")
            self._module = copy.deepcopy(module).cpu()
            self._try_out()  # lazy layers get their shapes here
        for name, value in self._module.state_dict().items():
            _check_state(name, value)
        if not any(each.requires_grad for each in self._module.parameters()):
            raise ModelError(f"{type(module).__name__} has no parameters to train")
        self._initial = copy.deepcopy(self._module)

    def get_parameters(self) -> list[Array]:
        """Return copies of parameters and buffers in the order of the module's ``state_dict``, as floats."""
        return [_array(value) for value in self._module.state_dict().values()]

    def set_parameters(self, parameters: Sequence[Array], /) -> None:
        """Copy parameters into a fresh module, so that nothing else learned before stays.

        Raises:
            ValueError: another number of arrays, or another shape.
        """
        check_layout(parameters, self.get_parameters())
        module = copy.deepcopy(self._initial)
        state = module.state_dict()
        module.load_state_dict(
            {name: _tensor(array, state[name]) for name, array in zip(state, parameters, strict=True)}
        )
        self._module = module

    def fit(self, X: FloatArray, y: Array, /, seed: int) -> None:
        """Train ``epochs`` times on the rows, in an order drawn from the seed, as is what dropout drops.

        A last batch of one row joins the batch before it, since BatchNorm can't train on a single row.

        Raises:
            ValueError: rows of another width, X and y of different lengths, an unknown label, or a device
                that is not here.
        """
        self.set_parameters(self.get_parameters())
        device = _device(self.training.device)
        inputs, targets = self._inputs(X).to(device), self._targets(X, y).to(device)
        with _seeded(seed, device), self._on(device) as module:
            module.train()
            optimizer = self._optimizer(module)
            for batch in _batches(len(inputs), self.training, seed):
                rows = torch.from_numpy(batch).to(device)
                optimizer.zero_grad()
                self._loss(module(inputs[rows]), targets[rows]).backward()
                optimizer.step()

    def evaluate(self, X: FloatArray, y: Array, /) -> Evaluation:
        """Return log loss and accuracy, or mean squared error and r2."""
        targets = self._targets(X, y).numpy()
        outputs = self._outputs(X)
        if self.shape.classes:
            return scores.classification(scores.softmax(outputs), targets)
        return scores.regression(outputs[:, 0], targets.astype(np.float64))

    def predict(self, X: FloatArray, /) -> Array:
        """Return (rows,) labels or values."""
        outputs = self._outputs(X)
        if self.shape.classes:
            labels: Array = np.asarray(self.shape.classes)[outputs.argmax(axis=1)]
            return labels
        return outputs[:, 0]

    def predict_proba(self, X: FloatArray, /) -> Array:
        """Return (rows, classes) probabilities.

        Raises:
            ValueError: this is a regression.
        """
        if not self.shape.classes:
            raise ValueError("a regression has no class probabilities")
        return scores.softmax(self._outputs(X))

    def fitted(self) -> Any:
        """Return a copy of the module as it is trained now, ready to predict."""
        return copy.deepcopy(self._module).eval()

    def _try_out(self) -> None:
        name = type(self._module).__name__
        try:
            outputs = self._outputs(np.zeros((PROBE_ROWS, self.shape.features)), torch.device("cpu"))
        except Exception as error:  # the module is somebody else's code
            what = " ".join(str(error).split())
            raise ModelError(f"{name} can't take rows of {self.shape.features} numbers: {what}") from error
        width = len(self.shape.classes) or 1
        if outputs.shape != (PROBE_ROWS, width):
            raise ModelError(f"{name} returns {outputs.shape[1:]} per row, expected ({width},)")

    def _inputs(self, X: FloatArray) -> Any:
        if X.ndim != 2 or X.shape[1] != self.shape.features:
            raise ValueError(f"X has shape {X.shape}, expected (rows, {self.shape.features})")
        kinds = [each.dtype for each in self._module.parameters() if each.is_floating_point()]
        widest = functools.reduce(torch.promote_types, kinds or [torch.float32])
        return torch.from_numpy(np.array(X, np.float64)).to(widest)

    def _targets(self, X: FloatArray, y: Array) -> Any:
        """Return (rows,) class positions, or numbers of double precision."""
        if y.shape != (len(X),):
            raise ValueError(f"y has shape {y.shape}, expected ({len(X)},)")
        if len(X) == 0:
            raise ValueError("there are no rows")
        if self.shape.classes:
            return torch.from_numpy(self.shape.class_indices(y))
        return torch.from_numpy(np.array(y, np.float64))

    def _outputs(self, X: FloatArray, device: Any = None) -> FloatArray:
        """Return (rows, outputs) scores or numbers, computed on the training's device unless told otherwise."""
        device = device or _device(self.training.device)
        inputs = self._inputs(X)
        with torch.no_grad(), self._on(device) as module:
            blocks = [module(block.to(device)).double().cpu() for block in inputs.split(BLOCK_ROWS)]
        outputs = torch.cat(blocks).numpy()
        return np.asarray(outputs if outputs.ndim > 1 else outputs[:, np.newaxis])

    def _loss(self, outputs: Any, targets: Any) -> Any:
        """Return what is descended: log loss, or half the squared error."""
        if self.shape.classes:
            return nn.functional.cross_entropy(outputs, targets)
        return nn.functional.mse_loss(outputs.reshape(-1), targets.to(outputs.dtype)) / 2

    def _optimizer(self, module: Any) -> Any:
        chosen = self.training
        weights = [each for each in module.parameters() if each.requires_grad]
        settings: dict[str, Any] = {"lr": chosen.learning_rate, "weight_decay": chosen.l2}
        if chosen.optimizer == "adam":
            return torch.optim.Adam(weights, **settings)
        return torch.optim.SGD(weights, momentum=chosen.momentum, **settings)

    @contextmanager
    def _on(self, device: Any) -> Iterator[Any]:
        """Lend the module to a device, in the mode for predicting; it comes back whatever happens."""
        try:
            yield self._module.to(device).eval()
        finally:
            self._module.cpu().eval()


@contextmanager
def _seeded(seed: int, device: Any = None) -> Iterator[None]:
    """Have PyTorch draw from this seed, one model at a time, and leave its generators as they were."""
    devices = [device] if device is not None and device.type == "cuda" else []
    with _TURN, torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _device(name: str) -> Any:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = str(error).splitlines()[0]
        raise ModelError(f"device {name!r} is not here: {what}") from None
    return device


def _check_state(name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_complex():
        raise ModelError(f"{name} is {_kind(value)}; only dense tensors of real numbers can be averaged")


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a {value.layout} tensor of {value.dtype}".replace("torch.", "")
    return f"a {type(value).__name__}"


def _array(value: Any) -> Array:
    """Return a tensor's copy as the array that travels."""
    if value.dtype not in (torch.float32, torch.float64):
        value = value.to(torch.float32 if value.is_floating_point() else torch.float64)
    return np.array(value.detach().numpy(), order="C")


def _tensor(array: Array, like: Any) -> Any:
    """Return an array that travelled as a tensor of the type it came from."""
    values = np.array(array, np.float64, order="C")
    if not like.is_floating_point():
        np.rint(values, out=values)
    return torch.from_numpy(values).to(like.dtype)


def _batches(rows: int, training: Training, seed: int) -> Iterator[Array]:
    """Yield the positions of each batch's rows: every row once an epoch, in a fresh order."""
    generator = np.random.default_rng(seed)
    for _ in range(training.epochs):
        order = generator.permutation(rows)
        stops = list(range(training.batch_rows, rows, training.batch_rows))
        if stops and rows - stops[-1] == 1 and training.batch_rows > 1:
            stops.pop()
        yield from np.split(order, stops)
