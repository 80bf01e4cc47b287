"""The words that rules are said in: who is whose, what is open, who is among whom. Each raises RuleBroken."""

from hansa.ledger.claims import Payout
from hansa.ledger.errors import RuleBroken
from hansa.ledger.standing import Job, Member, Standing


def only(author: str, allowed: str, rule: str) -> None:
    """Refuse everybody but one."""
    if author != allowed:
        raise RuleBroken(f"{rule}: {allowed}, not {author}")


def coordinates(author: str, job: Job, name: str) -> None:
    """Refuse everybody but a job's coordinator."""
    only(author, job.coordinator, f"{name} has one coordinator")


def check_among(name: str, group: tuple[str, ...], what: str) -> None:
    """Refuse whoever is not in a group."""
    if name not in group:
        raise RuleBroken(f"{name} is not among {what}")


def check_open(job: Job, name: str) -> None:
    """Refuse what comes after a job's end."""
    if job.status != "open":
        raise RuleBroken(f"job {name} is {job.status}")


def check_finished(job: Job, name: str) -> None:
    """Refuse what needs a job's outcome."""
    if job.status != "finished":
        raise RuleBroken(f"job {name} has no model: {job.status}")


def check_not_aborted(job: Job, name: str) -> None:
    """Refuse what an aborted job has no use for."""
    if job.status == "aborted":
        raise RuleBroken(f"job {name} is aborted")


def check_not_keeper(now: Standing, name: str) -> None:
    """Refuse to change the keeper's keys."""
    if name == now.keeper.name:
        raise RuleBroken(f"{name} keeps the ledger, and its keys stay as they are meanwhile")


def check_key_is_free(now: Standing, name: str, verify_key: bytes) -> None:
    """Refuse a key that is, or was, another's."""
    if verify_key in now.revoked_keys:
        raise RuleBroken("this key is revoked")
    holder = now.holders.get(verify_key, name)
    if holder != name:
        raise RuleBroken(f"{holder} has this key already")


def member_of(now: Standing, name: str) -> Member:
    """Return a member, active or not."""
    member = now.members.get(name)
    if member is None:
        raise RuleBroken(f"{name} is no member")
    return member


def job_of(now: Standing, name: str) -> Job:
    """Return a job."""
    job = now.jobs.get(name)
    if job is None:
        raise RuleBroken(f"no job {name} was proposed")
    return job


def payout_of(now: Standing, number: int) -> Payout:
    """Return a payout by the index of its proposal."""
    payout = now.payouts.get(number)
    if payout is None:
        raise RuleBroken(f"entry {number} proposes no payout")
    return payout


def check_open_payout(payout: Payout, number: int) -> None:
    """Refuse what comes after a payout is settled or withdrawn."""
    if payout.status != "open":
        raise RuleBroken(f"payout {number} is {payout.status} already")
