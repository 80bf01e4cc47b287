"""What can go wrong in an agent.

AgentError
├── ConfigError        agent.toml or job.toml: names the file, the key and what was expected
├── HomeError          a home folder is missing, half made, or belongs to another agent
│   └── WrongPassphrase  the keys need a passphrase, or another one
├── AgentNotRunning    nobody answers at the home's control socket
├── BrokerTurnedAway   the broker lets us in no more: refused, or a newer connection of ours took over
├── DataError          a data set: names the file, row and column
├── ModelFileError     a file holds no model, or another than its digest says
├── JournalError       the journal can't be read or written; the agent must stop
├── JobError           a job can't be submitted, or ended without a model
│   └── JobAborted     everybody was told why; carries who was missing
├── PayoutError        there can be no such payout, or an entry about one is not on the chain in time
├── BackupError        a backup can't be made, read or restored
├── Unwilling          we put our name to no such head of the ledger; the text says why
└── FederationError    the federation can't be founded, opened, joined or changed as asked
    ├── InviteError    a file that is no invitation, or not a sound one
    └── NotAdmitted    the keeper refuses, or has not decided; says which, and what to do
"""


class AgentError(Exception):
    """Base of the room's errors; the CLI prints its text as one line and exits with 1."""


class ConfigError(AgentError):
    """A configuration file is wrong; the text names file, key and expectation."""


class HomeError(AgentError):
    """A home folder is missing, incomplete, or somebody else's."""


class WrongPassphrase(HomeError):
    """The keys are under a passphrase, and none or another one was given."""


class AgentNotRunning(AgentError):
    """No agent answers at a home's control socket, and one was needed."""


class BrokerTurnedAway(AgentError):
    """The broker lets this agent in no more, and trying again would not change it."""


class DataError(AgentError):
    """A data set is unusable; the text names file, row and column."""


class ModelFileError(AgentError):
    """A file holds no model that can be used; the text names it."""


class JournalError(AgentError):
    """The journal failed: nothing may be acknowledged or sent after this."""


class JobError(AgentError):
    """A job can't be submitted, or has ended without a model."""


class JobAborted(JobError):
    """A job was aborted; everybody in it was told the reason.

    Args:
        job: its name.
        reason: one line.
        missing: the agents that did not answer, if that was the cause.
    """

    def __init__(self, job: str, reason: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(f"job {job} aborted: {reason}")
        self.job = job
        self.reason = reason
        self.missing = missing


class PayoutError(AgentError):
    """A payout can't be proposed, shown or followed up; the text says why, and the way out."""


class BackupError(AgentError):
    """A backup can't be made, read or restored; the text names the file."""


class Unwilling(AgentError):
    """This agent does not put its name to a head of the ledger; the text says why, in plain words."""


class FederationError(AgentError):
    """A federation can't be founded or opened as asked."""


class InviteError(FederationError):
    """An invitation's file can't be used: damaged, changed, expired, or another's."""


class NotAdmitted(FederationError):
    """The keeper has refused, or nobody has decided yet; nothing was written."""
