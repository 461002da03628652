"""Databases for the tests: SQLite always, PostgreSQL where Debian's is installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bridge.outbox import Outbox

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.system)]


def _as_postgres(*command):
    """PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def postgresql_cluster():
    """Start a throwaway PostgreSQL; give the URL of its first database. Not in tmp_path: another user must enter it."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed")
    if os.geteuid() == 0 and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        pytest.skip("there is no user postgres to run PostgreSQL as")
    home = Path(tempfile.mkdtemp(prefix="vendorwatch-pg-"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control, cluster = BINARIES[-1] / "pg_ctl", home / "cluster"
    _as_postgres(BINARIES[-1] / "initdb", "-D", cluster, "-U", "vendorwatch", "-A", "trust", "--no-sync")
    settings = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    _as_postgres(control, "-D", cluster, "-l", home / "log", "-w", "-t", "60", "-o", settings, "start")
    yield f"postgresql://vendorwatch@127.0.0.1:{port}/postgres"
    _as_postgres(control, "-D", cluster, "-m", "immediate", "-w", "stop")
    shutil.rmtree(home)


@pytest.fixture
def postgresql_url(postgresql_cluster, request):
    """Give a database of its own for one test."""
    name = f"t{abs(hash(request.node.nodeid))}_{os.getpid()}"
    engine = create_engine(
        postgresql_cluster.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgresql_cluster.replace("/postgres", f"/{name}")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=DATABASES)
def database_url(request, tmp_path):
    """Give an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bridge.db"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def outbox(database_url):
    """Give an empty outbox, on each kind of database."""
    opened = Outbox.open(database_url)
    yield opened
    opened.close()
