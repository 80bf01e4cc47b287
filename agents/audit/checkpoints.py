"""Who put their names to which head of the ledger, and when?"""

from hansa.agents.audit.markup import Html, element, joined, left_out, listed, said, table, text
from hansa.agents.audit.verdict import digits, icon, newest_final
from hansa.agents.audit.words import counted, minute
from hansa.ledger.report import AuditReport, CheckpointLine

MOST_CHECKPOINTS = 50  # the newest
_AT_ONCE = 12  # the others of them on demand
MOST_NAMES = 8  # of one checkpoint's cosigners


def checkpoints_section(report: AuditReport) -> Html:
    """List the newest checkpoints, and count them all."""
    heading = element("h2", text("Checkpoints"), id="checkpoints")
    lines = sorted(report.checkpoints, key=lambda line: (line.size, line.epoch, line.root), reverse=True)
    if not lines:
        words = "There are no checkpoints: nobody beside the keeper has put a name to this ledger."
        return element("section", heading, element("p", text(words), class_="quiet"))
    rest = left_out(len(lines) - MOST_CHECKPOINTS, "older checkpoints are", "the JSON report lists them")
    return element(
        "section", heading, _summary(report), _newest(report), *_tables(lines[:MOST_CHECKPOINTS]), rest
    )


def cosigners(line: CheckpointLine) -> Html:
    """Name who has put its name to a checkpoint, and when."""
    if not line.cosigners:
        return element("span", text("nobody"), class_="quiet")
    ordered = sorted(line.cosigners.items(), key=lambda item: (item[1], item[0]))
    names = [said(name, 60) for name, _ in ordered[:MOST_NAMES]]
    if len(ordered) > MOST_NAMES:
        names.append(text(f"{len(ordered) - MOST_NAMES} more"))
    first, last = minute(ordered[0][1] * 1000), minute(ordered[-1][1] * 1000)
    when = first if first == last else f"{first} to {last}"
    return joined(listed(names), element("span", text(when), class_="small quiet when"))


def _tables(lines: list[CheckpointLine]) -> list[Html]:
    heads = ["Entries", "State", "Cosigned, UTC", "Kept by", "Root"]
    found = [table("Checkpoints, the newest first", heads, [_row(line) for line in lines[:_AT_ONCE]])]
    if older := lines[_AT_ONCE:]:
        summary = element("summary", text(f"{counted(len(older), 'checkpoint')} before these"))
        found.append(
            element("details", summary, table("Older checkpoints", heads, [_row(line) for line in older]))
        )
    return found


def _summary(report: AuditReport) -> Html:
    lines = report.checkpoints
    final, bad = sum(line.final for line in lines), sum(not line.valid for line in lines)
    epochs = len({line.epoch for line in lines})
    words = (
        f"This report lists {counted(len(lines), 'checkpoint')} in {counted(epochs, 'epoch')}: {final:,} final,"
        f" {len(lines) - final - bad:,} with too few names, {bad:,} that do not hold. A checkpoint is final when"
        " enough members beside the keeper have put their names to it, each after comparing it with its own copy of"
        " the ledger."
    )
    return element("p", text(words))


def _newest(report: AuditReport) -> Html:
    line = newest_final(report)
    if line is None:
        unlisted = f"The newest final head is of {report.final_size:,} entries, and not among these."
        return element("p", text(unlisted if report.final_size else "None of them is final."), class_="note")
    words = (text(f"Newest final head: {counted(line.size, 'entry', 'entries')}, root "), digits(line.root))
    return element("p", *words, class_="note")


def _row(line: CheckpointLine) -> list[Html]:
    keeper = joined(said(line.keeper, 60), text(f", epoch {line.epoch}"))
    return [text(f"{line.size:,}"), _state(line), cosigners(line), keeper, digits(line.root[:16])]


def _state(line: CheckpointLine) -> Html:
    if not line.valid:
        return element("span", icon("bad"), text("does not hold"), class_="state")
    if line.final:
        return element("span", icon("good"), text("final"), class_="state")
    words = f"{len(line.cosigners)} of {line.needed} names"
    return element("span", icon("concern"), text(words), class_="state")
