"""Agents: the journal around the machines, the jobs, the command line, and a federation in one process.

`hansa.agents.estimator` has the scikit-learn face; it is not imported here, since scikit-learn takes longer to
load than most commands take to run.
"""

from hansa.agents.agent import Agent
from hansa.agents.config import AgentConfig, load_config
from hansa.agents.data import Dataset, from_arrays, load_dataset
from hansa.agents.errors import (
    AgentError,
    ConfigError,
    DataError,
    FederationError,
    HomeError,
    JobAborted,
    JobError,
    JournalError,
)
from hansa.agents.home import Home
from hansa.agents.local import LocalFederation, Member
from hansa.agents.messages import JobSpec

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentError",
    "ConfigError",
    "DataError",
    "Dataset",
    "FederationError",
    "Home",
    "HomeError",
    "JobAborted",
    "JobError",
    "JobSpec",
    "JournalError",
    "LocalFederation",
    "Member",
    "from_arrays",
    "load_config",
    "load_dataset",
]
