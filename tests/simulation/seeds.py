"""Which seeds does a test try, and on which of them is coverage measured?

Hundreds of seeds run through the same lines, and measuring which lines these are doubles their time. So coverage
looks at the first ones, and every seed is tried.
"""

from collections.abc import Iterable
from typing import Any

import pytest

MEASURED = 50  # seeds of each kind of harm


def shared_out(firsts: Iterable[int], measured: int = MEASURED) -> list[Any]:
    """Return parameters, one a test; those from `measured` on run without coverage."""
    return [
        pytest.param(first, marks=[pytest.mark.no_cover] if first >= measured else []) for first in firsts
    ]
