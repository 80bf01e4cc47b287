"""What did the federation compute, how well did it go, and who brought in how much?"""

from hansa.agents.audit.contributions import MOST_PARTIES, beside, contributions
from hansa.agents.audit.markup import NOTHING, Html, element, joined, left_out, listed, said, table, text
from hansa.agents.audit.plots import bar, curve
from hansa.agents.audit.verdict import digits
from hansa.agents.audit.words import counted, figure, percent
from hansa.ledger.report import AuditReport, JobLine

MOST_LISTED = 1_000  # jobs in the table
MOST_SHOWN = 50  # jobs with their curves; each takes some 10 kB
MOST_OPEN = 3


def jobs_section(report: AuditReport) -> Html:
    """Show the jobs, the newest first: a table of all, and each of the newest with its curves."""
    heading = element("h2", text("Jobs"), id="jobs")
    jobs = sorted(report.jobs, key=lambda job: job.proposed_at, reverse=True)
    if not jobs:
        return element("section", heading, element("p", text("No job was ever proposed."), class_="quiet"))
    parts = [_overview(jobs)] if len(jobs) > 1 else []
    for number, job in enumerate(jobs[:MOST_SHOWN]):
        parts.append(_job(job, number < MOST_OPEN))
    if len(jobs) > MOST_SHOWN:
        older = f"{len(jobs) - MOST_SHOWN:,} older jobs are in the table above, without their curves."
        parts.append(element("p", text(older), class_="quiet"))
    return element("section", heading, *parts)


def step_name(job: JobLine) -> str:
    """Return what a job counts in: parties of a horizontal one meet in rounds, others' losses come by epoch."""
    return "round" if job.protocol.startswith(("fedavg", "horizontal")) else "epoch"


def _overview(jobs: list[JobLine]) -> Html:
    rows = [
        [
            said(job.name, 60),
            said(job.protocol, 40),
            said(job.status, 40),
            text(f"{len(job.parties):,}"),
            _last_score(job),
            text(f"{sum(job.withdrawn.values()):,}") if job.withdrawn else text("–"),
        ]
        for job in jobs[:MOST_LISTED]
    ]
    heads = ["Job", "Protocol", "Status", "Parties", "Last score", "Rows withdrawn since"]
    listing = table("Jobs, the newest first", heads, rows, frozenset({3, 4, 5}))
    return joined(
        listing, left_out(len(jobs) - MOST_LISTED, "older jobs are", "the JSON report has them all")
    )


def _last_score(job: JobLine) -> Html:
    scores = [point.score for point in job.points if point.score is not None]
    return text(figure(scores[-1])) if scores else text("–")


def _job(job: JobLine, is_open: bool) -> Html:
    pill = element("span", said(job.status, 40), class_="pill")
    mark = element("span", text("rows withdrawn since"), class_="pill warn") if job.withdrawn else NOTHING
    summary = element("summary", element("h3", said(job.name, 60)), pill, mark)
    body = (_facts(job), withdrawn(job), curves(job), earned(job))
    opened = {"open": "open"} if is_open else {}
    return element("details", summary, *body, class_="job", **opened)


def _facts(job: JobLine) -> Html:
    parties = [said(party, 60) for party in job.parties[:MOST_PARTIES]]
    if len(job.parties) > MOST_PARTIES:
        parties.append(text(f"{len(job.parties) - MOST_PARTIES} more"))
    ended = "and still open" if job.ended_at is None else f"ended by entry {job.ended_at:,}"
    rows = [
        ("Protocol", said(job.protocol, 60)),
        ("Coordinator", said(job.coordinator, 60)),
        ("Parties", listed(parties) if parties else text("nobody")),
        ("On the ledger", text(f"proposed by entry {job.proposed_at:,}, {ended}")),
    ]
    if job.reason:
        rows.append(("Reason", said(job.reason)))
    if job.model_digest:
        rows.append(("Model", digits(job.model_digest)))
    if job.uses:
        rows.append(("Used since", text(f"on {counted(job.uses, 'row')}")))
    pairs = (element("div", element("dt", text(name)), element("dd", value)) for name, value in rows)
    return element("dl", *pairs, class_="facts")


def withdrawn(job: JobLine) -> Html:
    """Say whose rows a job may have used that were withdrawn since."""
    if not job.withdrawn:
        return NOTHING
    ordered = sorted(job.withdrawn.items())
    parts = [
        joined(said(party, 60), text(f" {counted(rows, 'row')}")) for party, rows in ordered[:MOST_PARTIES]
    ]
    if len(ordered) > MOST_PARTIES:
        parts.append(text(f"{len(ordered) - MOST_PARTIES} more"))
    before = text("Withdrawn since by ")
    after = text(". This model may have been trained with them; models made later are not.")
    return element("p", before, listed(parts), after, class_="note warn")


def earned(job: JobLine) -> Html:
    """Draw what each party has contributed, and list the weights that follow from it."""
    return beside(contributions(job), _shares(job))


def curves(job: JobLine) -> Html:
    """Draw how good a job's model became."""
    if not job.points:
        return element("p", text("The ledger tells no figures of its course."), class_="quiet")
    steps, metric = step_name(job), job.metric or "score"
    pictures = []
    if any(point.loss is not None for point in job.points):
        pictures.append(curve([(point.step, point.loss) for point in job.points], "loss", steps))
    if any(point.score is not None for point in job.points):
        pictures.append(curve([(point.step, point.score) for point in job.points], metric, steps))
    return element("div", *pictures, class_="curves")


def _shares(job: JobLine) -> Html:
    if not job.shares:
        return NOTHING
    whole = sum(weight for weight in job.shares.values() if weight > 0)
    ordered = sorted(job.shares.items(), key=lambda item: (-item[1], item[0]))
    shown = ordered[:MOST_PARTIES]
    rows = [[said(party, 60), text(f"{weight:,}"), text(percent(weight, whole))] for party, weight in shown]
    heads = ["Party", "Weight", "Share"]
    if not job.contributions:  # else these are drawn beside it
        heads.append("Drawn")
        rows = [[*row, bar(weight, whole)] for row, (_, weight) in zip(rows, shown, strict=True)]
    title = element(
        "h4", text("Measured shares, by "), said(job.method, 80) if job.method else text("weight")
    )
    listing = table("Measured shares", heads, rows, frozenset({1, 2}))
    return joined(
        title, listing, left_out(len(ordered) - len(rows), "smaller shares are", "the JSON report has them")
    )
