"""Agents: the journal around the machines, the jobs, the command line, and a federation in one process.

Each name is imported when it is first asked for: the command line lives here too, and most of its commands need
neither NumPy nor a database to say what they have to say. `hansa.agents.estimator` has the scikit-learn face.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hansa.agents.config import AgentConfig, load_config
    from hansa.agents.core.agent import Agent
    from hansa.agents.core.messages import JobSpec
    from hansa.agents.data.rows import Dataset, from_arrays, load_dataset
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
else:
    _MODULES = {
        "core.agent": ["Agent"],
        "config": ["AgentConfig", "load_config"],
        "data.rows": ["Dataset", "from_arrays", "load_dataset"],
        "errors": [
            "AgentError",
            "ConfigError",
            "DataError",
            "FederationError",
            "HomeError",
            "JobAborted",
            "JobError",
            "JournalError",
        ],
        "home": ["Home"],
        "local": ["LocalFederation", "Member"],
        "core.messages": ["JobSpec"],
    }

    def __getattr__(name: str) -> object:
        """Import a name of `__all__` from its module (PEP 562)."""
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"hansa.agents.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
