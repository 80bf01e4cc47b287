"""What concerns PyTorch models and needs no PyTorch; the rest is in tests/torch."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hansa.protocols import ModelError, ModelRegistry, ModelShape, registry
from hansa.protocols.horizontal import training
from hansa.protocols.horizontal.training import Training, is_module, module_model, torch_model

SHAPE = ModelShape(3, ("no", "yes"))
OF_EVERY_MODULE = ("batch_rows", "device", "epochs", "l2", "learning_rate", "momentum", "optimizer")


@torch_model
def network(shape: ModelShape, *, channels: int = 8) -> Any:
    """Return what no test gets to see."""


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have PyTorch missing, even where it is installed."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "hansa.protocols.horizontal.torch_module", raising=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lbfgs"}, "optimizer must be one of sgd, adam, not 'lbfgs'"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is for sgd, not for adam"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**settings)


def test_a_factorys_hyperparameters_join_those_of_every_module() -> None:
    found = ModelRegistry({"network": network}).hyperparameters("network")
    assert found == tuple(sorted([*OF_EVERY_MODULE, "channels"]))


def test_what_a_job_says_reaches_the_factory_and_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def model(make: Any, shape: ModelShape, settings: Training, seed: int) -> None:
        seen.extend((make(), shape, settings, seed))

    monkeypatch.setattr(training, "module_model", model)
    factory = torch_model(lambda shape, width=1: ("module", shape, width))
    ModelRegistry({"mine": factory}).create("mine", SHAPE, {"width": 5, "epochs": 3}, seed=7)
    assert seen == [("module", SHAPE, 5), SHAPE, Training(epochs=3), 7]


@pytest.mark.parametrize("name", ["epochs", "seed"])
def test_a_factory_may_not_take_a_name_that_every_module_has(name: str) -> None:
    namespace: dict[str, Any] = {
        "epochs": lambda shape, *, epochs=1: None,
        "seed": lambda shape, *, seed=1: None,
    }
    with pytest.raises(TypeError, match=f"has a hyperparameter '{name}', which every PyTorch model has"):
        torch_model(namespace[name])


@pytest.mark.usefixtures("no_torch")
def test_without_pytorch_a_model_says_how_to_install_it() -> None:
    with pytest.raises(ModelError, match=r"PyTorch is not installed: pip install 'hansa\[torch\]'"):
        network(SHAPE)


def test_a_module_becomes_a_model_where_pytorch_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(make: Any, shape: ModelShape, settings: Training, *, seed: int) -> tuple[Any, ...]:
        return make(), shape, settings, seed

    adapter = SimpleNamespace(ModuleModel=model)
    monkeypatch.setitem(sys.modules, "hansa.protocols.horizontal.torch_module", adapter)
    made: Any = module_model(lambda: "module", SHAPE, Training(), seed=3)
    assert made == ("module", SHAPE, Training(), 3)


def test_another_missing_module_is_not_taken_for_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hansa.protocols.horizontal.torch_module", None)
    with pytest.raises(ModuleNotFoundError, match="torch_module"):
        module_model(lambda: None, SHAPE, Training(), 0)


def test_only_what_pytorch_made_is_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(nn=SimpleNamespace(Module=complex)))
    assert is_module(1j)
    assert not is_module(1.0)
    monkeypatch.delitem(sys.modules, "torch")
    assert not is_module(1j)


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "import torch\n",
            r"model mine can't be loaded: PyTorch is not installed: pip install 'hansa\[torch\]'",
        ),
        ("import hansa_nowhere\n", "model mine can't be loaded: No module named 'hansa_nowhere'"),
        ("", "model mine can't be loaded: module 'hansa_test_models' has no attribute 'factory'"),
    ],
)
def test_an_installed_model_that_does_not_load_is_refused_with_the_reason(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hansa_test_models.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hansa_test_models", raising=False)
    point = EntryPoint("mine", "hansa_test_models:factory", "hansa.models")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(ModelError, match=message):
        ModelRegistry().create("mine", SHAPE, {}, seed=0)
    sys.modules.pop("hansa_test_models", None)
