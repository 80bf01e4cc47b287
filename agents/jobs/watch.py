"""What happens to a job, as it happens? The home's own copy of the ledger, and what its running agent says.

Never silent: after a while without news it says what the job waits for, for whom, and until when.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hansa.agents.errors import AgentError, AgentNotRunning, JobAborted, JobError
from hansa.agents.home import Home
from hansa.agents.jobs.course import News
from hansa.agents.jobs.follow import LedgerView, follow
from hansa.agents.jobs.orders import Awaits
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.service.reach import reach

POLL_S = 0.25
QUIET_S = 15.0  # without news; then it is said what is waited for
ASK_S = 5.0  # within which the agent says what it waits for


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing new for a while.

    Attributes:
        what: the job waits for: "round 3".
        whom: whose word is awaited, as far as this home can know.
        until_s: when whoever waits gives up, UTC seconds; None if nobody here knows.
        certain: whether those who wait say so themselves; otherwise it follows from the ledger.
        trouble: what is in the way here, and the way out; empty if nothing is.
    """

    what: str
    whom: tuple[str, ...]
    until_s: float | None
    certain: bool
    trouble: str

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "kind": "waiting",
            "what": self.what,
            "whom": list(self.whom),
            "until": self.until_s,
            "trouble": self.trouble,
        }


Seen = News | Waiting


def watch_job(
    home: Home,
    progress: JobProgress,
    timeout_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Seen]:
    """Yield what happens to a job until it is over; `progress` is kept up to date.

    Args:
        progress: of the job, empty.
        timeout_s: give up after so long; None never does.

    Raises:
        JobError: no such job, as far as this home can know; or the time is up.
        JobAborted: it ended before the ledger had it.
        ConfigError, LedgerError: the copy of the ledger can't be read.
    """
    with follow(home) as view:
        began = heard = clock()
        yield from _news(view, progress)
        _check_known(home, progress, view)
        _check_not_over(home, progress)
        first = True
        while not progress.outcome:
            now = clock()
            if first or now - heard >= QUIET_S:
                waiting = wait_for(home, progress)
                if waiting.trouble or not first:
                    yield waiting
                heard, first = now, False
            if timeout_s is not None and now - began >= timeout_s:
                raise JobError(
                    f"job {progress.job!r} is still open after {timeout_s:g} s; it goes on by itself"
                )
            time.sleep(POLL_S)
            for news in _news(view, progress):
                heard = clock()
                yield news
            _check_not_over(home, progress)


def wait_for(home: Home, progress: JobProgress) -> Waiting:
    """Return what a job waits for: in the words of the home's agent, or else as the ledger shows it."""
    what, whom = progress.awaited() if progress.proposed else ("the proposal to reach the ledger", ())
    until = progress.consent_until_s if what == "consent" else None
    try:
        told = _ask(home, progress.job)
    except AgentNotRunning as error:
        return Waiting(what, whom, until, False, f"nothing new can reach this copy of the ledger: {error}")
    except AgentError as error:
        return Waiting(what, whom, until, False, str(error))
    trouble = (
        "" if told["broker"] == "ready" else f"this agent's connection to the broker is {told['broker']}"
    )
    missing = [name for name in told["unroutable"] if name in whom]
    if missing and not trouble:
        trouble = f"the broker has no queue for {', '.join(missing)}"
    if told["known"] and not told["outcome"]:
        return Waiting(told["what"], tuple(told["whom"]), told["until"], True, trouble)
    return Waiting(what, whom, until, False, trouble)


def _ask(home: Home, job: str) -> dict[str, Any]:
    with reach(home, alone=False) as ask:
        return ask(Awaits(job), ASK_S)


def _news(view: LedgerView, progress: JobProgress) -> Iterator[News]:
    for told in view.news():
        yield from progress.take(told)


def _check_known(home: Home, progress: JobProgress, view: LedgerView) -> None:
    """Refuse to wait for a job that nobody here has heard of."""
    if progress.proposed:
        return
    with suppress(AgentError):
        if _ask(home, progress.job)["known"]:
            return
    jobs = ", ".join(view.standing.jobs) or "none yet"
    raise JobError(f"no job {progress.job!r} on this copy of the ledger; there are: {jobs}")


def _check_not_over(home: Home, progress: JobProgress) -> None:
    """A job that has ended before the ledger had it would be waited for in vain."""
    if progress.proposed:
        return
    told: dict[str, Any] = {}
    with suppress(AgentError):
        told = _ask(home, progress.job)
    if told.get("outcome"):
        raise JobAborted(progress.job, told["reason"], tuple(told["missing"]))
