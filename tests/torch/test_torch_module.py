"""PyTorch modules as models."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hansa.protocols import ModelError
from hansa.protocols.horizontal.torch_module import ModuleModel
from hansa.protocols.horizontal.training import Training, torch_model
from hansa.protocols.model import Array, FloatArray, Model, ModelShape, check_parameters
from tests.torch.modules import cnn, digits, line

DIGITS = ModelShape(64, tuple("0123456789"))
NUMBERS = ModelShape(3, task="regression")
SMALL = ModelShape(3, ("no", "yes"))


def small(seed: int = 0) -> tuple[FloatArray, Array]:
    """Return 90 rows of two classes that a plane parts."""
    X = np.random.default_rng(seed).normal(size=(90, 3))
    return X, np.where(X @ [2.0, -1.0, 0.5] > 0, "yes", "no")


def made(module: nn.Module, shape: ModelShape = SMALL, **settings: Any) -> ModuleModel:
    return ModuleModel(lambda: module, shape, Training(**settings))


def same(one: list[Array], other: list[Array]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- training -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "adam", "learning_rate": 0.01}, {"momentum": 0.9, "l2": 1e-4}],
    ids=["adam", "sgd"],
)
def test_a_module_learns_and_its_training_repeats(settings: dict[str, Any]) -> None:
    X, y = digits()
    model: Model = torch_model(cnn)(DIGITS, channels=4, epochs=2, seed=1, **settings)
    start, before = model.get_parameters(), model.evaluate(X, y)
    outcomes = []
    for _ in range(2):
        model.set_parameters(start)
        model.fit(X, y, seed=7)
        outcomes.append(model.get_parameters())
    assert same(*outcomes)
    after = model.evaluate(X, y)
    assert after.loss < before.loss
    assert after.score > 0.8
    assert after.metric == "accuracy"
    assert (model.predict(X) == y).mean() == after.score


def test_another_seed_shuffles_and_drops_otherwise() -> None:
    X, y = small()
    model = made(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)), batch_rows=200)
    start, outcomes = model.get_parameters(), []
    for seed in (1, 2):
        model.set_parameters(start)
        model.fit(X, y, seed=seed)
        outcomes.append(model.get_parameters())
    assert not same(*outcomes)


def test_the_seed_decides_the_initial_parameters_and_nobody_elses_random_numbers() -> None:
    state = torch.get_rng_state()
    first, again, other = (torch_model(cnn)(DIGITS, seed=seed).get_parameters() for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_regression_of_double_precision_finds_the_line() -> None:
    X, _ = small()
    y = X @ [2.0, -1.0, 0.5] + 3.0
    model = torch_model(line)(NUMBERS, epochs=60)
    model.fit(X, y, seed=0)
    weights, biases = model.get_parameters()
    assert weights.dtype == np.float64
    assert np.allclose(weights, [[2.0, -1.0, 0.5]], atol=1e-3)
    assert np.allclose(biases, 3.0, atol=1e-3)
    assert model.evaluate(X, y).metric == "r2"
    assert np.allclose(model.predict(X), y, atol=0.01)
    with pytest.raises(ValueError, match="no class probabilities"):
        model.predict_proba(X)


class Flat(nn.Module):  # type: ignore[misc]
    """A regression that returns (rows,)."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3))

    def forward(self, inputs: Any) -> Any:
        return inputs @ self.weights


def test_a_regression_may_return_one_number_per_row_without_a_column() -> None:
    model = ModuleModel(Flat, ModelShape(3, task="regression"), Training())
    X, _ = small()
    model.fit(X, X[:, 0], seed=0)
    assert model.predict(X).shape == (90,)


@pytest.mark.parametrize(("rows", "batches"), [(64, 2), (65, 2), (66, 3), (33, 1), (32, 1), (2, 1)])
def test_batch_norm_never_meets_a_batch_of_one_row(rows: int, batches: int) -> None:
    X, y = small()
    model = made(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), batch_rows=32)
    model.fit(X[:rows], y[:rows], seed=0)
    assert model.fitted()[1].num_batches_tracked == batches


def test_batches_of_one_row_are_made_if_asked_for() -> None:
    X, y = small()
    model = made(nn.Linear(3, 2), batch_rows=1)
    model.fit(X[:5], y[:5], seed=0)
    assert model.evaluate(X, y).rows == 90


def test_more_rows_than_a_block_are_predicted_in_order() -> None:
    model = made(nn.Linear(3, 2))
    X = np.random.default_rng(0).normal(size=(10_000, 3))
    assert np.array_equal(model.predict(X)[-10:], model.predict(X[-10:]))
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1.0)


