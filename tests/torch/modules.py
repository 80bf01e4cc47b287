"""Modules as users write them, and rows for them."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hansa.protocols.model import Array, FloatArray, ModelShape

PIXELS = 8

torch.set_num_threads(1)  # networks as small as these only lose by sharing cores


def digits() -> tuple[FloatArray, Array]:
    """Return (1797, 64) pixels from 0 to 1, and their digits as text."""
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y.astype(np.str_)


def cnn(shape: ModelShape, *, channels: int = 8) -> nn.Module:
    """Return a small network for images, with BatchNorm and dropout."""
    return nn.Sequential(
        nn.Unflatten(1, (1, PIXELS, PIXELS)),
        nn.Conv2d(1, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(channels * (PIXELS // 2) ** 2, len(shape.classes)),
    )


def line(shape: ModelShape) -> nn.Module:
    """Return a linear regression of double precision."""
    return nn.Linear(shape.features, 1, dtype=torch.float64)
