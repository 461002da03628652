"""The machine that measured, without identifying details; and the resources that a process uses."""

import os
import platform
import tempfile
import time
from pathlib import Path
from statistics import median

from bridge.outbox.sqlite_engine import sqlite3

_TICKS = os.sysconf("SC_CLK_TCK")


def described() -> dict[str, str]:
    """Return cores, memory, kernel, Python and SQLite."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {kernel}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "busy with other things as it began": f"{os.getloadavg()[0]:.1f} processes",
        "a flush of the disk": f"{1000 * flush():.2g} ms (median)",
    }


def flush(times: int = 50) -> float:
    """Return the seconds that the disk takes to keep 4 KiB."""
    found = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(times):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - began)
    return median(found)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has now."""
    return _status(pid, "VmRSS") * 1024


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)
