"""Wheels of the locked dependencies by platform: `python -m tests.deploy.wheels` writes deploy/wheels.md (needs uv)."""

import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[2]
LOCK, PAGE = ROOT / "requirements.lock", ROOT / "deploy/wheels.md"
PYTHONS = (11, 12, 13, 14, 15)
"""Minor versions of Python 3."""
GLIBC, MUSL = 36, 2
"""Debian 12 has glibc 2.36; Alpine 3.18 and newer accept wheels for musl 1.2."""
MACHINES = {"x86-64": "x86_64", "arm64": "aarch64"}
HEAD = """# Wheels

Which dependency of `requirements.lock` can be installed without a compiler: Python 3.11 to 3.15, x86-64 and arm64,
glibc (Debian, Ubuntu, Red Hat) and musl (Alpine). This page is written by `python -m tests.deploy.wheels`.
[README](../README.md#tested-with) says which tests ran on which Python.

"""


@dataclass(frozen=True, slots=True)
class Package:
    """A locked dependency and its wheels in the registry."""

    name: str
    version: str
    wheels: tuple[frozenset[Tag], ...]
    source: bool
    """Whether there is a source distribution, which pip can build with a compiler."""

    @property
    def pure(self) -> bool:
        """Whether one wheel serves every machine."""
        return any(tag.platform == "any" for wheel in self.wheels for tag in wheel)


def locked() -> dict[str, str]:
    """Return the versions in requirements.lock by name."""
    return dict(re.findall(r"^([\w.-]+)==([\w.!+-]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def packages() -> Iterator[Package]:
    """Return the files of every locked version, which uv reads from the registry."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        command = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--format=pylock.toml",
            LOCK,
            "--output-file",
            lock,
        ]
        subprocess.run(command, check=True, cwd=ROOT)
        found = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return (_package(one) for one in found)


def _package(entry: Mapping[str, Any]) -> Package:
    files = [wheel.get("name") or wheel["url"].rpartition("/")[2] for wheel in entry.get("wheels", [])]
    wheels = tuple(parse_wheel_filename(file)[3] for file in files)
    return Package(entry["name"], entry["version"], wheels, "sdist" in entry)


@cache
def tags(python: int, machine: str, libc: str) -> frozenset[Tag]:
    """Return the tags of wheels that Python 3.`python` accepts there."""
    if libc == "musl":
        platforms = [f"musllinux_1_{minor}_{machine}" for minor in range(MUSL + 1)]
    else:
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC + 1)]
        platforms += [f"manylinux{old}_{machine}" for old in ("1", "2010", "2014")]
    interpreter = f"cp3{python}"
    return frozenset(
        [
            *cpython_tags((3, python), abis=[interpreter], platforms=platforms),
            *compatible_tags((3, python), interpreter=interpreter, platforms=platforms),
        ]
    )


def pythons(package: Package, machine: str, libc: str) -> list[int]:
    """Return the Pythons for which a package has a wheel there."""
    return [python for python in PYTHONS if any(wheel & tags(python, machine, libc) for wheel in package.wheels)]


def page(found: Iterable[Package]) -> str:
    """Return deploy/wheels.md."""
    every = sorted(found, key=lambda package: package.name)
    places = [(name, libc) for libc in ("glibc", "musl") for name in MACHINES]
    rows = [f"| package | {' | '.join(f'{name}, {libc}' for name, libc in places)} | source |", "|---" * 6 + "|"]
    for package in every:
        if not package.pure:
            cells = [_spelled(pythons(package, MACHINES[name], libc)) for name, libc in places]
            source = "yes" if package.source else "no"
            rows.append(f"| {package.name} {package.version} | {' | '.join(cells)} | {source} |")
    pure = ", ".join(f"{package.name} {package.version}" for package in every if package.pure)
    return HEAD + "\n".join(rows) + f"\n\nOne wheel for every machine: {pure}.\n"


def _spelled(found: Sequence[int]) -> str:
    if tuple(found) == PYTHONS:
        return "all"
    return ", ".join(f"3.{python}" for python in found) or "none"


if __name__ == "__main__":
    PAGE.write_text(page(packages()), encoding="utf-8")
