"""Bridges with a small disk of their own: a tmpfs that only the process sees, and that ends with it."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.system.running import Program, python

_ALONE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
_PIECE = b"\0" * 4096


def alone(prepare: str, folder: Path, *command: str) -> list[str]:
    """Return a command that runs with mounts of its own; `prepare` is shell, the folder its `$0`."""
    return [*_ALONE, "sh", "-c", f'{prepare} && exec "$@"', str(folder), *command]


def needs_mounts(folder: Path, prepare: str) -> None:
    """Skip where a process may not have mounts of its own."""
    try:
        done = subprocess.run(alone(prepare, folder, "true"), capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode:
        pytest.skip("private mounts are not permitted here")


def small_disk(folder: Path, megabytes: int = 2) -> list[str]:
    """Return a command that runs the bridge with a tmpfs of its own at `folder`."""
    prepare = f'mount -t tmpfs -o size={megabytes}m tmpfs "$0"'
    needs_mounts(folder, prepare)
    return alone(prepare, folder, *python("bridge"))


def inside(program: Program, path: Path) -> Path:
    """Return where a path of the process is for us."""
    return Path(f"/proc/{program.pid}/root{path}")


def filler(disk: Path) -> Path:
    """Return the file that fills a disk."""
    return disk / "filler"


def fill(disk: Path, leaving: int = 0) -> None:
    """Write until the disk is full, or has only so many bytes left."""
    with filler(disk).open("wb", buffering=0) as file:
        try:
            while _left(disk) > leaving:
                file.write(_PIECE)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _left(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize if found.f_bavail else 1
