"""Who may say what a party has contributed, and when? The rules for those entries; see `rules`.

A measurement is not believed but computed again, by everybody who replays the chain: from a round's values follow
its shares, and from these the weights, to the billionth. Where nothing is valued, nobody brings in more than it has
registered.
"""

from collections.abc import Mapping

from hansa.ledger.contribution.chosen import VOLUME, Chosen, chosen
from hansa.ledger.contribution.games import WHOLE_JOB
from hansa.ledger.errors import BadValue, RuleBroken
from hansa.ledger.jobs import (
    CoalitionsValued,
    ContributionMeasured,
    JobAccepted,
    JobProposed,
    JobStarted,
    RoundClosed,
)
from hansa.ledger.permits import check_among, check_open
from hansa.ledger.standing import Job, Standing, Volume
from hansa.ledger.terms import terms

MOST_TOLD = 5  # wrong weights told one by one


def check_agreed(now: Standing, author: str, body: JobProposed) -> None:
    """Refuse a job that could not be measured or paid as it says."""
    try:
        terms(body.settings)
        how = chosen(body.settings)
        if how is not None:
            how.check_parties(len(body.parties))
    except ValueError as error:
        raise RuleBroken(f"{body.job}: {error}") from None
    if how is not None:
        _check_valuing(now, author, body, how)


def _check_valuing(now: Standing, author: str, body: JobProposed, how: Chosen) -> None:
    name, utility = body.job, now.charter.utility
    if how.utility != utility:
        raise RuleBroken(f"{name}: the charter's utility is {utility}, not {how.utility}")
    if not body.model:
        if how.validation:
            raise RuleBroken(
                f"{name}: no validation data where parties hold out rows themselves; found {how.validation!r}"
            )
        return
    found = now.datasets.get((author, how.validation))
    if found is None or not found.usable:
        what = f"{how.validation!r}, which it has not" if how.validation else "none"
        raise RuleBroken(
            f"{name}: models are valued on rows that {author} has registered, and none train on; found {what}"
        )
    if author in body.parties and how.validation == body.dataset:
        raise RuleBroken(f"{name}: {author} trains on {body.dataset}, and so can't value models on it")


def check_acceptance(job: Job, body: JobAccepted) -> None:
    """Refuse a consent that comes too late, or whose part of the seed is missing or of no use."""
    if job.started:
        raise RuleBroken(f"{body.job} has begun with {', '.join(job.started)}")
    if job.appraisal is None and body.draw:
        raise RuleBroken(f"in {body.job} nothing is valued that a seed would be drawn for")
    if job.appraisal is not None and not body.draw:
        raise RuleBroken(f"{body.job} values coalitions: expected 32 random bytes for its seed, found none")


def check_start(job: Job, body: JobStarted) -> None:
    """Refuse a beginning of a job that has no use for it, a second one, or one in another company."""
    if job.appraisal is None:
        raise RuleBroken(f"in {body.job} nothing is valued that a seed would be drawn for")
    if job.started:
        raise RuleBroken(f"{body.job} has begun already")
    for party in body.parties:
        check_among(party, job.accepted, f"those who accepted {body.job}")
    if len(body.parties) < job.quorum:
        raise RuleBroken(f"{body.job} begins with {len(body.parties)} parties, its quorum is {job.quorum}")
    try:
        job.appraisal.how.check_parties(len(body.parties))
    except ValueError as error:
        raise RuleBroken(f"{body.job}: {error}") from None


def check_closed(job: Job, body: RoundClosed) -> None:
    """Refuse a round, of a job whose rounds are valued, that could not be, or that passes somebody over.

    Whoever took no part in it is named as missing: nobody loses a round's contribution in silence.
    """
    if job.appraisal is None:
        return
    if not job.started:
        raise RuleBroken(f"{body.job} has not begun: its coordinator names the parties first")
    _check_unmeasured(job, body.job)
    if body.round == WHOLE_JOB or WHOLE_JOB in job.appraisal.rounds:
        raise RuleBroken(
            f"round {body.round} of {body.job}: its rounds count from 1, or it is valued as a whole"
        )
    if not body.participants:
        raise RuleBroken(f"round {body.round} of {body.job}: nobody took part, and so nothing can be valued")
    for party in body.participants:
        check_among(party, job.started, f"those with whom {body.job} has begun")
    silent = sorted(set(job.started) - {*body.participants, *body.missing})
    if silent:
        raise RuleBroken(
            f"round {body.round} of {body.job}: {', '.join(silent)} neither took part nor was missing"
        )


