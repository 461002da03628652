"""Run every query of every dashboard on a real Prometheus, without problems and during an outage."""

import re
import time

import pytest

from tests.grafana.boards import LABEL_VALUES, PATHS, filled, load, panels, queries, variables
from tests.grafana.days import Day, OldPage, healthy, outage
from tests.system.running import ROOT, missing, until

pytestmark = [pytest.mark.system, pytest.mark.slow]
DOWN = {f"vendorwatch-overview / Current problems / {name}" for name in ("exporter", "bridge")}
"""The queries that have a result once the fake program is down."""
STAYS = {("vendorwatch-exporter", "Failed requests"), ("vendorwatch-bigpanda", "Active, by severity")}
"""Panels that may have had data during the start: their series continue, at 0."""
LOOK_BACK, STEP = 60, 5
TITLES = {load(path)["title"].removeprefix("vendorwatch / "): path.stem for path in PATHS}


@pytest.fixture
def folder(tmp_path):
    """Return a folder for the programs; skip the test if one is not installed."""
    absent = missing("prometheus", "prometheus-alertmanager")
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (tests/system/programs installs them)")
    return tmp_path


def has_data(day: Day, query) -> bool:
    """Return whether the query has a result; raise AssertionError with Prometheus' message if it fails."""
    now = time.time()
    parameters = {"query": query.filled}
    path = "query"
    if not query.instant:
        path, parameters = "query_range", parameters | {"start": now - LOOK_BACK, "end": now, "step": STEP}
    reply = day.prometheus.get(f"/api/v1/{path}", **parameters).json()
    assert reply["status"] == "success", (query.id, reply["error"], query.filled)
    return bool(reply["data"]["result"])


def without_data(day: Day, wanted) -> list:
    return [query for query in wanted if not has_data(day, query)]


def empty_panels(day: Day) -> set[tuple[str, str]]:
    """Return the panels with a query that has no result now."""
    return {(query.board, query.panel) for query in without_data(day, queries())}


def assert_all_have_data(day: Day, wanted) -> None:
    """Wait until each of the queries has had a result once."""
    pending = list(wanted)

    def none_left():
        pending[:] = without_data(day, pending)
        return not pending

    try:
        until("every query has a result", none_left, patience=4 * LOOK_BACK, pause=1)
    except AssertionError as late:
        raise AssertionError([query.id for query in pending]) from late


def quiet() -> set[tuple[str, str]]:
    """Return the panels that the README lists as empty without problems, as (dashboard, title)."""
    section = (ROOT / "grafana/README.md").read_text(encoding="utf-8").split("## Panels that are empty")[1]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)[1:]
    return {(TITLES[board], panel) for board, panel in rows}


def test_listed_quiet_panels_exist():
    """Each panel in the README's list is a panel of that dashboard."""
    assert quiet() <= {(path.stem, panel["title"]) for path in PATHS for panel in panels(load(path))}


def test_without_problems_only_the_listed_panels_are_empty(folder):
    """Every other panel has data, and every variable has values."""
    day = healthy(folder)
    try:
        assert_all_have_data(day, [query for query in queries() if (query.board, query.panel) not in quiet()])
        over = "problems of the start are over"
        until(over, lambda: empty_panels(day) | STAYS == quiet(), patience=4 * LOOK_BACK, pause=STEP)
        assert_variables_have_values(day)
    finally:
        day.stop()


def test_during_an_outage_every_query_has_data(folder):
    """Each fault in the README's list fills its panel; at the end a program goes down."""
    old = OldPage()
    try:
        day = outage(folder, old)
    except BaseException:
        old.close()
        raise
    try:
        every = list(queries())
        assert_all_have_data(day, [query for query in every if query.id not in DOWN])
        assert_variables_have_values(day)
        old.close()
        assert_all_have_data(day, [query for query in every if query.id in DOWN])
    finally:
        old.close()
        day.stop()


def assert_variables_have_values(day: Day) -> None:
    """Assert that every variable of every dashboard has values."""
    for path in PATHS:
        for name, variable in variables(load(path)).items():
            query = LABEL_VALUES.fullmatch(filled(variable["query"]))
            reply = day.prometheus.get(
                f"/api/v1/label/{query['label']}/values", **{"match[]": query["selector"]}
            ).json()
            assert reply["data"], (path.stem, name)
