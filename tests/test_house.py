"""The house holds: what lies where, what it may be called, who may know whom."""

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.house import PROGRAMS, ROOT, copies, figures, sources

MODULES = {"exporter": 8, "bridge": 12}
SIDE_BY_SIDE = {"exporter": 10, "bridge": 16}
"""The most modules, and the most modules and packages, that lie directly in a program's folder."""
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "bridge",
    "deploy",
    "exporter",
    "grafana",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "tests",
}
NO_NAMES = re.compile(r"manager|helpers?|utils?|common|base|misc|services?|processors?|data|info")
OPENS_SOCKETS = {"socket", "ssl", "requests", "urllib3", "http", "asyncio", "subprocess", "threading"}
LONGEST = 300
MEDIAN, P90, SINGLE_USE = (7, 9), 30, 0.12
"""Of a function's lines, and of private functions that are named once: see tests/house.py."""
SOURCES = [path for program in PROGRAMS for path in sources(ROOT / program)]
COLLECTORS = [path for path in SOURCES if path.parts[-3:-2] == ("collectors",) or path.name == "contract.py"]


def named(path):
    return str(path.relative_to(ROOT))


@cache
def imported(path):
    """Return the modules that a file imports, by their whole names."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]


def test_the_top_level_is_what_the_design_says():
    """A new entry is a decision, not an accident. What .gitignore names does not count."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
    there = {path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in ignored)}
    assert there == TOP_LEVEL


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=named)
def test_a_package_holds_only_a_docstring(path):
    """Imports there are where import rings come from."""
    (docstring,) = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)


def test_nothing_has_a_name_that_says_nothing():
    """A module is named for its job."""
    modules = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert [named(path) for path in modules if any(NO_NAMES.fullmatch(word) for word in path.stem.split("_"))] == []


def test_no_file_is_longer_than_one_job():
    """A module of more than 300 lines does two things."""
    assert [named(path) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_programs_folder_is_read_at_a_glance(program):
    """Any other module belongs in a package."""
    there = set((ROOT / program).iterdir())
    modules = {path for path in there if path.suffix == ".py"}
    packages = {path for path in there if (path / "__init__.py").exists()}
    assert len(modules) <= MODULES[program]
    assert len({path for path in modules if path.name != "__init__.py"} | packages) <= SIDE_BY_SIDE[program]


def test_what_contributing_names_is_there():
    """A file that moved is found by the page that leads to it; `<name>` stands for any."""
    named = re.findall(r"`((?:exporter|bridge|tests|deploy|grafana)/[^`]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 20
    assert [path for path in named if not any(ROOT.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))] == []


def test_nothing_stands_in_both_programs():
    """Code for both programs is in exporter/toolkit, once."""
    assert list(copies()) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_functions_read_from_top_to_bottom(program):
    """Neither so short that a reader hops, nor so long that it is lost; `python -m tests.house` says where."""
    found = figures(sources(ROOT / program))
    assert MEDIAN[0] <= found.median <= MEDIAN[1]
    assert found.p90 < P90
    assert found.single_use <= SINGLE_USE


@pytest.mark.parametrize("path", COLLECTORS, ids=named)
def test_a_collector_opens_no_socket(path):
    """Requests are sent in one place; a vendor's folder only builds them and reads the responses."""
    assert OPENS_SOCKETS.isdisjoint(module.split(".")[0] for module in imported(path))


def test_flask_stays_at_the_bridges_edge():
    """Only the views know how a request looks."""
    users = {named(path) for path in SOURCES if any(module.split(".")[0] == "flask" for module in imported(path))}
    names = ("actions", "application", "forms", "operator_page", "webhooks")
    assert users <= {f"bridge/web/{name}.py" for name in names}


def test_sql_stays_in_the_store():
    """Everyone else speaks to the outbox."""
    users = [path for path in SOURCES if any(module.split(".")[0] == "sqlalchemy" for module in imported(path))]
    assert {path.parent.name for path in users} == {"outbox"}


def test_postgresql_is_spoken_to_by_who_shares_it():
    """The exporter needs no driver before it is asked for a database."""
    users = {named(path) for path in SOURCES if any(module.split(".")[0] == "psycopg" for module in imported(path))}
    assert users == {"exporter/polling/postgresql.py", "exporter/polling/leadership.py"}


def test_the_server_stays_in_the_toolkit():
    """Everyone else takes a WSGI environ and returns an answer."""
    users = {named(path) for path in SOURCES if any(module.split(".")[0] == "uvicorn" for module in imported(path))}
    assert users == {"exporter/toolkit/connection.py", "exporter/toolkit/server.py"}


def test_yaml_is_read_in_one_place():
    """There a key that stands twice is a problem, and `${NAME}` a variable."""
    assert [named(path) for path in SOURCES if "yaml" in imported(path)] == ["exporter/toolkit/yaml_file.py"]


def test_the_arrows_point_down():
    """import-linter finds every module in its layer, and nobody who knows one above."""
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