def check_valued(now: Standing, job: Job, body: CoalitionsValued) -> None:
    """Refuse values of another round, of others than took part, on other rows, or from which no shares follow."""
    name, number = body.job, body.round
    if job.appraisal is None:
        raise RuleBroken(f"{name} was proposed without coalitions to be valued")
    if not job.started:
        raise RuleBroken(f"{name} has not begun: its coordinator names the parties first")
    if number in job.appraisal.rounds:
        raise RuleBroken(f"round {number} of {name} is valued already")
    _check_same_rows(now, job, job.appraisal.how.validation)
    _check_unmeasured(job, name)
    players = job.appraisal.players(number, job.started)
    if players is None:
        why = "it is valued by rounds" if number == WHOLE_JOB else "it is not closed"
        raise RuleBroken(f"round {number} of {name}: {why}")
    if body.players != players:
        raise RuleBroken(
            f"round {number} of {name}: in it were {', '.join(players)}, not {', '.join(body.players)}"
        )
    for player, rows in zip(players, body.rows, strict=True):
        if rows > (most := _registered(job, player).rows):
            raise RuleBroken(_too_much(job, name, player, f"{rows:,} rows", most))
    try:
        job.appraisal.after(body, job.started, job.draws)
    except (BadValue, ValueError) as error:
        raise RuleBroken(f"round {number} of {name}: {error}") from None


def check_measured(now: Standing, job: Job, body: ContributionMeasured) -> None:
    """Refuse weights that don't follow from what is on the ledger, or that a payout rests on already."""
    name = body.job
    for number, payout in now.payouts_of(name):
        raise RuleBroken(f"payout {number} of {name} is {payout.status}, and rests on what was measured")
    method = VOLUME if job.appraisal is None else job.appraisal.how.name
    if body.method != method:
        raise RuleBroken(f"{name} is measured by {method} as agreed, not by {body.method!r:.60}")
    if job.appraisal is None:
        for party, weight in body.shares.items():
            volume = _registered(job, party)
            most, unit = (volume.rows, "rows") if job.model else (volume.cells, "values")
            if weight > most:
                raise RuleBroken(_too_much(job, name, party, f"{weight:,} {unit}", most))
        return
    check_open(job, name)
    if not job.started:
        raise RuleBroken(f"{name} has not begun: its coordinator names the parties first")
    if job.appraisal.awaited:
        raise RuleBroken(f"round {min(job.appraisal.awaited)} of {name} is not valued yet")
    # Nothing is added once they are measured: summing many rounds takes a second, and is not done again.
    _check_weights(body, job.shares or job.appraisal.weights(job.started))


def _check_same_rows(now: Standing, job: Job, validation: str) -> None:
    """Refuse to value models on rows withdrawn or registered anew since the parties were told of them."""
    found = now.datasets.get((job.coordinator, validation))
    if validation and (found is None or found.registered_at > job.proposed_at):
        change = "withdrawn" if found is None else "registered anew"
        raise RuleBroken(f"{validation} of {job.coordinator} was {change} after the job was proposed")


def _check_unmeasured(job: Job, name: str) -> None:
    """Refuse what changes contributions after they were measured: the weights would be of some rounds only."""
    if job.shares:
        raise RuleBroken(f"contributions to {name} are measured already: nothing is added to them any more")


def _check_weights(body: ContributionMeasured, computed: Mapping[str, int]) -> None:
    wrong = [
        f"{party}: expected {computed.get(party, 'none')}, found {body.shares.get(party, 'none')}"
        for party in sorted({*computed, *body.shares})
        if computed.get(party) != body.shares.get(party)
    ]
    if wrong:
        more = f"; {len(wrong) - MOST_TOLD} more likewise" if len(wrong) > MOST_TOLD else ""
        told = "; ".join(wrong[:MOST_TOLD])
        raise RuleBroken(f"weights of {body.job} that do not follow from its values: {told}{more}")


def _registered(job: Job, party: str) -> Volume:
    return job.volumes.get(party, Volume(0, 0))


def _too_much(job: Job, name: str, party: str, found: str, most: int) -> str:
    return f"{party} brings {found} into {name}; of {job.dataset} it had registered {most:,} when that was proposed"
