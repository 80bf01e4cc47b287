"""What happened when? Entries by kind in rows of bars, and under them the checkpoints and who kept the ledger.

A checkpoint stands where the last entry under it stands, by the authors' times.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from hansa.agents.audit.markup import NOTHING, Html, bare, element, joined, left_out, said, table, text
from hansa.agents.audit.plots import across
from hansa.agents.audit.words import GROUPS, OTHER, counted, day, group_of, minute
from hansa.ledger.report import AuditReport, CheckpointLine, Tick

MOST_SLICES = 100
MOST_KINDS = 60  # rows of the table; a ledger of this version has 32
MOST_TAKEOVERS = 40
_PLACES = 120  # where marks can stand: nearer ones would cover each other
_FEW = 40  # checkpoints, each with a large mark of its own
_ROW_PX, _BAR_PX = 54, 28
_WIDEST = 0.02  # of a bar, of the whole width
_LABELLED = 0.12  # epochs narrower than this have no room for their keeper's name

Place = Callable[[int], float]
"""Where across, 0 … 1, the ledger had so many entries."""


def timeline_section(report: AuditReport) -> Html:
    """Draw the ledger's life."""
    heading = element("h2", text("What happened when"), id="timeline")
    ticks = slices(report.timeline)
    totals: Counter[str] = Counter()
    for tick in ticks:
        totals.update(tick.kinds)
    if not totals:
        return element(
            "section", heading, element("p", text("There are no entries to show."), class_="quiet")
        )
    return element("section", heading, _figure(report, ticks, totals), _legend(report), _kinds(totals))


