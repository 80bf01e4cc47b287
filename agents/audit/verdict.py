"""Does the ledger hold? One sentence for whoever decides, and under it what it rests on."""

from hansa.agents.audit.markup import NOTHING, Html, bare, element, joined, left_out, said, text
from hansa.agents.audit.words import counted, fingerprint_groups, minute
from hansa.ledger.report import AuditReport, CheckpointLine, Finding

MOST_FINDINGS = 200  # of each sort
MOST_FINDING_CHARS = 2_000

_ABOUT = {
    "file": "The file",
    "charter": "The charter",
    "entries": "The entries",
    "signatures": "Signatures",
    "receipts": "Receipts",
    "tree": "The tree",
    "checkpoints": "Checkpoints",
    "keepers": "Keepers",
    "contributions": "Contributions",
    "payouts": "Payouts",
    "evidence": "Evidence",
}
_SORTS = (("bad", "Does not hold"), ("concern", "Read before you rely on it"), ("good", "Holds"))
_ICONS = {
    "good": "M5 12.5l4.5 4.5L19 7.5",
    "bad": "M6.5 6.5l11 11M17.5 6.5l-11 11",
    "concern": "M12 5.5v8.5M12 17.6v.9",
}


def verdict_section(
    report: AuditReport,
    made_at_s: int | None,
    what: str = "Audit of a hansa ledger",
    headline: Html = NOTHING,
) -> Html:
    """Say whether the ledger holds, and of what that is said.

    Args:
        what: the page is.
        headline: in place of the audit's.
    """
    state = state_of(report)
    line = element("p", _sentence(report), class_="lead")
    top = element("div", icon(state), element("h1", headline or _headline(report)), class_="headline")
    when = NOTHING if made_at_s is None else text(f" · {minute(made_at_s * 1000)} UTC")
    eyebrow = element("p", text(f"{what} · "), said(report.source, 120), when, class_="eyebrow")
    return element("header", eyebrow, top, line, _facts(report), class_=f"verdict {state}")


def state_of(report: AuditReport) -> str:
    """Return "good", "bad", or "concern": it holds, but under a charter compared with nothing, or unwitnessed."""
    if not is_ledger(report) or not report.holds:
        return "bad"
    return "good" if report.pinned and report.final_size else "concern"


def is_ledger(report: AuditReport) -> bool:
    """Return whether there was anything to audit."""
    return bool(report.fingerprint) and report.size > 0


def newest_final(report: AuditReport) -> CheckpointLine | None:
    """Return the newest final checkpoint, the later epoch's of two; None if it is not among those in the report."""
    lines = [line for line in report.checkpoints if line.final and line.size == report.final_size]
    return max(lines, key=lambda line: line.epoch, default=None)


def findings_section(report: AuditReport) -> Html:
    """List what holds and what doesn't, the worst first."""
    heading = element("h2", text("What was checked"), id="findings")
    if not report.findings:
        return element("section", heading, element("p", text("Nothing could be checked."), class_="quiet"))
    lists = []
    for sort, title in _SORTS:
        found = [finding for finding in report.findings if _sort(finding) == sort]
        if found:
            lists.append(element("h3", text(f"{title} ({len(found)})")))
            lists.append(
                element("ul", *(_item(each, sort) for each in found[:MOST_FINDINGS]), class_="findings")
            )
            lists.append(left_out(len(found) - MOST_FINDINGS, "more are", "the JSON report has them all"))
    return element("section", heading, *lists)


def limits_section(report: AuditReport, *more: str) -> Html:
    """Say what no audit of a file can tell.

    Args:
        more: that the page can't either; sentences of ours.
    """
    points = [
        *more,
        "That nothing newer exists: a file can't say what was written after it. Ask a member for its newest head.",
        "That the charter is the right one: its fingerprint must reach you by another way than this file.",
        "That what entries say is true: they are what their authors signed, at the times their authors gave.",
        "That nothing else was agreed beside the ledger, by a keeper and more than half of its witnesses together.",
    ]
    if not report.pinned:
        points.insert(0, points.pop(len(more) + 1))
    items = (element("li", text(point)) for point in points)
    heading = element("h2", text("What this page can’t say"), id="limits")
    return element("section", heading, element("ul", *items, class_="plain"))


