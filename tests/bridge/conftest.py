"""Databases for the tests, SQLite always, PostgreSQL where Debian's is installed; and a BigPanda."""

import pytest

from bridge.delivery import relocation
from tests.bridge.panda import Panda
from tests.store import Store

ON_POSTGRESQL = [pytest.mark.system, pytest.mark.xdist_group("postgresql")]
DATABASES = ["sqlite", pytest.param("postgresql", marks=ON_POSTGRESQL)]


@pytest.fixture(scope="session", autouse=True)
def patient_search():
    """Give searches any time: on a busy machine, one pass of the garbage collector over all tests takes longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.outbox.alerts.MOST_SECONDS", 60.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_proof():
    """Let a token's proof cost nothing: no test guesses one, and each delivery that starts makes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(relocation._WORK, "n", 2)
        yield


@pytest.fixture
def panda():
    """Give a BigPanda that answers over HTTP."""
    running = Panda()
    yield running
    running.close()


@pytest.fixture
def postgresql_url(postgresql_cluster):
    """Give a database of its own for one test."""
    url = postgresql_cluster.database()
    yield url
    postgresql_cluster.drop(url)


@pytest.fixture(params=DATABASES)
def database_url(request, tmp_path):
    """Give an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bridge.db"
    return request.getfixturevalue("postgresql_cluster").schema()


@pytest.fixture
def outbox(database_url):
    """Give an empty outbox, on each kind of database."""
    opened = Store(database_url)
    yield opened
    opened.close()
