"""A throwaway PostgreSQL that flushes to the disk, where Debian's is installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.running import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
THERE = bool(BINARIES) and (os.geteuid() != 0 or any(user.pw_name == "postgres" for user in pwd.getpwall()))


def _as_postgres(*command: object) -> None:
    """PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def postgresql() -> Iterator[str]:
    """Give the URL of a database of a new cluster."""
    home = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
    port, control, cluster = free_port(), BINARIES[-1] / "pg_ctl", home / "cluster"
    try:
        _as_postgres(BINARIES[-1] / "initdb", "-D", cluster, "-U", "bench", "-A", "trust", "--no-sync")
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
        _as_postgres(control, "-D", cluster, "-l", home / "log", "-w", "-t", "60", "-o", options, "start")
        try:
            yield f"postgresql://bench@127.0.0.1:{port}/postgres"
        finally:
            _as_postgres(control, "-D", cluster, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home)
