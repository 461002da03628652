"""The page about wheels is about what is locked, and reads a wheel's name as pip does."""

import re

import pytest
from packaging.utils import parse_wheel_filename

from tests.deploy.wheels import PAGE, Package, locked, page, pythons


def test_the_page_names_every_locked_version():
    """`python -m tests.deploy.wheels` was run after the last change of requirements.lock."""
    told = dict(re.findall(r"([a-z][\w.-]+) (\d[\w.]*)(?= \||,|\.$)", PAGE.read_text(), re.MULTILINE))
    assert {name: told.get(name) for name in locked()} == locked(), "run python -m tests.deploy.wheels"


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
        ("cp39-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64", "aarch64", "glibc", [11, 12, 13, 14]),
        ("cp313-abi3-musllinux_1_2_aarch64", "aarch64", "musl", [13, 14]),
        ("cp313-cp313t-musllinux_1_2_x86_64", "x86_64", "musl", []),  # free-threaded
        ("py3-none-any", "aarch64", "musl", [11, 12, 13, 14]),
        ("cp312-cp312-macosx_11_0_arm64", "aarch64", "glibc", []),
    ],
)
def test_a_wheels_name_says_where_it_can_be_installed(file, machine, libc, expected):
    """By Python, machine and C library."""
    assert pythons(package(file), machine, libc) == expected


def test_what_has_no_wheel_is_told():
    """A row of its own for what needs the right machine; the rest in one sentence."""
    text = page([package("cp312-cp312-manylinux_2_28_x86_64"), package("py3-none-any")])
    assert "| some 1.0 | 3.12 | none | none | none | no |" in text
    assert "One wheel for every machine: some 1.0." in text
