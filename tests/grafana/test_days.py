"""A real Prometheus is asked every query of every dashboard, on a day when all is well and on one when nothing is."""

import re
import time

import pytest

from tests.grafana.boards import LABEL_VALUES, PATHS, filled, load, panels, queries, variables
from tests.grafana.days import Day, OldPage, healthy, outage
from tests.system.running import ROOT, missing, until

pytestmark = [pytest.mark.system, pytest.mark.slow]
DOWN = "vendorwatch-overview / Wrong now / programs"
"""The query that the page in place of a program fills by going away."""
STAYS = {("vendorwatch-exporter", "Requests that fail"), ("vendorwatch-bigpanda", "Active, by severity")}
"""What failed, or was an incident, while all started: a series that has begun stays, at nought."""
LOOK_BACK, STEP = 60, 5
TITLES = {load(path)["title"].removeprefix("vendorwatch / "): path.stem for path in PATHS}


@pytest.fixture
def folder(tmp_path):
    """Return a folder for a day, where its programs are installed."""
    absent = missing("prometheus", "prometheus-alertmanager")
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (tests/system/programs installs them)")
    return tmp_path


def answered(day: Day, query) -> bool:
    """Return whether the query finds something; AssertionError with Prometheus' words when it fails."""
    now = time.time()
    told = {"query": query.filled}
    path = "query"
    if not query.instant:
        path, told = "query_range", told | {"start": now - LOOK_BACK, "end": now, "step": STEP}
    reply = day.prometheus.get(f"/api/v1/{path}", **told).json()
    assert reply["status"] == "success", (query.id, reply["error"], query.filled)
    return bool(reply["data"]["result"])


def unanswered(day: Day, wanted) -> list:
    return [query for query in wanted if not answered(day, query)]


def empty(day: Day) -> set[tuple[str, str]]:
    """Return the panels of which a query finds nothing now."""
    return {(query.board, query.panel) for query in unanswered(day, queries())}


def all_answered(day: Day, wanted) -> None:
    """See that each of the queries finds something, each at some time."""
    pending = list(wanted)

    def none_left():
        pending[:] = unanswered(day, pending)
        return not pending

    try:
        until("every query finds something", none_left, patience=4 * LOOK_BACK, pause=1)
    except AssertionError as late:
        raise AssertionError([query.id for query in pending]) from late


def quiet() -> set[tuple[str, str]]:
    """Return the panels that the README says are empty when all is well, as dashboard and title."""
    section = (ROOT / "grafana/README.md").read_text(encoding="utf-8").split("## Panels that are empty")[1]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)[1:]
    return {(TITLES[board], panel) for board, panel in rows}


def test_the_list_of_quiet_panels_names_panels_that_exist():
    """A panel that was renamed is renamed there as well."""
    assert quiet() <= {(path.stem, panel["title"]) for path in PATHS for panel in panels(load(path))}


def test_on_a_quiet_day_only_the_listed_panels_are_empty(folder):
    """Every other panel shows something, and every variable has a choice."""
    day = healthy(folder)
    try:
        all_answered(day, [query for query in queries() if (query.board, query.panel) not in quiet()])
        until("what was wrong while all started is over", lambda: empty(day) | STAYS == quiet(), patience=4 * LOOK_BACK)
        choices(day)
    finally:
        day.stop()


def test_on_a_bad_day_every_query_finds_something(folder):
    """Each fault that the list names is brought about, and fills its panel; at the end a program goes away."""
    old = OldPage()
    try:
        day = outage(folder, old)
    except BaseException:
        old.close()
        raise
    try:
        every = list(queries())
        all_answered(day, [query for query in every if query.id != DOWN])
        choices(day)
        old.close()
        all_answered(day, [query for query in every if query.id == DOWN])
    finally:
        old.close()
        day.stop()


def choices(day: Day) -> None:
    """See that every variable of every dashboard has something to choose."""
    for path in PATHS:
        for name, variable in variables(load(path)).items():
            asked = LABEL_VALUES.fullmatch(filled(variable["query"]))
            reply = day.prometheus.get(
                f"/api/v1/label/{asked['label']}/values", **{"match[]": asked["selector"]}
            ).json()
            assert reply["data"], (path.stem, name)
