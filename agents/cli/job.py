"""`hansa job`: propose one, watch it, cancel it, take it up again, see what came of it."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console

from hansa.agents.cli.options import home_option
from hansa.agents.cli.outcome import about, counted, course_table, ending
from hansa.agents.cli.storyteller import Storyteller, since
from hansa.agents.errors import JobError
from hansa.agents.home import Home
from hansa.agents.jobs.course import News
from hansa.agents.jobs.export import Form, write_private
from hansa.agents.jobs.follow import follow, read_standing
from hansa.agents.jobs.jobfile import read_job
from hansa.agents.jobs.orders import Cancel, Resume, Submit
from hansa.agents.jobs.progress import JobProgress, read_progress
from hansa.agents.jobs.takeaway import Export
from hansa.agents.jobs.watch import watch_job
from hansa.agents.service.reach import reach

INTERRUPTED = 130  # as shells have it: 128 and the signal's number
EXPORT_S = 300.0  # a large model is read, checked and written

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Give up after so many seconds.",
)


@click.group()
def job() -> None:
    """Have models trained, and follow how it goes."""


@job.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@home_option
@click.option("--watch", "follows", is_flag=True, help="Stay, and show how it goes.")
@timeout_option
def submit(file: Path, home: Home, follows: bool, timeout_s: float | None) -> None:
    """Propose the job that FILE (job.toml) describes; this agent coordinates it, and must be running."""
    spec = read_job(file, home.config().agent.name, read_standing(home))
    with reach(home, alone=False) as ask:
        submitted = ask(Submit(spec))
    parties = ", ".join(spec.parties)
    click.echo(
        f"{spec.job}: proposed to {parties}; {spec.minimum_parties} must consent within {spec.consent_s:g} s"
    )
    if submitted.get("broker", "ready") != "ready":
        click.echo(
            "  the broker is away: the job waits here until it is back (hansa doctor says what is wrong)"
        )
    if follows:
        _watch(home, spec.job, timeout_s, as_json=False)
    else:
        click.echo(f"  follow it: hansa job watch {spec.job} --home {home.path}")


@job.command("list")
@home_option
@json_option
def list_jobs(home: Home, as_json: bool) -> None:
    """Show all jobs of the federation, oldest first."""
    jobs = _jobs(home)
    if as_json:
        for each in jobs.values():
            click.echo(json.dumps(_summary(each)))
        return
    if not jobs:
        click.echo("no jobs yet")
    width = max((len(name) for name in jobs), default=0)
    for each in jobs.values():
        waits = f", waits for {', '.join(each.overdue)}" if each.overdue and not each.outcome else ""
        mark = f"; {counted(sum(each.withdrawn.values()), 'row')} withdrawn since" if each.withdrawn else ""
        click.echo(
            f"{each.job:<{width}}  {_state(each):<22}  {about(each)}, led by {each.coordinator}{waits}{mark}"
        )


@job.command()
@click.argument("name", metavar="JOB")
@home_option
@json_option
@timeout_option
def watch(name: str, home: Home, as_json: bool, timeout_s: float | None) -> None:
    """Show how JOB goes, until it is over; exits with 1 if it ended without a model."""
    _watch(home, name, timeout_s, as_json=as_json)


@job.command()
@click.argument("name", metavar="JOB")
@home_option
@click.option("--reason", required=True, help="Told to everybody in the job, in one line.")
def cancel(name: str, home: Home, reason: str) -> None:
    """End JOB for everybody if this agent coordinates it; otherwise leave it."""
    with reach(home) as ask:
        told = ask(Cancel(name, reason))
    click.echo(f"{name}: {'aborted' if told['for_everybody'] else 'left; the others may go on'}")


@job.command()
@click.argument("name", metavar="JOB")
@home_option
def resume(name: str, home: Home) -> None:
    """Take up an aborted JOB from its last closed round or epoch, as a new job; an open one goes on by itself."""
    with reach(home, alone=False) as ask:
        told = ask(Resume(name))
    click.echo("\n".join(_resumed(told, home)))


@job.command()
@click.argument("name", metavar="JOB")
@home_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what it has left here: a model or one's part of it as FILE.npz or FILE.json, the ids of common "
    "rows or predictions as FILE.csv.",
)
@json_option
def result(name: str, home: Home, out: Path | None, as_json: bool) -> None:
    """Show what came of JOB: its figures by round or epoch, and each party's share, where one was measured."""
    progress = _jobs(home).get(name)
    if progress is None:
        raise JobError(f"no job {name!r} on this copy of the ledger")
    if as_json:
        click.echo(json.dumps(_summary(progress)))
    else:
        console = Console(highlight=False)
        table = course_table(progress)
        if table.row_count:
            console.print(table)
        for line in ending(progress):
            console.print(line, markup=False)
    if out is not None:
        export_model(home, name, out, quiet=as_json)
    if progress.outcome == "aborted":
        sys.exit(1)


