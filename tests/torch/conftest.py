"""PyTorch draws its own seed for every process: give each test the same one."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seed() -> None:
    """Make modules that a test builds start alike in every run."""
    torch.manual_seed(0)
