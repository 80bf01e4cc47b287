"""How do raw columns become features?"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Prepared:
    """One raw column, and how it becomes features."""

    name: str
    kind: Literal["number", "category"]
    fill: float
    mean: float
    scale: float
    fill_category: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a party's columns become features."""

    columns: tuple[Prepared, ...]
    standardised: bool
