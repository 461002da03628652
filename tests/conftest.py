"""In which order tests are given out, and which of them one worker keeps; a PostgreSQL for whoever needs one."""

import pytest

from tests import postgresql
from tests.postgresql import Cluster

TOGETHER = {"postgresql_cluster": "postgresql", "browser": "browser"}
"""What costs seconds to start, by the fixture that starts it once: its tests go to one worker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with what takes longest, so that at the end no worker still has a long way to go alone."""
    for item in items:
        for fixture, group in TOGETHER.items():
            if fixture in item.fixturenames:
                item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: [not item.get_closest_marker(name) for name in ("system", "slow")])


@pytest.fixture(scope="session")
def postgresql_cluster():
    """Give a PostgreSQL that runs."""
    postgresql.needed()
    with Cluster() as cluster:
        yield cluster
