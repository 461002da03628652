"""The order in which tests are distributed, the groups of one worker, and a PostgreSQL for tests that need one."""

import gc
import shutil
import signal
import subprocess

import pytest
from _pytest.nodeid import NodeId
from hypothesis import HealthCheck, settings

from tests import postgresql
from tests.postgresql import Cluster
from tests.system import running
from tests.system.fork_server import ForkServers
from tests.system.running import missing

TOGETHER = {
    "replicas": "replicas",
    "postgresql_cluster": "cluster",
    "browser": "browser",
    "besieged": "besieged",
    "sdk": "sdk",
    "shared_alerting": "alertmanager",
    "day": "vigilmon",
    "half_hour": "thousandeyes",
}
"""Fixtures that take seconds to start, import or simulate: the tests of each go to one worker."""

# On a busy machine an example may take any time.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Begin with what takes longest, so that at the end no worker still has a long way to go alone."""
    for item in items:
        groups = [group for fixture, group in TOGETHER.items() if fixture in item.fixturenames]
        groups += [mark.args[0] for mark in item.iter_markers("xdist_group")]
        if groups and getattr(config.option, "loadgroup", False):
            # xdist reads the group from the id, but cannot write it there since pytest 9.2 (pytest-xdist, issue 1386).
            item._id = NodeId.parse(f"{item.nodeid}@{groups[0]}")
            assert "@" in item.nodeid
    items.sort(key=lambda item: [not item.get_closest_marker(name) for name in ("system", "slow")])


def pytest_collection():
    """Spare the garbage collector thousands of tests that stay: each of its full passes took a third of a second."""
    gc.disable()


def pytest_collection_finish():
    """Begin to collect garbage, without what there is by then."""
    gc.freeze()
    gc.enable()


def pytest_report_header(config):
    """Say which programs the system tests start: `VENDORWATCH_PROGRAMS=DIR` puts others before Debian's."""
    if hasattr(config, "workerinput") or "not system" in config.option.markexpr:
        return []
    return [version(program) for program in ("prometheus", "prometheus-alertmanager") if not missing(program)]


def version(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return f"{shutil.which(program)}: {(done.stdout + done.stderr).partition('(')[0].strip()}"


@pytest.fixture(scope="session", autouse=True)
def fork_servers():
    """Fork what tests start as a `Program`: most of a start is imports."""
    running.fork_servers = ForkServers()
    yield
    running.fork_servers.close()
    running.fork_servers = None


@pytest.fixture(autouse=True)
def signals():
    """Restore the blocked signals: a program's `main` holds SIGHUP, and what later tests start would inherit that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture(scope="session")
def postgresql_cluster():
    """Give a PostgreSQL that runs."""
    postgresql.needed()
    with Cluster() as cluster:
        yield cluster