def icon(sort: str) -> Html:
    """Draw a tick, a cross or an exclamation mark; the words beside it say the same."""
    shapes = (element("circle", cx=12, cy=12, r=11), element("path", d=_ICONS[sort]))
    return element(
        "svg", *shapes, class_=f"icon {sort}", viewBox="0 0 24 24", width=24, height=24, aria_hidden="true"
    )


def _headline(report: AuditReport) -> Html:
    if not is_ledger(report):
        return text("No ledger could be read.")
    ending = " holds." if report.holds else " does not hold."
    return joined(text("The ledger of "), said(report.federation, 60), text(ending))


def _sentence(report: AuditReport) -> Html:
    """Say it all in one sentence: holds or not, whose ledger, how much of it, what is final."""
    if not is_ledger(report):
        return joined(said(report.source, 120), text(" holds no entries that an audit could begin with."))
    size = counted(report.size, "entry", "entries")
    if not report.holds:
        bad = [finding for finding in report.findings if not finding.holds]
        many = (
            "1 thing is not as it must be"
            if len(bad) == 1
            else f"{len(bad):,} things are not as they must be"
        )
        first = "" if len(bad) == 1 else "first of all: "
        words = f"{many}, while the first {size} hang together {_charter(report)}; {first}"
        return joined(text(words), said(bad[0].text, 300))
    whole = (
        "The one entry is as its author signed it"
        if report.size == 1
        else f"All {size} are as they were signed"
    )
    return joined(
        text(f"{whole}, in the order in which they were recorded, {_charter(report)}; "), _finality(report)
    )


def _charter(report: AuditReport) -> str:
    if report.pinned:
        return "under the charter whose fingerprint was given"
    return "under a charter that was compared with nothing, because no fingerprint was given"


def _finality(report: AuditReport) -> Html:
    line, left = newest_final(report), report.size - report.final_size
    if not report.final_size:
        return text("no checkpoint is final yet, so that the keeper alone vouches for their order.")
    if line is None:
        under = text(f"a final checkpoint covers the first {report.final_size:,}")
        return joined(under, _rest(left))
    cosigners = counted(len(line.cosigners), "member beside its keeper", "members beside its keeper")
    under = joined(
        text(f"the final checkpoint over the first {report.final_size:,} (epoch {line.epoch}, kept by "),
        said(line.keeper, 60),
        text(f") bears the names of {cosigners}"),
    )
    return joined(under, _rest(left))


def _rest(left: int) -> Html:
    if left <= 0:
        return text(", and so all of them.")
    return text(f", and {'the last one is' if left == 1 else f'the last {left:,} are'} not final yet.")


def _facts(report: AuditReport) -> Html:
    if not is_ledger(report):
        return NOTHING
    pinned = "as it was given to the audit" if report.pinned else "compare it with one from another source"
    final = f"{report.final_size:,} of {report.size:,} entries" if report.final_size else "nothing yet"
    rows = [
        ("Charter", joined(digits(report.fingerprint), element("span", text(pinned), class_="quiet"))),
        ("Final", text(final)),
        ("Kept by", joined(said(report.keeper, 60), text(f", epoch {report.epoch}"))),
        (
            "From, to",
            text(f"{minute(report.first_ms)} – {minute(report.last_ms)} UTC, by the authors’ clocks"),
        ),
        ("Root of the tree", digits(report.root)),
        ("Last entry’s hash", digits(report.head)),
    ]
    if report.purpose:
        rows.insert(0, ("Purpose", said(report.purpose)))
    pairs = (element("div", element("dt", text(name)), element("dd", value)) for name, value in rows)
    return element("dl", *pairs, class_="facts")


def digits(hexadecimal: str) -> Html:
    """Show hex digits in fours, in lines that break between them."""
    return element("span", bare(fingerprint_groups(hexadecimal), 200), class_="digits")


def _sort(finding: Finding) -> str:
    if not finding.holds:
        return "bad"
    return "concern" if finding.concern else "good"


def _item(finding: Finding, sort: str) -> Html:
    about = element("b", text(_ABOUT.get(finding.subject, finding.subject)))
    at = NOTHING if finding.index is None else element("span", text(f"entry {finding.index:,}"), class_="at")
    words = element("p", said(finding.text, MOST_FINDING_CHARS))
    return element("li", icon(sort), element("div", about, at, class_="about"), words, class_=sort)
