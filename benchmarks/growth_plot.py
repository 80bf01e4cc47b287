"""What do the curves of `growth` look like? Both axes logarithmic, so that a power is a straight line."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from benchmarks.growth_curve import Curve, fitted
from benchmarks.report import Figure

FILE = "growth.png"
INCHES, DOTS_PER_INCH = (10.0, 7.5), 110
BLUE, GREY = "#1f5a96", "#8a8a8a"


def draw(curves: Sequence[Curve]) -> Figure:
    """Draw every curve in a panel of its own, with the line that was fitted."""
    canvas = Canvas(figsize=INCHES, layout="constrained")
    canvas.suptitle("One epoch of vertical logistic regression, all roles on one machine")
    for axes, curve in zip(canvas.subplots(-(-len(curves) // 2), 2).flat, curves, strict=False):
        _panel(axes, curve)
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=DOTS_PER_INCH)
    told = ", ".join(f"{curve.series.what} {curve.exponent:.2f}" for curve in curves)
    return Figure(FILE, f"Seconds of an epoch; exponents: {told}", png.getvalue())


def _panel(axes: Axes, curve: Curve) -> None:
    numbers = np.array(curve.numbers, np.float64)
    exponent, factor = fitted(curve.numbers, curve.seconds)
    axes.loglog(numbers, factor * numbers**exponent, "--", color=GREY, label=f"∝ x^{exponent:.2f}")
    axes.loglog(numbers, curve.seconds, "o-", color=BLUE, label="measured")
    axes.set_title(curve.series.fixed, fontsize=9)
    axes.set_xlabel(curve.series.what)
    axes.set_ylabel("seconds")
    axes.xaxis.set_major_locator(FixedLocator(numbers.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    axes.set_ylim(10 ** np.floor(np.log10(min(curve.seconds))), 10 ** np.ceil(np.log10(max(curve.seconds))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", color="#e4e4e4", linewidth=0.6)
    axes.legend(frameon=False)
