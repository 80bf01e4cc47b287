"""How does a job's course read in a terminal? Lines that stay, and one that says what goes on now."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from hansa.agents.cli.outcome import about, ending, figure, loss_text
from hansa.agents.jobs.course import News, Overdue
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.jobs.watch import Seen, Waiting
from hansa.agents.service.logs import printable

BAR = 30  # signs of a score of 1, and of the greatest loss


def shows(console: Console, text: str) -> bool:
    """Whether a console can print a text."""
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True


def since(time_s: float) -> str:
    """Return a moment for a script."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Storyteller:
    """Tells a job to a person.

    Args:
        console: a terminal gets a line of what goes on now, anything else only lines that stay.
        progress: of the job; whoever yields the news keeps it up to date.
    """

    def __init__(self, console: Console, progress: JobProgress) -> None:
        self._console = console
        self._progress = progress
        self._full = "█" if shows(console, "█") else "#"

    def tell(self, seen: Iterator[Seen]) -> None:
        """Print everything seen, then how it ended."""
        now = self._console.status("reading the ledger") if self._console.is_terminal else nullcontext(None)
        with now as status:
            for each in seen:
                for line in self._lines(each):
                    self._console.print(line, soft_wrap=True)
                if status is not None:
                    self._now(status)
        if self._progress.outcome:
            for line in ending(self._progress):
                self._console.print(escape(line), soft_wrap=True)

    def _now(self, status: Status) -> None:
        what, whom = self._progress.awaited()
        of = (
            f" of {self._progress.planned}"
            if what.startswith(self._progress.unit) and self._progress.planned
            else ""
        )
        status.update(f"{what}{of}: {escape(', '.join(whom))}")

    def _lines(self, seen: Seen) -> Iterator[str]:
        """Return what a piece of news reads like; some say nothing that the next one does not say better."""
        if isinstance(seen, Waiting):
            yield f"  [dim]{_clock()}[/]  {escape(waiting_line(seen))}"
            if seen.trouble:
                yield f"            [yellow]{escape(printable(seen.trouble))}[/]"
            return
        match seen.kind:
            case "job-proposed":
                yield from self._proposed()
            case "job-accepted":
                yield f"  [green]✓[/] {seen.fields['party']} consents" + self._left()
            case "job-refused":
                reason = escape(printable(str(seen.fields["reason"])))
                yield f"  [red]✗[/] {seen.fields['party']} refuses: {reason}" + self._left()
            case "job-started":
                yield f"  begins with {', '.join(map(str, _list(seen.fields['parties'])))}"
            case "coalitions-valued":
                yield self._valued(seen)
            case "round-closed" if seen.fields["missing"]:
                missing = ", ".join(map(str, _list(seen.fields["missing"])))
                yield f"  [yellow]round {seen.fields['round']}: without {missing}[/]"
            case "model-evaluated":
                yield self._evaluated(seen)
            case "epoch-ended":
                yield self._epoch(seen)
            case "parties-overdue":
                yield from self._overdue(seen)
            case "distortion-found":
                yield self._distorted(seen)
            case _:
                pass

    def _proposed(self) -> Iterator[str]:
        told = self._progress
        yield f"[bold]{told.job}[/]: {escape(about(told))}"
        yield f"  led by {told.coordinator}; asked for consent: {', '.join(told.parties)}"

    def _left(self) -> str:
        undecided = self._progress.undecided
        return f"   [dim]awaited: {', '.join(undecided)}[/]" if undecided else ""

    def _evaluated(self, news: News) -> str:
        number = int(str(news.fields["round"]))
        place = self._place(number)
        if number == 0:
            place = "before".ljust(len(place))
        loss, score = float(str(news.fields["loss"])), float(str(news.fields["score"]))
        bar = self._bar(score)
        return f"  {place}  loss {loss_text(loss):<8}  {figure(str(news.fields['metric']), score)}  {bar}"

    def _valued(self, news: News) -> str:
        """Return how many coalitions of a round are valued, and what all together have gained."""
        number, before, after = (news.fields[name] for name in ("round", "before", "after"))
        place = self._place(int(str(number))) if number else "the whole job"
        gain = (
            f", gain {after - before:+.4f}" if isinstance(after, float) and isinstance(before, float) else ""
        )
        parties = len(_list(news.fields["players"]))
        return f"  [dim]{place}: {news.fields['coalitions']} coalitions of {parties} parties valued{gain}[/]"

    def _epoch(self, news: News) -> str:
        """Return an epoch's line; its bar is its loss beside the greatest so far."""
        epoch = self._progress.epochs[int(str(news.fields["epoch"]))]
        place = self._place(epoch.number)
        if epoch.loss is None:
            return f"  {place}  {epoch.verdict}"
        most = max(each.loss or 0.0 for each in self._progress.epochs.values())
        bar = self._bar(epoch.loss / most) if most > 0 else ""
        return f"  {place}  loss {loss_text(epoch.loss):<8}  {epoch.verdict:<9}  {bar}".rstrip()

    def _overdue(self, news: News) -> Iterator[str]:
        """Yield who is waited for, unless somebody else has named them already."""
        said, first = self._progress.overdue, Overdue(str(news.fields["by"]), news.time_s)
        names = [name for name in map(str, _list(news.fields["missing"])) if said.get(name) == first]
        if names:
            are, them = ("is", "it") if len(names) == 1 else ("are", "them")
            told = f"{', '.join(names)} {are} overdue: {first.by} waits for {them}"
            yield f"  [dim]{_clock(news.time_s)}[/]  [yellow]{told}[/]"

    def _distorted(self, news: News) -> str:
        loss, before = news.fields["loss"], news.fields["before"]
        jump = ""
        if isinstance(loss, float) and isinstance(before, float):
            jump = f", from {loss_text(before)} to {loss_text(loss)}"
        told = f"the loss has jumped{jump}: somebody's part is not what it was"
        return f"  [red]epoch {news.fields['epoch']}: {told}[/]"

    def _place(self, number: int) -> str:
        planned, unit = self._progress.planned, self._progress.unit
        return f"{unit} {number:>{len(str(planned))}}/{planned}" if planned else f"{unit} {number}"

    def _bar(self, share: float) -> str:
        return self._full * round(BAR * min(max(share, 0.0), 1.0))


def waiting_line(waiting: Waiting) -> str:
    """Return in one line what a job waits for, for whom, and how long."""
    whom = f" of {', '.join(waiting.whom)}" if waiting.whom else ""
    until = ""
    if waiting.until_s is not None:
        left = waiting.until_s - time.time()
        until = f", for at most {left:.0f} s more" if left > 0 else ", which is overdue"
    return f"waiting for {waiting.what}{whom}{until}"


def _clock(time_s: float | None = None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_s))


def _list(value: Any) -> list[Any]:
    return list(value)
