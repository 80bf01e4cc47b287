"""How is a report one HTML file? What stands around its sections, whatever they are of."""

from collections.abc import Mapping, Sequence

from hansa.agents.audit.markup import Html, element, text
from hansa.agents.audit.style import stylesheet

# A browser loads nothing, runs nothing and sends nothing, whatever an author has written.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def sheet(title: Html, parts: Sequence[Html], command: str) -> str:
    """Return the file.

    Args:
        title: of the browser's window; no element may stand in it.
        command: that has made it.
    """
    made = element("footer", text(f"Made by {command}. This page loads nothing and sends nothing."))
    body = element("body", element("main", *parts, made))
    return f"<!DOCTYPE html>\n{element('html', _head(title), body, lang='en')}\n"


def contents(sections: Mapping[str, str]) -> Html:
    """Return links to the sections, which are given by their ids."""
    links = (element("li", element("a", text(title), href=f"#{name}")) for name, title in sections.items())
    return element("nav", element("ul", *links), aria_label="On this page")


def _head(title: Html) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(stylesheet())),
    )
