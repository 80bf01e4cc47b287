"""What has each party made a job's model worth? Bars around a zero line, with one standard error to either side."""

import math
from collections.abc import Mapping

from hansa.agents.audit.markup import NOTHING, Html, element, left_out, said, text
from hansa.agents.audit.plots import across, nice_ticks, tick_label
from hansa.agents.audit.words import counted, figure, is_figure
from hansa.ledger.report import JobLine

MOST_PARTIES = 20
_MIDDLE = "50%"  # of a row, where its bar lies
_MOST_DECIMALS = 7
_LARGE = 1e6


def contributions(job: JobLine) -> Html:
    """Draw the contributions that follow from the values of coalitions; nothing of a job that valued none."""
    if not job.contributions:
        return NOTHING
    shown = _shown(job.contributions)
    title = element("h4", text("Contributions, "), *_unit(job))
    rest = left_out(len(job.contributions) - len(shown), "smaller ones are", "the JSON report has them all")
    ticks = nice_ticks(*_span(shown, job.errors))
    decimals = decimals_for(job.contributions, job.errors)
    rows = (
        _row(party, measured(value, job.errors.get(party, 0.0), decimals), value, job.errors, ticks)
        for party, value in shown
    )
    bars = element("ul", *rows, aria_label="Contributions by party")
    words = element("figcaption", text(" ".join(_words(job, any(value < 0 for _, value in shown)))))
    return element("div", title, element("figure", bars, _scale(ticks), words, class_="worth"), rest)


def beside(drawn: Html, shares: Html) -> Html:
    """Put contributions and the shares that follow from them side by side, where there is room."""
    return element("div", drawn, element("div", shares), class_="halves") if drawn else shares


def measured(value: float, error: float, decimals: int) -> str:
    """Say a contribution, and its standard error if there is one.

    Args:
        decimals: as many of each, so that they can be compared; beyond what is read, four digits of each instead.
    """
    known = _whisker(error)
    if not is_figure(value) or decimals > _MOST_DECIMALS or max(abs(value), known) >= _LARGE:
        words, after = figure(value + 0.0), figure(known)
    else:
        words, after = f"{round(value, decimals) + 0.0:.{decimals}f}", f"{known:.{decimals}f}"
    return f"{_minus(words)} ± {after}" if known and is_figure(value) else _minus(words)


def decimals_for(values: Mapping[str, float], errors: Mapping[str, float]) -> int:
    """Return with how many decimals the largest error has two digits; without any, the largest value four."""
    largest, digits = max(map(_whisker, errors.values()), default=0.0), 2
    if not largest:
        largest, digits = max((abs(each) for each in values.values() if is_figure(each)), default=0.0), 4
    return max(0, digits - 1 - math.floor(math.log10(largest))) if largest else 0


def _shown(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the parties in the order of their contributions; of a crowd those who moved most, up or down."""
    drawn = sorted(values.items(), key=lambda item: (-_size(item[1]), item[0]))[:MOST_PARTIES]
    return sorted(drawn, key=lambda item: (-item[1] if is_figure(item[1]) else math.inf, item[0]))


def _size(value: float) -> float:
    return abs(value) if is_figure(value) else math.inf


def _span(shown: list[tuple[str, float]], errors: Mapping[str, float]) -> tuple[float, float]:
    ends = [0.0]
    for party, value in shown:
        if is_figure(value):
            error = _whisker(errors.get(party, 0.0))
            ends += [value - error, value + error]
    return min(ends), max(ends)


def _whisker(error: float) -> float:
    return error if is_figure(error) and error > 0 else 0.0


def _row(party: str, words: str, value: float, errors: Mapping[str, float], ticks: list[float]) -> Html:
    unpaid = element("i", text("paid nothing")) if value <= 0 else NOTHING
    head = element("p", element("b", said(party, 60)), element("span", unpaid, text(words)))
    zero = across(_place(0.0, ticks))
    parts = [element("line", class_="zero", x1=zero, x2=zero, y1=0, y2="100%")]
    if is_figure(value):
        parts += [_bar(value, ticks), *_error(value, _whisker(errors.get(party, 0.0)), ticks)]
    return element("li", head, element("svg", *parts, aria_hidden="true"))


def _bar(value: float, ticks: list[float]) -> Html:
    left, right = sorted((_place(0.0, ticks), _place(value, ticks)))
    sort = "loss" if value < 0 else "fill"
    return element("rect", class_=sort, x=across(left), width=across(right - left), y="20%", height="60%")


def _error(value: float, error: float, ticks: list[float]) -> list[Html]:
    if not error:
        return []
    low, high = (across(_place(each, ticks)) for each in (value - error, value + error))
    caps = [element("line", class_="error", x1=x, x2=x, y1="32%", y2="68%") for x in (low, high)]
    return [element("line", class_="error", x1=low, x2=high, y1=_MIDDLE, y2=_MIDDLE), *caps]


def _scale(ticks: list[float]) -> Html:
    """Label the zero line and both ends; more would not fit on a phone."""
    apart, zero = ticks[1] - ticks[0], min(range(len(ticks)), key=lambda at: abs(ticks[at]))
    labels = []
    for at in sorted({0, zero, len(ticks) - 1}):
        anchor = "start" if at == 0 else "end" if at == len(ticks) - 1 else "middle"
        words = text(_minus(tick_label(ticks[at], apart)))
        labels.append(
            element(
                "text", words, class_="tick", x=across(_place(ticks[at], ticks)), y=12, text_anchor=anchor
            )
        )
    return element("svg", *labels, class_="scale", aria_hidden="true")


def _place(value: float, ticks: list[float]) -> float:
    return (value - ticks[0]) / (ticks[-1] - ticks[0])


def _unit(job: JobLine) -> list[Html]:
    if job.utility == "loss":
        return [text("in how much they lowered the loss")]
    return [text("in "), said(job.metric, 40) if job.metric else text("the model’s score")]


def _words(job: JobLine, negative: bool) -> list[str]:
    found = []
    if job.gain is not None:
        change = "more" if job.gain >= 0 else "less"
        size = figure(abs(job.gain))
        found.append(f"Everybody together has made the model worth {size} {change}.")
    found.append(f"{counted(job.evaluations, 'coalition')} of parties {_were(job.evaluations)} valued.")
    if any(_whisker(error) for error in job.errors.values()):
        found.append(
            "The lines with caps reach one standard error to either side: another draw of coalitions would give a"
            " contribution within them about two times in three."
        )
    else:
        found.append("No errors are drawn: nothing was left to chance, or too little was drawn to tell.")
    if negative:
        found.append("Bars to the left of zero have made the model worse, and are paid nothing.")
    return found


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}", 1) if number.startswith("-") else number
