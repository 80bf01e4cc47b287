"""Which protocols and models may a job name?

A protocol is one line in ``PROTOCOLS``. A model is a Python entry point of the group ``hansa.models``, so
that installing a package adds models; a job carries a name and hyperparameters, never code.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from hansa.protocols.alignment import spec as alignment
from hansa.protocols.errors import ModelError, UnknownProtocol
from hansa.protocols.horizontal import spec as horizontal
from hansa.protocols.horizontal.training import NO_TORCH
from hansa.protocols.inference import spec as inference
from hansa.protocols.machine import ProtocolSpec
from hansa.protocols.model import MOST_PARAMETERS, Model, ModelShape
from hansa.protocols.vertical import spec as vertical

MODELS_GROUP = "hansa.models"

Hyperparameter = str | int | float | bool

# (shape, *, its hyperparameters by keyword) -> an untrained model. One that draws its initial parameters also
# takes `seed`, which is the job's to give. Bad values raise ValueError or TypeError.
ModelFactory = Callable[..., Model]

PROTOCOLS: dict[str, ProtocolSpec] = {
    horizontal.FEDAVG.name: horizontal.FEDAVG,
    alignment.ALIGNMENT.name: alignment.ALIGNMENT,
    alignment.OVER_THRESHOLD.name: alignment.OVER_THRESHOLD,
    vertical.LINEAR.name: vertical.LINEAR,
    vertical.LOGISTIC.name: vertical.LOGISTIC,
    inference.INFERENCE.name: inference.INFERENCE,
}


def protocol(name: str) -> ProtocolSpec:
    """Return a protocol by name, or raise UnknownProtocol listing those there are."""
    if name not in PROTOCOLS:
        raise UnknownProtocol(f"no protocol {name!r}; there are {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]


class ModelRegistry:
    """The models installed here, and any that a caller adds."""

    def __init__(self, extra: Mapping[str, ModelFactory] | None = None) -> None:
        """Find the installed models; nothing is imported until it is used.

        Args:
            extra: more models, by name.

        Raises:
            ValueError: a name of ``extra`` is already installed.
        """
        self._installed = {point.name: point for point in entry_points(group=MODELS_GROUP)}
        self._extra = dict(extra or {})
        taken = sorted(self._installed.keys() & self._extra.keys())
        if taken:
            raise ValueError(f"a model named {taken[0]} is already installed")

    def names(self) -> tuple[str, ...]:
        """Return every model's name, sorted."""
        return tuple(sorted(self._installed.keys() | self._extra.keys()))

    def hyperparameters(self, name: str) -> tuple[str, ...]:
        """Return the names that ``create`` accepts for a model, sorted.

        Raises:
            ModelError: unknown model.
        """
        return tuple(sorted(_keywords(self._factory(name)) - {"seed"}))

    def create(
        self, name: str, shape: ModelShape, hyperparameters: Mapping[str, Hyperparameter], seed: int
    ) -> Model:
        """Build an untrained model; equal arguments give equal parameters.

        Raises:
            ModelError: unknown model, unknown hyperparameter (the known ones are listed), a bad value, or a
                shape that makes any model too large.
        """
        if shape.features * max(len(shape.classes), 1) > MOST_PARAMETERS:
            sizes = f"{shape.features} features and {len(shape.classes)} classes"
            raise ModelError(f"{sizes}: any model of them has more than {MOST_PARAMETERS} parameters")
        factory = self._factory(name)
        known = self.hyperparameters(name)
        for given in hyperparameters:
            if given not in known:
                raise ModelError(f"model {name} has no hyperparameter {given!r}; it has {', '.join(known)}")
        arguments = dict(hyperparameters)
        if "seed" in _keywords(factory):
            arguments["seed"] = seed
        try:
            return factory(shape, **arguments)
        except (TypeError, ValueError) as error:
            raise ModelError(f"model {name}: {error}") from error

    def _factory(self, name: str) -> ModelFactory:
        if name in self._extra:
            return self._extra[name]
        if name not in self._installed:
            raise ModelError(f"no model {name!r}; there are {', '.join(self.names())}")
        try:
            factory: ModelFactory = self._installed[name].load()
        except (ImportError, AttributeError) as error:
            why = NO_TORCH if getattr(error, "name", None) == "torch" else str(error)
            raise ModelError(f"model {name} can't be loaded: {why}") from error
        return factory


def _keywords(factory: ModelFactory) -> set[str]:
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(factory).parameters.values())
    return {each.name for each in parameters[1:] if each.kind in kinds}