def export_model(home: Home, name: str, out: Path, quiet: bool = False) -> None:
    """Write what a job has ended with at this home's agent; JobError if that is nothing."""
    form = out.suffix.removeprefix(".")
    if form not in ("npz", "json", "csv"):
        raise click.UsageError(f"{out}: expected a name that ends in .npz or .json, or in .csv for rows")
    content, told = fetch(home, name, cast(Form, form))
    write_private(out, content)
    if not quiet:
        use = {
            "model": f"use it: hansa predict {out} ROWS.csv",
            "part": f"the other parts are with the others; use them together: hansa predict --job {name}",
            "rows": f"{counted(told.get('rows', 0), 'row')}, one id on each line",
            "predictions": counted(told.get("rows", 0), "prediction"),
        }
        click.echo(f"{out}: written; {use[told['what']]}")


def fetch(home: Home, name: str, form: Form) -> tuple[bytes, dict[str, Any]]:
    """Return a file of what a job has ended with at this home's agent, and what is in it; JobError if nothing."""
    with reach(home) as ask:
        told = ask(Export(name, form), EXPORT_S)
    made = Path(told["file"])
    try:
        return made.read_bytes(), told
    finally:
        made.unlink()


def _watch(home: Home, name: str, timeout_s: float | None, *, as_json: bool) -> None:
    progress = JobProgress(name)
    seen = watch_job(home, progress, timeout_s)
    try:
        if as_json:
            for each in seen:
                told = (
                    {"kind": each.kind, "time": since(each.time_s), **each.fields}
                    if isinstance(each, News)
                    else each.as_json()
                )
                click.echo(json.dumps({"job": name, **told}))
                sys.stdout.flush()
        else:
            Storyteller(Console(highlight=False), progress).tell(seen)
    except KeyboardInterrupt:
        click.echo(f"\nno longer watched: {name} goes on; hansa job watch {name} shows it again", err=True)
        sys.exit(INTERRUPTED)
    if progress.outcome == "aborted":
        sys.exit(1)


def _jobs(home: Home) -> dict[str, JobProgress]:
    with follow(home) as view:
        jobs = read_progress(view.news())
        for name, each in view.standing.jobs.items():
            jobs[name].withdrawn = dict(each.withdrawn)
            if each.appraisal is not None:
                jobs[name].contributions = {who: float(part) for who, part in each.appraisal.shares.items()}
        return jobs


def _state(progress: JobProgress) -> str:
    if progress.outcome:
        return progress.outcome
    if not progress.newest:
        return f"open, {len(progress.accepted)}/{len(progress.parties)} consent"
    of = f"/{progress.planned}" if progress.planned else ""
    return f"open, {progress.unit} {progress.newest}{of}"


def _summary(progress: JobProgress) -> dict[str, Any]:
    """Return a job for a script."""
    done = progress.ending
    return {
        "job": progress.job,
        "status": progress.outcome or "open",
        "coordinator": progress.coordinator,
        "protocol": progress.protocol,
        "model": progress.model,
        "dataset": progress.dataset,
        "parties": list(progress.parties),
        "accepted": progress.accepted,
        "refused": progress.refused,
        "rounds": [
            {
                "round": each.number,
                "loss": each.loss,
                "score": each.score,
                "metric": each.metric,
                "missing": list(each.missing),
            }
            for each in progress.rounds.values()
        ],
        "epochs": [
            {"epoch": each.number, "loss": each.loss, "verdict": each.verdict}
            for each in progress.epochs.values()
        ],
        "overdue": list(progress.overdue),
        "common_rows": None if progress.aligned is None else progress.aligned.common,
        "list_sizes": {} if progress.aligned is None else progress.aligned.sizes,
        "rows_served": progress.served,
        "rows_used_for": progress.used,
        "rows_withdrawn": progress.withdrawn,
        "shares": progress.portions(),
        "contributions": progress.contributions,
        "rows": progress.shares,
        "reason": progress.reason,
        "missing": list(progress.missing),
        "model_digest": "" if done is None else done.model_digest.hex(),
        "loss": None if done is None else done.loss,
        "score": None if done is None else done.score,
        "metric": "" if done is None else done.metric,
    }


def _resumed(told: dict[str, Any], home: Home) -> Iterator[str]:
    name = told["job"]
    if not told["resumed"]:
        yield f"{name} is open: its agents go on by themselves, also after a restart; nothing was done"
        whom = f" of {', '.join(told['whom'])}" if told.get("whom") else ""
        until = told.get("until")
        left = f", for at most {max(until - time.time(), 0):.0f} s more" if until else ""
        if told.get("what"):
            yield f"  it waits for {told['what']}{whom}{left}"
        yield f"  follow it: hansa job watch {name} --home {home.path}"
        return
    again = told["resumed"]
    if told["model_digest"]:
        start = f"round {told['rounds_closed']} of {name}, model {told['model_digest'][:16]}"
        yield f"{again}: proposed; it starts from {start}, and has {told['rounds']} rounds left"
    elif told["rounds_closed"]:
        yield f"{again}: proposed; it goes on after {counted(told['rounds_closed'], told['unit'])} of {name}"
    else:
        what = "closed no round" if told["unit"] == "round" else "ended no epoch"
        yield f"{again}: proposed; {name} had {what}, so it starts where that one did"
    if told["left_out"]:
        yield f"  without {', '.join(told['left_out'])}: no active members any more"
    yield f"  follow it: hansa job watch {again} --home {home.path}"
