"""How often do we let our own scores of the same rows be seen?

In a vertical job that values each party's part, the arbiter sees what our columns score the rows held out. As many
such jobs as we have columns, each at other coefficients, would tell these columns but for a linear map
(docs/vertical.md). So we consent to fewer on one alignment, since the rows held out are its last; whether the jobs
came to an end makes no difference to what was seen.
"""

from collections.abc import Mapping

from hansa.agents.core.messages import JobSpec
from hansa.ledger import Job
from hansa.protocols import protocol


def seen_enough(spec: JobSpec, me: str, jobs: Mapping[str, Job]) -> str | None:
    """Return why our own scores were seen often enough for this job, in one line for the ledger, or None.

    Args:
        spec: what is offered; what our policy says of it is for `policy`.
        me: our name.
        jobs: those that the ledger knows, this one among them.
    """
    if not spec.contribution or protocol(spec.protocol).bench != "aligned":
        return None
    alignment, volume = str(spec.settings["alignment"]), jobs[spec.job].volumes.get(me)
    most = max(volume.columns - 1, 1) if volume else 1
    seen = sum(name != spec.job and _shown(job, me, alignment) for name, job in jobs.items())
    if seen < most:
        return None
    return (
        f"our own scores of rows of {alignment} were seen before (jobs: {seen}), and with our columns no more "
        f"than {most} may show them: align anew, or measure contributions by volume"
    )


def _shown(job: Job, me: str, alignment: str) -> bool:
    """Whether we have consented to show our own scores in a job, and it has begun, or may yet."""
    ours = me in job.draws and job.settings.get("protocol.alignment") == alignment
    return ours and (bool(job.started) or job.status == "open")