# --- parameters -----------------------------------------------------------------------------------------
class Mixed(nn.Module):  # type: ignore[misc]
    """A layer with state of every kind that travels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.narrow = nn.Parameter(torch.full((2,), 0.5, dtype=torch.bfloat16))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("cache", torch.zeros(2), persistent=False)

    def forward(self, inputs: Any) -> Any:
        if self.training:
            self.count += 1
            self.cache += 1
        return self.linear(inputs) * self.frozen + self.narrow.float() * self.mask + 0 * self.cache


def test_every_kind_of_state_travels_as_floats_and_comes_back_as_it_was() -> None:
    one, other = made(Mixed()), made(Mixed())
    one.fit(*small(), seed=0)
    arrays = one.get_parameters()
    assert {array.dtype for array in arrays} == {np.dtype(np.float32), np.dtype(np.float64)}
    check_parameters(arrays, other.get_parameters())
    other.set_parameters(arrays)
    theirs = other.fitted().state_dict()
    for name, value in one.fitted().state_dict().items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value, theirs[name])
    assert theirs["count"] == 6  # 90 rows in batches of 32


def test_an_averaged_counter_is_rounded() -> None:
    model = made(Mixed())
    names = list(model.fitted().state_dict())
    arrays = model.get_parameters()
    arrays[names.index("count")] = np.array(4.6)
    model.set_parameters(arrays)
    assert model.fitted().count == 5


def test_what_is_not_among_the_parameters_is_forgotten() -> None:
    model = made(Mixed())
    model.fit(*small(), seed=0)
    assert model.fitted().cache.any()
    model.set_parameters(model.get_parameters())
    assert not model.fitted().cache.any()


def test_parameters_are_copied_both_ways() -> None:
    module = nn.Linear(3, 2)
    original = module.weight.detach().clone()
    model = made(module)
    given = [np.ones((2, 3), np.float32), np.ones(2, np.float32)]
    model.set_parameters(given)
    given[0][:] = 2
    model.get_parameters()[0][:] = 3
    model.fitted().weight.data.fill_(4)
    assert np.array_equal(model.get_parameters()[0], np.ones((2, 3)))
    assert torch.equal(module.weight, original)
    given[0].setflags(write=False)
    model.set_parameters(given)  # as arrays of a message are
    with pytest.raises(ValueError, match="1 arrays, expected 2"):
        model.set_parameters(given[:1])
    with pytest.raises(ValueError, match="array 1 has shape"):
        model.set_parameters([given[0], np.ones(3)])


def test_lazy_layers_get_their_shapes_from_the_job() -> None:
    weights, _ = made(nn.LazyLinear(2)).get_parameters()
    assert weights.shape == (2, 3)


# --- what can't be trained ------------------------------------------------------------------------------
class Stateful(nn.Linear):  # type: ignore[misc]
    """A layer whose state is more than tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}


class Buffered(nn.Linear):  # type: ignore[misc]
    """A layer with a buffer of another kind."""

    def __init__(self, buffer: Any) -> None:
        super().__init__(3, 2)
        self.register_buffer("buffer", buffer)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: "module", "expected a torch.nn.Module, not str"),
        (lambda: nn.Linear(4, 2), "Linear can't take rows of 3 numbers: mat1 and mat2 shapes"),
        (lambda: nn.Linear(3, 5), r"Linear returns \(5,\) per row, expected \(2,\)"),
        (lambda: nn.Softmax(dim=1), r"Softmax returns \(3,\) per row"),
        (lambda: nn.Linear(3, 2).requires_grad_(False), "Linear has no parameters to train"),
        (lambda: Stateful(3, 2), "_extra_state is a dict; only dense tensors"),
        (lambda: Buffered(torch.ones(2, dtype=torch.complex64)), "buffer is a strided tensor of complex64"),
        (lambda: Buffered(torch.eye(2).to_sparse()), "buffer is a sparse_coo tensor of float32"),
    ],
)
def test_a_module_that_cannot_be_averaged_is_refused_with_the_reason(
    make: Callable[[], Any], expected: str
) -> None:
    with pytest.raises(ModelError, match=expected):
        ModuleModel(make, SMALL, Training())


def test_an_input_is_checked_before_it_is_learned() -> None:
    model = made(nn.Linear(3, 2))
    X, y = small()
    for rows, labels, expected in (
        (X[:, :2], y, r"X has shape \(90, 2\), expected \(rows, 3\)"),
        (X, y[:5], r"y has shape \(5,\), expected \(90,\)"),
        (X[:0], y[:0], "there are no rows"),
        (X, np.full(90, "maybe"), "label .*maybe.* is none of the classes"),
    ):
        with pytest.raises(ValueError, match=expected):
            model.fit(rows, labels, seed=0)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_here_is_named(device: str) -> None:
    model = made(nn.Linear(3, 2), device=device)
    with pytest.raises(ModelError, match=f"device '{device}' is not here: ."):
        model.fit(*small(), seed=0)


def test_a_training_that_fails_leaves_the_module_ready_to_predict() -> None:
    class Failing(nn.Linear):  # type: ignore[misc]
        def forward(self, inputs: Any) -> Any:
            if self.training:
                raise RuntimeError("out of memory")
            return super().forward(inputs)

    model = made(Failing(3, 2))
    with pytest.raises(RuntimeError, match="out of memory"):
        model.fit(*small(), seed=0)
    assert not model.fitted().training
    assert model.evaluate(*small()).rows == 90


def test_a_training_that_diverges_ends_in_numbers_that_the_task_refuses() -> None:
    X, _ = small()
    model = torch_model(line)(NUMBERS, learning_rate=1e200, epochs=3)
    model.fit(X, X[:, 0], seed=0)
    assert not np.isfinite(model.get_parameters()[0]).all()
    with pytest.raises(ValueError, match="loss must be finite"):
        model.evaluate(X, X[:, 0])
