"""What is a job, and what came of it, in a person's words and figures?"""

from collections.abc import Iterator, Mapping

from rich.table import Table

from hansa.agents.jobs.course import Epoch, Round
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.service.logs import printable
from hansa.ledger import JobFinished

GREAT = 1_000.0  # from here on a loss needs no four decimals


def about(progress: JobProgress) -> str:
    """Return in half a line what a job does, and with whose data."""
    model = f", {progress.model}" if progress.model else ""
    told = f"{progress.protocol}{model} on {progress.dataset}"
    if progress.uses:
        told += f", with the model of {progress.uses}"
    if progress.planned:
        told += f", {counted(progress.planned, progress.unit)}"
    if progress.guest:
        told += f", labels at {progress.guest}"
    if "contribution.method" in progress.settings:
        told += f", contributions by {progress.settings['contribution.method']}"
    return printable(told)


def counted(number: int, noun: str) -> str:
    """Return so many of something: "1 row", "2 rows"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def withdrawn(rows: Mapping[str, int]) -> str:
    """Return what a model's user should know of rows withdrawn since, by party."""
    told = ", ".join(f"{party} {count}" for party, count in rows.items())
    return f"may have used rows that are withdrawn since: {printable(told)}"


def figure(metric: str, score: float) -> str:
    """Return a score as people write it: shares in per cent."""
    match metric:
        case "accuracy":
            return f"accuracy {score:6.1%}"
        case "auc":
            return f"AUC {score:.3f}"
        case "r2":
            return f"R² {score:.2f}"
        case _:
            return f"{printable(metric)} {score:.4f}"


def loss_text(loss: float) -> str:
    """Return a loss, to four decimals unless it is great."""
    return f"{loss:.4f}" if abs(loss) < GREAT else f"{loss:.1f}"


def ending(progress: JobProgress) -> Iterator[str]:
    """Yield the lines of a job's end, or that it is open."""
    done = progress.ending
    if progress.outcome == "aborted":
        yield from _aborted(progress)
    elif done is None:
        what, whom = progress.awaited()
        yield f"{progress.job}: open; waits for {what} of {', '.join(whom)}"
    else:
        yield f"{progress.job}: finished{_told(progress, done)}"
        if done.model_digest:
            yield f"  model {done.model_digest.hex()}"
        portions = progress.portions()
        if portions:
            shares = ", ".join(f"{party} {share:.1%}" for party, share in portions.items())
            yield f"  shares by {printable(progress.method)}: {shares}"
        if progress.contributions:
            parts = ", ".join(f"{party} {part:+.4f}" for party, part in progress.contributions.items())
            yield f"  contributions to the model's {progress.settings.get('contribution.utility')}: {parts}"
        if progress.used:
            yield f"  used for {counted(progress.used, 'row')} so far"
        if progress.withdrawn:
            yield f"  {withdrawn(progress.withdrawn)}"


def course_table(progress: JobProgress) -> Table:
    """Return a job's figures by round or epoch; without a row if it counts neither."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    if progress.epochs:
        for column in ("epoch", "loss"):
            table.add_column(column, justify="right")
        table.add_column("verdict")
        for epoch in sorted(progress.epochs.values(), key=lambda each: each.number):
            table.add_row(*_epoch(epoch))
        return table
    for column in ("round", "loss", "score", "parties"):
        table.add_column(column, justify="right")
    table.add_column("missing")
    for each in sorted(progress.rounds.values(), key=lambda each: each.number):
        table.add_row(*_round(each))
    return table


def _aborted(progress: JobProgress) -> Iterator[str]:
    unsaid = [name for name in progress.missing if name not in progress.reason]
    missing = f"; missing: {', '.join(unsaid)}" if unsaid else ""
    yield f"{progress.job}: aborted: {printable(progress.reason)}{missing}"
    if progress.newest and not progress.distorted:
        was = "was closed" if progress.unit == "round" else "had ended"
        resume = f"at {progress.coordinator}: hansa job resume {progress.job}"
        yield f"  {progress.unit} {progress.newest} {was}; to go on from it, {resume}"


def _told(progress: JobProgress, done: JobFinished) -> str:
    """Return what a finished job has to say for itself."""
    if progress.aligned is not None:
        return f": {_compared(progress)}"
    if progress.uses:
        served = counted(progress.served, "row") if progress.served else "no row"
        return f": {served} served with the model of {progress.uses}"
    after = f" after {counted(done.rounds, progress.unit)}" if done.rounds else ""
    figures = []
    if done.score is not None:
        figures.append(figure(done.metric, done.score).replace("  ", " "))
    if done.loss is not None:
        figures.append(f"loss {loss_text(done.loss)}")
    return after + (f": {', '.join(figures)}" if figures else "")


def _compared(progress: JobProgress) -> str:
    """Return how many rows the parties share, or who alone knows."""
    assert progress.aligned is not None
    common, sizes = progress.aligned.common, progress.aligned.sizes
    had = f" ({', '.join(f'{party} {rows}' for party, rows in sizes.items())})" if sizes else ""
    if common is not None:
        where = f"in {progress.threshold} lists or more" if progress.threshold else "in common"
        return f"{counted(common, 'row') if common else 'no rows'} {where}{had}"
    who = f"{progress.receiver} alone knows" if progress.receiver else "the parties know"
    return f"{who} which rows are common{had}"


def _epoch(each: Epoch) -> list[str]:
    return [str(each.number), "" if each.loss is None else loss_text(each.loss), each.verdict]


def _round(each: Round) -> list[str]:
    loss = "" if each.loss is None else loss_text(each.loss)
    score = "" if each.score is None else figure(each.metric, each.score)
    return [str(each.number), loss, score, str(len(each.participants) or ""), ", ".join(each.missing)]
