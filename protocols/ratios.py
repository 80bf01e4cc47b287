"""How is an exact fraction written? As "numerator/denominator", and in hexadecimal where it may be long.

Sums of many rounds' fractions have thousands of digits: Python refuses to write or read so many in decimal, which
takes time quadratic in their number, and in hexadecimal it does not.
"""

from collections.abc import Mapping
from fractions import Fraction


def exact(text: str) -> Fraction:
    """Read a fraction, of decimal or hexadecimal numbers.

    Raises:
        ValueError: it is none.
    """
    numerator, _, denominator = text.partition("/")
    return Fraction(int(numerator, 0), int(denominator, 0))


def summed(first: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Sum fractions by name; names ascending, numbers in hexadecimal.

    Raises:
        ValueError: a text that is no fraction.
    """
    sums = {name: exact(text) for name, text in first.items()}
    for name, text in more.items():
        sums[name] = sums.get(name, Fraction(0)) + exact(text)
    return {name: f"{each.numerator:#x}/{each.denominator:#x}" for name, each in sorted(sums.items())}
