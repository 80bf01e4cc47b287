"""How soon are single parties told apart? What the attack leaves open, and whom it finds, by rounds."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from benchmarks.report import Figure

FILE = "group-leak.png"
INCHES, DOTS_PER_INCH = (11.0, 4.6), 110
COLOURS = ("#1f5a96", "#c8702a", "#2b7a4b")


@dataclass(frozen=True, slots=True)
class Course:
    """What came of an attack after so many rounds: errors left, and parts of the digits whose holder was named."""

    rounds: Sequence[int]
    errors: Sequence[float]
    found: Sequence[float]


def draw(courses: Mapping[int, Mapping[bool, Course]]) -> Figure:
    """Draw errors left and holders named.

    Args:
        courses: by the number of parties, then by whether one partition served the whole job.
    """
    canvas = Canvas(figsize=INCHES, layout="constrained")
    canvas.suptitle("What sums of groups tell about single parties, round after round")
    left, right = canvas.subplots(1, 2)
    for (parties, each), colour in zip(courses.items(), COLOURS, strict=False):
        for steady, course in each.items():
            label = f"{parties} parties, {'one partition for the job' if steady else 'drawn anew each round'}"
            line = "o--" if steady else "o-"
            left.plot(course.rounds, course.errors, line, color=colour, label=label, markersize=4)
            right.plot(course.rounds, course.found, line, color=colour, markersize=4)
    left.set_ylabel("error of parties' mean updates; 1 = the average alone")
    right.set_ylabel("digits whose holder is named rightly")
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (left, right):
        _finish(axes)
    left.legend(frameon=False, fontsize=8)
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=DOTS_PER_INCH)
    return Figure(FILE, "What an honest but curious aggregator learns from sums of groups", png.getvalue())


def _finish(axes: Axes) -> None:
    axes.set_xlabel("rounds seen")
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 40], labels=["1", "2", "5", "10", "20", "40"])
    axes.minorticks_off()
    axes.set_ylim(0, 1.05)
    axes.grid(color="#e4e4e4", linewidth=0.6)
