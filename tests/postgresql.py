"""A throwaway PostgreSQL, where Debian's is installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import create_engine, text

from tests.system.running import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Cluster:
    """One server on loopback, its files in a folder of their own. It can be stopped and started again."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="vendorwatch-pg-"))  # not in tmp_path: another user must enter it
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres")
        self._port = free_port()
        self._numbers = count(1)
        self._run("initdb", "-D", self._data, "-U", "vendorwatch", "-A", "trust", "--no-sync")

    @property
    def _data(self) -> Path:
        return self._home / "cluster"

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"postgresql://vendorwatch@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = f"-p {self._port} -k {self._home} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-l", self._home / "log", "-w", "-t", "60", "-o", settings, "start")

    def stop(self) -> None:
        """Stop it at once: every connection breaks."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.stop()
        shutil.rmtree(self._home)

    def database(self) -> str:
        """Make an empty database and give its URL."""
        name = f"d{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url.replace("/postgres", f"/{name}")

    def schema(self) -> str:
        """Make an empty schema and give the URL of the one user who sees it: that costs a tenth of a database."""
        name = f"u{next(self._numbers)}"
        self.execute(f"CREATE ROLE {name} SUPERUSER LOGIN; CREATE SCHEMA {name}")
        return self.url.replace("vendorwatch@", f"{name}@")

    def drop(self, url: str) -> None:
        """Delete a database, whoever still uses it."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction."""
        url = self.url.replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def hang_up(self, database: str) -> None:
        """End every connection to a database."""
        self.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"  # noqa: S608  ours
        )

    @staticmethod
    def _run(program: str, *arguments: object) -> None:
        """PostgreSQL refuses to run as root."""
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(BINARIES[-1] / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def needed() -> None:
    """Skip where it cannot be run."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed")
    if os.geteuid() == 0 and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        pytest.skip("there is no user postgres to run PostgreSQL as")
