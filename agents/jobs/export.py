"""How does a model leave the federation's tools? As plain arrays and a description: `.npz` or JSON, no pickle.

An `.npz` holds `metadata` (JSON text) and `parameter_0`, `parameter_1`, … in the model's own order; the JSON form
holds the same with the values spelt out.
"""

import json
import os
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from hansa.agents.core.messages import Setting
from hansa.agents.errors import ModelFileError
from hansa.protocols import Array, Evaluation, Model, ModelRegistry, ModelShape, freeze, parameters_digest

METADATA = "metadata"
PARAMETER = "parameter_{}"

Form = Literal["npz", "json", "csv"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model is of, and what it takes to use it.

    Attributes:
        columns: the features' names in the model's order; empty if the ledger only counts them.
        target: the label's column where the model was trained.
        classes: the labels in the model's order; empty for a regression.
        evaluation: on held-out rows: the parties' together at the coordinator, its own at a party.
        digest: of the parameters in hexadecimal, as the ledger has it.
        withdrawn: by party, how many rows that the training may have used were withdrawn before this was written.
    """

    federation: str
    job: str
    protocol: str
    model: str
    features: int
    columns: tuple[str, ...]
    target: str | None
    classes: tuple[str, ...]
    hyperparameters: dict[str, Setting]
    seed: int
    evaluation: Evaluation
    digest: str
    withdrawn: dict[str, int] = field(default_factory=dict)
    format: Literal["hansa-model-v1"] = "hansa-model-v1"


_CARD = TypeAdapter(ModelCard)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A trained model outside its federation: its card, and its arrays in the model's own order."""

    card: ModelCard
    parameters: tuple[Array, ...] = field(repr=False, compare=False)

    def write(self, path: Path, form: Form) -> None:
        """Write a file, readable by its owner only."""
        write_private(path, self._npz() if form == "npz" else self._json())

    def build(self, registry: ModelRegistry) -> Model:
        """Return the model, ready to predict.

        Raises:
            ModelError: it is not installed here, or its hyperparameters don't fit the one that is.
            ModelFileError: the arrays don't fit the model.
        """
        card = self.card
        shape = ModelShape(card.features, card.classes, "classification" if card.classes else "regression")
        model = registry.create(card.model, shape, card.hyperparameters, card.seed)
        try:
            model.set_parameters(self.parameters)
        except ValueError as error:
            raise ModelFileError(f"the parameters do not fit model {card.model}: {error}") from None
        return model

    def _npz(self) -> bytes:
        arrays = {PARAMETER.format(place): array for place, array in enumerate(self.parameters)}
        buffer = BytesIO()
        np.savez(
            buffer, allow_pickle=False, **{METADATA: np.array(_CARD.dump_json(self.card).decode())}, **arrays
        )
        return buffer.getvalue()

    def _json(self) -> bytes:
        arrays = [
            {"shape": list(each.shape), "dtype": str(each.dtype), "values": each.reshape(-1).tolist()}
            for each in self.parameters
        ]
        return json.dumps(
            {METADATA: _CARD.dump_python(self.card, mode="json"), "parameters": arrays}
        ).encode()


def write_private(path: Path, content: bytes) -> None:
    """Write a file, readable by its owner only; whenever the machine stops, all of it is there or nothing."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_model(path: Path) -> SavedModel:
    """Read what `SavedModel.write` has written, in either form, and check it against its digest.

    Raises:
        ModelFileError: no such file, not a model's, damaged or altered, or of a newer format; names the file.
    """
    try:
        described, parameters = _read_npz(path) if zipfile.is_zipfile(path) else _read_json(path)
        card = _CARD.validate_json(described)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from None
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, EOFError):
        raise ModelFileError(
            f"{path}: not a model that this version of `hansa model export` writes"
        ) from None
    if parameters_digest(parameters).hex() != card.digest:
        raise ModelFileError(f"{path}: damaged or altered: the parameters are not those of its digest")
    return SavedModel(card, parameters)


def _read_npz(path: Path) -> tuple[str, tuple[Array, ...]]:
    with np.load(path, allow_pickle=False) as archive:
        count = len(archive.files) - 1
        parameters = tuple(freeze(archive[PARAMETER.format(place)]) for place in range(count))
        return str(archive[METADATA]), parameters


def _read_json(path: Path) -> tuple[str, tuple[Array, ...]]:
    told = json.loads(path.read_bytes())
    arrays = tuple(
        freeze(np.array(each["values"], dtype=np.dtype(each["dtype"])).reshape(each["shape"]))
        for each in told["parameters"]
    )
    return json.dumps(told[METADATA]), arrays
