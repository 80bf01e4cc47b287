"""Servers for the whole run: started when the first test asks, ended by the process that started pytest."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import postgres, servers

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("hansa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hansa")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder that all workers know."""
    if servers.FOLDER_VARIABLE not in os.environ:
        os.environ[servers.FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="hansa-tests-")
        os.environ[servers.CONTROLLER_VARIABLE] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run started."""
    if os.environ.get(servers.CONTROLLER_VARIABLE) == str(os.getpid()):
        folder = Path(os.environ.pop(servers.FOLDER_VARIABLE))
        postgres.stop_shared(folder)
        servers.stop_shared(folder)
        del os.environ[servers.CONTROLLER_VARIABLE]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: what can't be tested there is not known to work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
