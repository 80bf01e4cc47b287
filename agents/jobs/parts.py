"""How does an organisation take its own part of a vertical model away? As numbers and a description, no pickle.

Coefficients stand beside the names of their features, with what makes features of raw columns, and the digests by
which the other parts are bound to this one. An `.npz` holds `metadata` (JSON text) and `coefficients`.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import ModelFileError
from hansa.agents.jobs.export import METADATA, Form, write_private
from hansa.protocols import FloatArray, freeze
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical import OwnCoefficients
from hansa.protocols.vertical.concluding import part_digest

COEFFICIENTS = "coefficients"
FORMAT = "hansa-model-part-v1"


@dataclass(frozen=True, slots=True)
class PartCard:
    """What a part is of, and what it takes to use it together with the others.

    Attributes:
        party: whose part it is.
        role, guest, hosts: who holds which part.
        classes: the two labels of a logistic model: a positive score stands for the second.
        features: names of the prepared columns, in the coefficients' order.
        intercept: the guest's; 0 at hosts.
        preparation: how raw columns become the features.
        epochs, loss, score, metric, rows: of the training, the last four on rows held out.
        deciles: at the guest, the nine inner edges between tenths of the scores held out.
        salt: hexadecimal; whoever has it can try out coefficients until they have this part's digest.
        parts: by party, the digest of its part, hexadecimal.
        digest: of the whole model, as the ledger has it.
        withdrawn: by party, how many rows that the training may have used were withdrawn before this was written.
    """

    federation: str
    job: str
    protocol: str
    dataset: str
    party: str
    role: Literal["guest", "host"]
    guest: str
    hosts: tuple[str, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    intercept: float = field(repr=False)
    preparation: Preparation = field(repr=False)
    epochs: int
    loss: float | None
    score: float | None
    metric: str
    rows: int
    deciles: tuple[float, ...] = field(repr=False)
    salt: str = field(repr=False)
    parts: dict[str, str]
    digest: str
    withdrawn: dict[str, int] = field(default_factory=dict)
    format: Literal["hansa-model-part-v1"] = "hansa-model-part-v1"


_CARD = TypeAdapter(PartCard)


@dataclass(frozen=True, slots=True)
class SavedPart:
    """One organisation's part of a model; ``coefficients`` are (features,) float64."""

    card: PartCard
    coefficients: FloatArray = field(repr=False, compare=False)

    def write(self, path: Path, form: Form) -> None:
        """Write a file, readable by its owner only."""
        write_private(path, self._npz() if form == "npz" else self._json())

    def _npz(self) -> bytes:
        buffer = BytesIO()
        described = np.array(_CARD.dump_json(self.card).decode())
        np.savez(buffer, allow_pickle=False, **{METADATA: described, COEFFICIENTS: self.coefficients})
        return buffer.getvalue()

    def _json(self) -> bytes:
        named = [
            {"feature": name, "coefficient": value}
            for name, value in zip(self.card.features, self.coefficients.tolist(), strict=True)
        ]
        told = {METADATA: _CARD.dump_python(self.card, mode="json"), COEFFICIENTS: named}
        return json.dumps(told, indent=1).encode()


def part_of(
    federation: str,
    party: str,
    spec: JobSpec,
    own: OwnCoefficients,
    withdrawn: Mapping[str, int] = MappingProxyType({}),
) -> SavedPart:
    """Return what a party takes away of a training that has ended with these coefficients.

    Args:
        withdrawn: by party, how many rows that it may have used were withdrawn since.
    """
    card = PartCard(
        federation=federation,
        job=spec.job,
        protocol=spec.protocol,
        dataset=spec.dataset,
        party=party,
        role=own.role,
        guest=own.guest,
        hosts=own.hosts,
        classes=spec.classes,
        features=own.preparation.names(),
        intercept=own.intercept,
        preparation=own.preparation,
        epochs=own.epochs,
        loss=own.loss,
        score=own.score,
        metric=own.metric,
        rows=own.rows,
        deciles=own.deciles,
        salt=own.salt.hex(),
        parts={name: digest.hex() for name, digest in own.parts.items()},
        digest=own.digest.hex(),
        withdrawn=dict(withdrawn),
    )
    return SavedPart(card, own.theta)


def read_part(path: Path) -> SavedPart:
    """Read what `SavedPart.write` has written, in either form, and check it against its digest.

    Raises:
        ModelFileError: no such file, not a part's, damaged or altered, or of a newer format; names the file.
    """
    try:
        described, coefficients = _read_npz(path) if zipfile.is_zipfile(path) else _read_json(path)
        card = _CARD.validate_json(described)
        salt = bytes.fromhex(card.salt)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from None
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, EOFError):
        raise ModelFileError(
            f"{path}: not a part of a model that this version of `hansa model export` writes"
        ) from None
    if part_digest(salt, coefficients, card.intercept, card.preparation).hex() != card.parts.get(card.party):
        raise ModelFileError(f"{path}: damaged or altered: the coefficients are not those of its digest")
    return SavedPart(card, coefficients)


def is_part(path: Path) -> bool:
    """Whether a file says of itself that it is a part of a model, read or not."""
    try:
        described, _ = _read_npz(path) if zipfile.is_zipfile(path) else _read_json(path)
        return bool(json.loads(described)["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, EOFError):
        return False


def _read_npz(path: Path) -> tuple[str, FloatArray]:
    with np.load(path, allow_pickle=False) as archive:
        return str(archive[METADATA]), freeze(archive[COEFFICIENTS])


def _read_json(path: Path) -> tuple[str, FloatArray]:
    told = json.loads(path.read_bytes())
    values = np.array([each["coefficient"] for each in told[COEFFICIENTS]], dtype=np.float64)
    return json.dumps(told[METADATA]), freeze(values)
