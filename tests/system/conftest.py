"""Fixtures that start real programs. Their logs are shown when a test fails."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.bigpanda import alerts_api
from tests.system.bridging import Station
from tests.system.running import Program, missing
from tests.system.way import Way

NEEDED = ("prometheus", "prometheus-alertmanager")
_started = pytest.StashKey[list[Program]]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Put the end of every program's log beside the failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += [(f"log of {program.name}", program.tail()) for program in item.stash.get(_started, [])]


@pytest.fixture
def started(request) -> Iterator[Callable[[Program], Program]]:
    """Start a program that is ended with the test: `started(program)`."""
    programs: list[Program] = request.node.stash.setdefault(_started, [])

    def start(program: Program) -> Program:
        programs.append(program)
        return program.start()

    yield start
    for program in reversed(programs):
        program.stop()


@pytest.fixture
def logged(request) -> Callable[..., None]:
    """Show the logs of programs that run for longer than the test when it fails: `logged(*programs)`."""
    return request.node.stash.setdefault(_started, []).extend


@pytest.fixture
def make_way(request, tmp_path: Path) -> Iterator[Callable[..., Way]]:
    """Make a way with settings of the test's own: `make_way(group_interval="5s").start()`; ended with the test."""
    absent = missing(*NEEDED)
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (tests/system/programs installs them)")
    ways: list[Way] = []

    def make(**settings) -> Way:
        folder = tmp_path / f"way{len(ways)}"
        folder.mkdir()
        ways.append(Way(folder, **settings))
        request.node.stash.setdefault(_started, []).extend(ways[-1].programs)
        return ways[-1]

    yield make
    for way in ways:
        way.stop()


@pytest.fixture
def way(make_way) -> Way:
    """Start the whole way, with an empty world."""
    return make_way().start()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Give a BigPanda that runs; its bridges are configured and started by the test."""
    made = Station(tmp_path)
    with made.sandbox:
        yield made


@pytest.fixture
def picky(monkeypatch) -> None:
    """Let BigPanda refuse the status `unknown`, with its own words."""
    usual = alerts_api.errors_of

    def errors_of(found: Any, place: int) -> list[str]:
        odd = [f"alert {place}: 'status' unknown is not for us"] if found.get("status") == "unknown" else []
        return [*usual(found, place), *odd]

    monkeypatch.setattr(alerts_api, "errors_of", errors_of)
