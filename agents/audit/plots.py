"""How is a job's course drawn? As a line over rounds, in SVG that keeps its letters' size at every width.

Positions across are percentages and those down are pixels; the line alone lies in a box that is stretched.
"""

import math
from collections.abc import Sequence

from hansa.agents.audit.markup import Html, bare, element, said, text
from hansa.agents.audit.words import figure, is_figure

HEIGHT_PX = 150
MOST_DRAWN = 100  # points of a line: more than that is less than 4 px apart
_DOTTED = 24  # up to so many points, each has its dot
_LINES = 4  # lines of the grid, about
_SAME = 1e-9  # figures that differ by less than this part of them are drawn as one: ticks could not part them
_TINY = 1e-99  # what is smaller is drawn as nothing

Curve = Sequence[tuple[int, float | None]]
"""(step, value) by step; values that are none, or none that can be drawn, leave a gap."""


def across(fraction: float) -> str:
    """Return a place across as a percentage, of 0 … 1."""
    return f"{100 * min(max(fraction, 0.0), 1.0) + 0.0:.2f}".rstrip("0").rstrip(".") + "%"


def nice_ticks(least: float, most: float, about: int = _LINES) -> list[float]:
    """Return round numbers, 1, 2 or 5 times a power of ten apart, from at most `least` to at least `most`.

    Source: Heckbert, Nice Numbers for Graph Labels, Graphics Gems, 1990.
    """
    if not most - least > _SAME * max(abs(least), abs(most), _TINY):
        margin = max(abs(least), abs(most)) / 2
        margin = margin if margin > _TINY else 0.5
        least, most = least - margin, most + margin
    raw = (most - least) / about
    power = 10.0 ** math.floor(math.log10(raw))
    apart = next(factor * power for factor in (1, 2, 5, 10) if raw <= factor * power * (1 + 1e-9))
    first, last = math.floor(least / apart + 1e-9), math.ceil(most / apart - 1e-9)
    return [number * apart for number in range(first, last + 1)]


def tick_label(value: float, apart: float) -> str:
    """Say a tick with as many decimals as its distance from the next one needs."""
    if not 1e-4 <= apart < 1e6:
        return f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(apart) + 1e-9))
    return f"{value + 0.0:,.{decimals}f}"


def step_ticks(first: int, last: int, about: int = 5) -> list[int]:
    """Return round whole numbers within first … last, the first itself among them."""
    if last <= first:
        return [first]
    apart = max(1, round(nice_ticks(0, last - first, about)[1]))
    inner = [
        step for step in range(apart * (first // apart + 1), last + 1, apart) if step - first >= apart / 2
    ]
    return [first, *inner]


def curve(points: Curve, name: str, step_name: str) -> Html:
    """Draw one value over steps, with axes.

    Args:
        name: of the value: "loss", "accuracy".
        step_name: "round" or "epoch".
    """
    drawn = thinned(
        [(step, float(value)) for step, value in points if value is not None and is_figure(value)]
    )
    if not drawn:
        return element(
            "p", text("No "), said(name, 40), text(" is told that could be drawn."), class_="quiet"
        )
    ticks = nice_ticks(min(value for _, value in drawn), max(value for _, value in drawn))
    first, last = drawn[0][0], drawn[-1][0]
    marks = [(_place(step, first, last), _height(value, ticks)) for step, value in drawn]
    picture = element(
        "svg",
        element("title", bare(name, 40), text(f" by {step_name}")),
        element("desc", text(told(drawn, step_name))),
        *_levels(ticks),
        *_steps(first, last),
        _line(marks),
        *_dots(marks),
        role="img",
        width="100%",
        height=HEIGHT_PX + 24,
    )
    words = text(f" by {step_name}, without unit · last {figure(drawn[-1][1])}")
    top = element("figcaption", element("b", said(name, 40)), words)
    return element("figure", top, picture, class_="curve")


def told(drawn: Sequence[tuple[int, float]], step_name: str) -> str:
    """Say in words what a curve shows."""
    (first, start), (last, end) = drawn[0], drawn[-1]
    low, high = min(value for _, value in drawn), max(value for _, value in drawn)
    return (
        f"It goes from {figure(start)} in {step_name} {first} to {figure(end)} in {step_name} {last};"
        f" least {figure(low)}, most {figure(high)}."
    )


def thinned(points: Sequence[tuple[int, float]], most: int = MOST_DRAWN) -> list[tuple[int, float]]:
    """Return at most so many of the points, evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[number * (len(points) - 1) // (most - 1)] for number in range(most)]


def bar(part: int, whole: int) -> Html:
    """Draw a share of a sum as a bar; the number stands beside it, so that those who hear it need no picture."""
    filled = across(part / whole if whole > 0 else 0.0)
    return element(
        "svg",
        element("rect", class_="fill", width=filled, height="100%"),
        class_="bar",
        aria_hidden="true",
    )


def _levels(ticks: list[float]) -> list[Html]:
    apart = ticks[1] - ticks[0]
    found = []
    for tick in ticks:
        y = f"{_height(tick, ticks):.1f}"
        found.append(element("line", class_="grid", x1="0", x2="100%", y1=y, y2=y))
        found.append(
            element("text", text(tick_label(tick, apart)), class_="tick level", x="-8", y=y, dy="0.32em")
        )
    return found


def _steps(first: int, last: int) -> list[Html]:
    return [
        element(
            "text",
            text(f"{step:,}"),
            class_="tick step",
            x=across(_place(step, first, last)),
            y=HEIGHT_PX + 18,
        )
        for step in step_ticks(first, last)
    ]


def _line(marks: list[tuple[float, float]]) -> Html:
    path = " ".join(f"{1000 * x:.0f},{y:.1f}" for x, y in marks)
    return element(
        "svg",
        element("polyline", class_="line", points=path, vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 1000 {HEIGHT_PX}",
        preserveAspectRatio="none",
        width="100%",
        height=HEIGHT_PX,
        overflow="visible",
    )


def _dots(marks: list[tuple[float, float]]) -> list[Html]:
    shown = marks if len(marks) <= _DOTTED else marks[-1:]
    return [element("circle", class_="dot", cx=across(x), cy=f"{y:.1f}", r="3") for x, y in shown]


def _place(step: int, first: int, last: int) -> float:
    return (step - first) / (last - first) if last > first else 0.5


def _height(value: float, ticks: list[float]) -> float:
    return HEIGHT_PX * (1 - (value - ticks[0]) / (ticks[-1] - ticks[0]))
