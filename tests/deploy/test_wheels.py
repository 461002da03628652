"""deploy/wheels.md matches the lock file, and wheel names are read as pip reads them."""

import re

import pytest
from packaging.utils import parse_wheel_filename

from tests.deploy.wheels import PAGE, Package, locked, page, pythons


def test_page_lists_every_locked_version():
    """`python -m tests.deploy.wheels` was run after the last change of requirements.lock."""
    listed = dict(re.findall(r"([a-z][\w.-]+) (\d[\w.]*)(?= \||,|\.$)", PAGE.read_text(), re.MULTILINE))
    assert {name: listed.get(name) for name in locked()} == locked(), "run python -m tests.deploy.wheels"


def package(*files):
    wheels = tuple(parse_wheel_filename(f"some-1.0-{file}.whl")[3] for file in files)
    return Package("some", "1.0", wheels, source=False)


@pytest.mark.parametrize(
    ("file", "machine", "libc", "expected"),
    [
        ("cp312-cp312-manylinux_2_28_x86_64", "x86_64", "glibc", [12]),
        ("cp312-cp312-manylinux_2_28_x86_64", "aarch64", "glibc", []),
        ("cp312-cp312-manylinux_2_28_x86_64", "x86_64", "musl", []),
        ("cp312-cp312-manylinux_2_39_x86_64", "x86_64", "glibc", []),  # newer than Debian 12
        ("cp39-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64", "aarch64", "glibc", [11, 12, 13, 14, 15]),
        ("cp313-abi3-musllinux_1_2_aarch64", "aarch64", "musl", [13, 14, 15]),
        ("cp313-cp313t-musllinux_1_2_x86_64", "x86_64", "musl", []),  # free-threaded
        ("py3-none-any", "aarch64", "musl", [11, 12, 13, 14, 15]),
        ("cp312-cp312-macosx_11_0_arm64", "aarch64", "glibc", []),
    ],
)
def test_wheel_name_determines_where_it_installs(file, machine, libc, expected):
    """Python, machine and C library are read from the name."""
    assert pythons(package(file), machine, libc) == expected


def test_page_shows_missing_wheels():
    """A package with machine-specific wheels has a row; pure packages share a sentence."""
    text = page([package("cp312-cp312-manylinux_2_28_x86_64"), package("py3-none-any")])
    assert "| some 1.0 | 3.12 | none | none | none | no |" in text
    assert "One wheel for every machine: some 1.0." in text
