"""What does an audit say of who earned what? Its findings on contributions and payouts.

That they were recomputed is no more than that the ledger was replayed by the rules (`job_rules`, `money_rules`):
where these refuse an entry, nothing after it counts, and the audit's finding is that entry.
"""

from collections.abc import Iterator
from itertools import islice

from hansa.ledger.clock import counted
from hansa.ledger.contribution.chosen import VOLUME
from hansa.ledger.report import Finding
from hansa.ledger.standing import Standing
from hansa.ledger.terms import money

MOST_ALIKE = 20  # findings of one kind that are told one by one


def contributions(standing: Standing) -> Iterator[Finding]:
    """Say what the measured weights were computed from, and whose contributions are negative."""
    jobs = standing.jobs
    valued = [job.appraisal for job in jobs.values() if job.appraisal is not None and job.appraisal.rounds]
    if valued:
        values = sum(each.evaluations for each in valued)
        yield Finding(
            "contributions",
            True,
            f"The contributions of {counted(len(valued), 'job', 'jobs')} were recomputed from"
            f" {counted(values, 'value', 'values')} of coalitions, and the weights measured are those that follow.",
        )
    volumes = sum(job.method == VOLUME for job in jobs.values())
    if volumes:
        yield Finding(
            "contributions",
            True,
            f"The contributions of {counted(volumes, 'job', 'jobs')} are volumes, none of them more than its party"
            " had registered.",
        )
    yield from islice(_negative(standing), MOST_ALIKE)


def _negative(standing: Standing) -> Iterator[Finding]:
    for name, job in standing.jobs.items():
        shares = job.appraisal.shares if job.appraisal is not None else {}
        below = [f"{party} ({float(share):+.4f})" for party, share in shares.items() if share < 0]
        if below:
            yield Finding(
                "contributions",
                True,
                f"The model of job {name} is worth less with what some have brought in than without it:"
                f" {', '.join(below)}. They are paid nothing for it.",
                job.proposed_at,
                concern=True,
            )


def payouts(standing: Standing) -> Iterator[Finding]:
    """Say how many payouts were computed again, how far they have come, and who stops them."""
    told = standing.payouts.values()
    if not told:
        return
    settled, withdrawn = (sum(each.status == status for each in told) for status in ("settled", "withdrawn"))
    yield Finding(
        "payouts",
        True,
        f"{counted(len(told), 'payout was', 'payouts were')} recomputed to the cent from the measured weights and"
        " what was agreed, and proposed for what was final;"
        f" {settled:,} settled with the approvals needed, {withdrawn:,} withdrawn.",
    )
    yield from islice(_stopped(standing), MOST_ALIKE)


def _stopped(standing: Standing) -> Iterator[Finding]:
    for number, payout in standing.payouts.items():
        if payout.status == "withdrawn":
            continue
        held = [f"held by {who} ({why})" for who, why in sorted(payout.held.items())]
        disputed = [f"disputed by {who} ({why})" for who, why in sorted(payout.disputed.items())]
        if held or disputed:
            yield Finding(
                "payouts",
                True,
                f"Payout {number}, of {money(payout.pot_minor, payout.currency)} for job {payout.job}, is"
                f" {payout.status}, and {', '.join(held + disputed)}.",
                number,
                concern=True,
            )
