"""How does text become HTML without an author's text ever becoming markup? Through the type `Html` alone.

Elements take `Html` only, and `Html` is made by escaping; so the type checker refuses a text that nobody has
escaped. What authors wrote goes through `said`, which also shows characters that would not show themselves, or
would turn the text around them (c.f. "Trojan Source", CVE-2021-42574). The markup is well-formed XML as well.
"""

import html
import unicodedata
from typing import NewType

Html = NewType("Html", str)

NOTHING = Html("")
MOST_CHARS = 600  # of one text of an author; the ledger's own limit for a reason is 500

_EMPTY = {"br", "circle", "col", "line", "meta", "path", "polyline", "rect"}
_UNSEEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # controls, formats, surrogates, private, none, separators
_JOINERS = {"\N{ZERO WIDTH NON-JOINER}", "\N{ZERO WIDTH JOINER}"}  # Persian and Hindi are written with them


def text(plain: str) -> Html:
    """Escape a text of ours."""
    return Html(html.escape(plain))


def said(theirs: str, most: int = MOST_CHARS) -> Html:
    """Escape a text of an author, kept apart from the direction of what surrounds it.

    Args:
        most: characters shown; an ellipsis stands for the rest.
    """
    return element("bdi", bare(theirs, most))


def bare(theirs: str, most: int = MOST_CHARS) -> Html:
    """Escape a text of an author where no element may stand: in SVG, and in the page's title."""
    shown = "".join(_seen(character) for character in theirs[:most])
    return text(f"{shown} …" if len(theirs) > most else shown)


def element(name: str, /, *children: Html, **attributes: str | int) -> Html:
    """Return an element.

    Args:
        attributes: escaped here; a final underscore is dropped, others become hyphens: `class_`, `stroke_width`.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    if name in _EMPTY:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{''.join(children)}</{name}>")


def joined(*parts: Html, by: str = "") -> Html:
    """Put parts one after another."""
    return Html(html.escape(by).join(parts))


def listed(parts: list[Html]) -> Html:
    """Put parts one after another as a sentence does: a, b and c."""
    if len(parts) < 2:
        return joined(*parts)
    return joined(joined(*parts[:-1], by=", "), text(" and "), parts[-1])


def table(
    caption: str, heads: list[str], rows: list[list[Html]], numbers: frozenset[int] = frozenset()
) -> Html:
    """Return a table that scrolls by itself where the page is narrow; each row's first cell is its head.

    Args:
        caption: says what it lists, for those who hear it.
        numbers: which columns are set flush right.
    """
    top = [_cell("th", text(head), column in numbers, scope="col") for column, head in enumerate(heads)]
    body = [
        element(
            "tr",
            *(
                _cell("td", cell, column in numbers) if column else _cell("th", cell, False, scope="row")
                for column, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", text(caption)),
        element("thead", element("tr", *top)),
        element("tbody", *body),
    )
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def left_out(count: int, what: str, instead: str) -> Html:
    """Say how many of something are not shown, and where they are; nothing of none."""
    if count <= 0:
        return NOTHING
    return element("p", text(f"{count:,} {what} not shown here; {instead}."), class_="quiet")


def _cell(name: str, content: Html, number: bool, **attributes: str) -> Html:
    return element(name, content, **({"class_": "number"} if number else {}), **attributes)


def _seen(character: str) -> str:
    """Return a character, or its code point if it can't be seen."""
    if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
        return f"⟨U+{ord(character):04X}⟩"
    return character