def slices(ticks: Sequence[Tick]) -> list[Tick]:
    """Return a report's slices as at most `MOST_SLICES` of one length without gaps, from the first to the last."""
    if not ticks:
        return []
    start, stop = min(tick.start_ms for tick in ticks), max(tick.stop_ms for tick in ticks)
    finest = max(1, min(tick.stop_ms - tick.start_ms for tick in ticks))
    number = max(1, min(MOST_SLICES, (stop - start) // finest))
    counts: list[Counter[str]] = [Counter() for _ in range(number)]
    for tick in ticks:
        middle = (tick.start_ms + tick.stop_ms) // 2
        counts[min(number - 1, max(0, (middle - start) * number // max(1, stop - start)))].update(tick.kinds)
    edges = [start + (stop - start) * at // number for at in range(number + 1)]
    return [Tick(edges[at], edges[at + 1], kinds) for at, kinds in enumerate(counts)]


def place_of(ticks: Sequence[Tick]) -> Place:
    """Return where across the ledger had so many entries."""
    sums = [0, *accumulate(sum(tick.kinds.values()) for tick in ticks)]

    def place(size: int) -> float:
        for number, after in enumerate(sums[1:]):
            if size <= after:
                inside = (size - sums[number]) / (after - sums[number]) if after > sums[number] else 0.0
                return (number + max(inside, 0.0)) / len(ticks)
        return 1.0

    return place


@dataclass(frozen=True, slots=True)
class Epoch:
    """Who kept the ledger from which entry on."""

    number: int
    keeper: str
    start: int


def epochs_of(report: AuditReport) -> list[Epoch]:
    """Return the epochs of which the report tells: by the entries of takeovers, or else the first checkpoints."""
    changes = [each.index for each in report.findings if each.subject == "keepers" and each.index is not None]
    first: dict[int, CheckpointLine] = {}
    for each in sorted(report.checkpoints, key=lambda line: line.size):
        if each.valid:
            first.setdefault(each.epoch, each)
    found: list[Epoch] = []
    for number, line in sorted(first.items()):
        start = max((change for change in changes if change <= line.size), default=line.size)
        found.append(Epoch(number, line.keeper, start if found else 0))
    if changes and found and report.epoch not in first:  # it has begun, and no checkpoint is of it yet
        found.append(Epoch(report.epoch, report.keeper, max(changes)))
    return found


def _figure(report: AuditReport, ticks: list[Tick], totals: Counter[str]) -> Html:
    groups = [group for group in (*GROUPS, OTHER) if any(group_of(kind) == group for kind in totals)]
    place, floor = place_of(ticks), len(groups) * _ROW_PX
    whole = floor + 84
    parts = [
        *_epochs(report, place, whole),
        *_tail(report, place, floor),
        *(part for row, group in enumerate(groups) for part in _row(ticks, group, row)),
        *_marks(report, place, floor),
        *_times(ticks[0].start_ms, ticks[-1].stop_ms, whole),
    ]
    words = (
        f"{counted(sum(totals.values()), 'entry', 'entries')} from {minute(report.first_ms)} to"
        f" {minute(report.last_ms)} UTC; the same numbers stand in the table below."
    )
    picture = element(
        "svg",
        element("title", text("Entries by kind, checkpoints and keepers over time")),
        element("desc", text(words)),
        element("defs", _hatching()),
        *parts,
        role="img",
        width="100%",
        height=whole + 28,
    )
    return element("figure", picture, class_="timeline")


def _hatching() -> Html:
    stroke = element("line", x1=0, y1=0, x2=0, y2=6, class_="hatch")
    return element(
        "pattern",
        stroke,
        id="hatched",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def _row(ticks: list[Tick], group: str, row: int) -> list[Html]:
    counts = [sum(count for kind, count in tick.kinds.items() if group_of(kind) == group) for tick in ticks]
    most, bottom = max(counts), (row + 1) * _ROW_PX - 4
    bars = []
    for number, count in enumerate(counts):
        if count > 0:
            height = max(2.0, _BAR_PX * count / most)
            bars.append(
                element(
                    "rect",
                    class_="fill",
                    x=across(number / len(ticks)),
                    y=f"{bottom - height:.1f}",
                    width=across(min(0.8 / len(ticks), _WIDEST)),
                    height=f"{height:.1f}",
                )
            )
    label = element("text", text(f"{group} · {sum(counts):,}"), class_="lane", x=0, y=bottom - _BAR_PX - 6)
    return [element("line", class_="grid", x1=0, x2="100%", y1=bottom, y2=bottom), *bars, label]


def _epochs(report: AuditReport, place: Place, whole: int) -> list[Html]:
    """Shade every second epoch, name its keeper, and mark where it took over."""
    epochs = epochs_of(report)[-MOST_TAKEOVERS:]
    starts = [place(epoch.start) for epoch in epochs]
    found = []
    for number, (epoch, start) in enumerate(zip(epochs, starts, strict=True)):
        stop = starts[number + 1] if number + 1 < len(starts) else 1.0
        if number % 2:
            width = across(max(0.0, stop - start))
            found.append(element("rect", class_="epoch", x=across(start), y=0, width=width, height=whole))
        if epoch.start:
            x = across(start)
            found.append(element("line", class_="takeover", x1=x, x2=x, y1=0, y2=whole))
        if stop - start > _LABELLED:
            words = (text(f"epoch {epoch.number} · "), bare(epoch.keeper, 20))
            found.append(element("text", *words, class_="lane", x=across(start), y=whole - 8, dx=4))
    return found


def _tail(report: AuditReport, place: Place, floor: int) -> list[Html]:
    if report.final_size >= report.size:
        return []
    start = min(place(report.final_size), 0.995)
    width = across(1 - start)
    return [
        element("rect", class_="tail", x=across(start), y=0, width=width, height=floor, fill="url(#hatched)")
    ]


def _marks(report: AuditReport, place: Place, floor: int) -> list[Html]:
    if not report.checkpoints:
        return []
    found = [element("text", text("Checkpoints"), class_="lane", x=0, y=floor + 16)]
    few = len(report.checkpoints) <= _FEW
    for kind in ("final", "open", "bad"):  # what needs looking at is drawn last, and so lies on top
        places = {round(place(line.size) * _PLACES) for line in report.checkpoints if _state(line) == kind}
        found += [_mark(kind, across(each / _PLACES), floor + 34, 4 if few else 2) for each in sorted(places)]
    return found


def _state(line: CheckpointLine) -> str:
    if not line.valid:
        return "bad"
    return "final" if line.final else "open"


def _mark(kind: str, x: str, y: int, radius: int = 4) -> Html:
    if kind == "bad":
        return element("text", text("×"), class_="mark bad", x=x, y=y, dy="0.35em")
    return element("circle", class_=f"mark {kind}", cx=x, cy=y, r=radius)


def _times(start_ms: int, stop_ms: int, whole: int) -> list[Html]:
    same = day(start_ms) == day(stop_ms)
    ends = (minute if same else day)(start_ms), (minute if same else day)(stop_ms)
    middle = day((start_ms + stop_ms) // 2)
    labels = [(0.0, ends[0], "start"), (1.0, ends[1], "end")]
    if not same and middle not in ends:
        labels.insert(1, (0.5, middle, "middle"))
    return [
        element("text", text(words), class_="tick", x=across(x), y=whole + 20, text_anchor=anchor)
        for x, words, anchor in labels
    ]


def _legend(report: AuditReport) -> Html:
    states = {_state(line) for line in report.checkpoints}
    words = {
        "final": "final checkpoint: enough members have put their names to it",
        "open": "not final: too few names",
        "bad": "does not hold",
    }
    items = [
        element(
            "li",
            element("svg", _mark(kind, "8", 8), width=16, height=16, aria_hidden="true"),
            text(words[kind]),
        )
        for kind in words
        if kind in states
    ]
    if any(epoch.start for epoch in epochs_of(report)):
        items.append(
            _key(element("line", class_="takeover", x1=8, x2=8, y1=0, y2=16), "another keeper took over")
        )
    if report.final_size < report.size:
        tail = element("rect", class_="tail", width=16, height=16, fill="url(#hatched)")
        items.append(_key(tail, "entries that are not final yet"))
    note = (
        "Bars: entries per slice of time, UTC, by their authors' clocks; each row by its own busiest slice."
    )
    return joined(
        element("ul", *items, class_="legend") if items else NOTHING, element("p", text(note), class_="quiet")
    )


def _key(picture: Html, words: str) -> Html:
    return element("li", element("svg", picture, width=16, height=16, aria_hidden="true"), text(words))


def _kinds(totals: Counter[str]) -> Html:
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        [said(kind, 60), text(group_of(kind)), text(f"{count:,}")] for kind, count in ordered[:MOST_KINDS]
    ]
    listing = table("Entries by kind", ["Kind", "Group", "Entries"], rows, frozenset({2}))
    rest = left_out(len(ordered) - MOST_KINDS, "rarer kinds are", "the JSON report names them")
    return element("details", element("summary", text("Entries by kind, as a table")), listing, rest)
