"""How does a job's course read in a terminal? Lines that stay, and one that says what goes on now."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from hansa.agents.jobs.progress import JobProgress, News, Round
from hansa.agents.jobs.watch import Seen, Waiting
from hansa.agents.service.logs import printable

BAR = 30  # signs of a score of 1


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
        of = f" of {self._progress.planned}" if what.startswith("round") and self._progress.planned else ""
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
            case "round-closed" if seen.fields["missing"]:
                missing = ", ".join(map(str, _list(seen.fields["missing"])))
                yield f"  [yellow]round {seen.fields['round']}: without {missing}[/]"
            case "model-evaluated":
                yield self._evaluated(seen)
            case _:
                pass

    def _proposed(self) -> Iterator[str]:
        told = self._progress
        rounds = f", {told.planned} rounds" if told.planned else ""
        what = escape(printable(f"{told.protocol}, {told.model} on {told.dataset}"))
        yield f"[bold]{told.job}[/]: {what}{rounds}"
        yield f"  led by {told.coordinator}; asked for consent: {', '.join(told.parties)}"

    def _left(self) -> str:
        undecided = self._progress.undecided
        return f"   [dim]awaited: {', '.join(undecided)}[/]" if undecided else ""

    def _evaluated(self, news: News) -> str:
        number, planned = int(str(news.fields["round"])), self._progress.planned
        width = len(str(planned))
        place = f"round {number:>{width}}/{planned}" if planned else f"round {number}"
        if number == 0:
            place = "before".ljust(len(place))
        loss, score = float(str(news.fields["loss"])), float(str(news.fields["score"]))
        bar = self._full * round(BAR * min(max(score, 0.0), 1.0))
        return f"  {place}  loss {loss:<8.4f}  {figure(str(news.fields['metric']), score)}  {bar}"


def waiting_line(waiting: Waiting) -> str:
    """Return in one line what a job waits for, for whom, and how long."""
    whom = f" of {', '.join(waiting.whom)}" if waiting.whom else ""
    until = ""
    if waiting.until_s is not None:
        left = waiting.until_s - time.time()
        until = f", for at most {left:.0f} s more" if left > 0 else ", which is overdue"
    return f"waiting for {waiting.what}{whom}{until}"


def figure(metric: str, score: float) -> str:
    """Return a score as people write it: shares in per cent."""
    return f"{metric} {score:6.1%}" if metric == "accuracy" else f"{printable(metric)} {score:.4f}"


def ending(progress: JobProgress) -> Iterator[str]:
    """Yield the lines of a job's end, or that it is open."""
    done = progress.ending
    if progress.outcome == "aborted":
        unsaid = [name for name in progress.missing if name not in progress.reason]
        missing = f"; missing: {', '.join(unsaid)}" if unsaid else ""
        yield f"{progress.job}: aborted: {printable(progress.reason)}{missing}"
        if progress.newest:
            resume = f"at {progress.coordinator}: hansa job resume {progress.job}"
            yield f"  round {progress.newest} was closed; to go on from it, {resume}"
    elif done is None:
        what, whom = progress.awaited()
        yield f"{progress.job}: open; waits for {what} of {', '.join(whom)}"
    else:
        told = "" if done.score is None else f": {figure(done.metric, done.score).replace('  ', ' ')}"
        told += "" if done.loss is None else f", loss {done.loss:.4f}"
        yield f"{progress.job}: finished after {done.rounds} rounds{told}"
        if done.model_digest:
            yield f"  model {done.model_digest.hex()}"
        portions = progress.portions()
        if portions:
            shares = ", ".join(f"{party} {share:.1%}" for party, share in portions.items())
            yield f"  shares by {printable(progress.method)}: {shares}"


def rounds_table(progress: JobProgress) -> Table:
    """Return a job's figures by round."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("round", "loss", "score", "parties"):
        table.add_column(column, justify="right")
    table.add_column("missing")
    for each in sorted(progress.rounds.values(), key=lambda each: each.number):
        table.add_row(*_cells(each))
    return table


def _cells(each: Round) -> list[str]:
    loss = "" if each.loss is None else f"{each.loss:.4f}"
    score = "" if each.score is None else figure(each.metric, each.score)
    return [str(each.number), loss, score, str(len(each.participants) or ""), ", ".join(each.missing)]


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _list(value: Any) -> list[Any]:
    return list(value)
