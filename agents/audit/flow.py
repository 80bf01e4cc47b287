"""Where does the money go? Pots on the left, members on the right, and bands between them as wide as the amounts.

Positions across are percentages and those down are pixels, as in `plots`; only the bands lie in a box that is
stretched, so that letters keep their size at every width. Source: after Sankey's diagram of 1898.
"""

from collections.abc import Sequence

from hansa.agents.audit.markup import NOTHING, Html, bare, element, joined, said, table, text
from hansa.agents.audit.streams import Band, Bar, Pot, bands_of, height_of, placed, pots_of, receivers_of
from hansa.agents.audit.words import counted
from hansa.ledger.report import PayoutLine
from hansa.ledger.terms import amount

_NODE_PX = 8
_NAME_CHARS = 20  # two of them stand side by side on a phone
_LAST_CHARS = 7  # of a longer one, whose end often is what tells it from others
_HALF = 500  # of the box that the bands lie in
_LEFT, _RIGHT = False, True


def flow(payouts: Sequence[PayoutLine], currency: str) -> Html:
    """Draw payouts of one currency, and list the same numbers; those that were withdrawn move nothing.

    Args:
        payouts: in the order of their proposals.
    """
    pots = pots_of([line for line in payouts if line.status != "withdrawn"])
    whole = sum(pot.minor for pot in pots)
    if whole <= 0:
        return element("p", text("No money is to move: every payout was withdrawn."), class_="quiet")
    receivers = receivers_of(pots)
    gets = [sum(receiver.part(pot) for pot in pots) for receiver in receivers]
    gives = [pot.minor for pot in pots]
    height = max(height_of(gives, whole), height_of(gets, whole))
    left, right = placed(gives, whole, height), placed(gets, whole, height)
    bands = bands_of(pots, receivers, left, right)
    words = (
        f"{counted(len(pots), 'pot')} on the left, {counted(len(receivers), 'receiver')} on the right,"
        f" {amount(whole, currency)} in all; the same numbers stand in the table below."
    )
    picture = element(
        "svg",
        element("title", text("Flow of money, "), bare(currency, 8)),
        element("desc", text(words)),
        _drawn(bands, height, currency),
        *(
            part
            for pot, bar in zip(pots, left, strict=True)
            for part in _node(pot.name, amount(pot.minor, currency), bar, _LEFT, pot.moved)
        ),
        *(
            part
            for each, minor, bar in zip(receivers, gets, right, strict=True)
            for part in _node(each.name, amount(minor, currency), bar, _RIGHT)
        ),
        role="img",
        width="100%",
        height=f"{height:.0f}",
    )
    figure = element("figure", picture, class_="flow")
    return joined(figure, _legend(pots), _listing(bands, currency))


def _drawn(bands: Sequence[Band], height: float, currency: str) -> Html:
    shapes = (_band(band, currency) for band in bands)
    tall = f"{height:.0f}"
    box = {"viewBox": f"0 0 {2 * _HALF} {tall}", "preserveAspectRatio": "none"}
    return element("svg", *shapes, width="100%", height=tall, **box)


def _band(band: Band, currency: str) -> Html:
    top = f"M0,{band.start:.1f}{_curve(2 * _HALF, band.start, band.end)}"
    bottom = f"V{band.end + band.width:.1f}{_curve(0, band.end + band.width, band.start + band.width)}Z"
    shape = element("path", d=top + bottom, vector_effect="non-scaling-stroke")
    tip = joined(
        bare(band.pot.name, 60),
        text(" to "),
        bare(band.receiver.name, 60),
        text(f": {amount(band.minor, currency)}"),
    )
    return element("g", element("title", tip), shape, class_="band" if band.pot.moved else "band open")


def _curve(x: int, start: float, end: float) -> str:
    return f"C{_HALF},{start:.1f} {_HALF},{end:.1f} {x},{end:.1f}"


def _node(name: str, minor: str, bar: Bar, right: bool, moved: bool = True) -> list[Html]:
    """Draw a bar at one of the edges, and beside it two lines: who, and how much."""
    tall = max(bar.height, 1.0)
    at: dict[str, str | int] = {"x": "100%", "transform": f"translate(-{_NODE_PX})"} if right else {"x": 0}
    shape = element(
        "rect",
        class_="node" if moved else "node open",
        y=f"{bar.middle - tall / 2:.1f}",
        width=_NODE_PX,
        height=f"{tall:.1f}",
        **at,
    )
    place: dict[str, str] = {"x": "100%" if right else "0", "text_anchor": "end" if right else "start"}
    shift = -_NODE_PX - 6 if right else _NODE_PX + 6
    lines = [
        element("text", words, class_=sort, y=f"{bar.middle:.1f}", dx=shift, dy=down, **place)
        for words, sort, down in (
            (bare(_short(name)), "lane", "-0.2em"),
            (text(minor), "sum", "1.1em"),
        )
    ]
    return [shape, *lines]


def _short(name: str) -> str:
    if len(name) <= _NAME_CHARS:
        return name
    return f"{name[: _NAME_CHARS - _LAST_CHARS - 1]}…{name[-_LAST_CHARS:]}"


def _legend(pots: Sequence[Pot]) -> Html:
    """Explain filled and hollow pots where there are both, or hollow ones alone."""
    if all(pot.moved for pot in pots):
        return NOTHING
    items = []
    for moved, words in ((True, "settled"), (False, "proposed, and not settled yet")):
        if any(pot.moved == moved for pot in pots):
            shape = element("rect", class_="node" if moved else "node open", x=4, width=_NODE_PX, height=16)
            key = element("svg", shape, width=16, height=16, aria_hidden="true")
            items.append(element("li", key, text(words)))
    return element("ul", *items, class_="legend")


def _listing(bands: Sequence[Band], currency: str) -> Html:
    rows = [
        [
            said(band.pot.name, 60),
            said(band.receiver.name, 60),
            text(amount(band.minor, currency)),
            text("settled" if band.pot.moved else "not yet"),
        ]
        for band in bands
    ]
    listing = table("Flow of money", ["From payout", "To", "Amount", "Moved"], rows, frozenset({2}))
    return element("details", element("summary", text("The same as a table")), listing)
