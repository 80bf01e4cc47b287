"""What does a closer estimate cost? Error against evaluations, with the bar as a box."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter, PercentFormatter

from benchmarks.report import Figure

FILE = "contribution.png"
INCHES, DOTS_PER_INCH = (11.0, 5.0), 110
COLOURS = ("#8a8a8a", "#1f5a96", "#c8702a", "#2b7a4b", "#c0392b", "#111111", "#8a4b9e")


@dataclass(frozen=True, slots=True)
class Point:
    """Both as parts of a whole: of all coalitions, and of all that was gained."""

    evaluations: float
    error: float


def draw(panels: Mapping[str, Mapping[str, Sequence[Point]]], error: float, evaluations: float) -> Figure:
    """Draw a panel for each federation with a curve for each method.

    Args:
        panels: by federation, then by method.
        error, evaluations: the bar: the most of either.
    """
    canvas = Canvas(figsize=INCHES, layout="constrained")
    canvas.suptitle(
        "Largest error of any party's contribution against coalitions valued; medians over the seeds"
    )
    for axes, (title, curves) in zip(
        canvas.subplots(1, len(panels), sharey=True, squeeze=False).flat, panels.items(), strict=True
    ):
        axes.add_patch(
            Rectangle((0, 1e-4), evaluations, error - 1e-4, color="#dcebdc", zorder=0, label="the bar")
        )
        _panel(axes, title, curves)
    canvas.axes[0].set_ylabel("error, as a part of the gain")
    canvas.axes[0].legend(frameon=False, fontsize=8)
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=DOTS_PER_INCH)
    return Figure(FILE, "Error against evaluations by method; the green box is the bar", png.getvalue())


def _panel(axes: Axes, title: str, curves: Mapping[str, Sequence[Point]]) -> None:
    for (name, points), colour in zip(curves.items(), COLOURS, strict=True):
        axes.plot(
            [each.evaluations for each in points],
            [each.error for each in points],
            "o-",
            color=colour,
            label=name,
            markersize=4,
        )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("coalitions valued, as a part of all")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_ylim(0.01, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", color="#e4e4e4", linewidth=0.6)
