"""The committed dashboards as JSON: their panels, queries and variables, and what Prometheus would be asked."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.running import ROOT

FOLDER = ROOT / "grafana/dashboards"
PATHS = sorted(FOLDER.glob("*.json"))
BUILT_IN = {"__rate_interval": "15s", "__range": "10m", "__interval": "5s", "__range_s": "600"}
VARIABLE = re.compile(r"\$\{?([a-z_]\w*)\}?")
LABEL_VALUES = re.compile(r"label_values\((?P<selector>.*), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of one panel. `id`: dashboard, panel and query, as the list of quiet ones names them."""

    board: str
    panel: str
    name: str
    expr: str
    instant: bool

    @property
    def id(self) -> str:
        """Where it is asked."""
        return f"{self.board} / {self.panel} / {self.name}"

    @property
    def filled(self) -> str:
        """The query with every variable set to all."""
        return filled(self.expr)


def filled(text: str) -> str:
    """Replace variables: the built-in ones by a short time, the others by what "All" stands for."""
    return VARIABLE.sub(lambda found: BUILT_IN.get(found[1], ".+"), text)


def every(subjects: Iterable[tuple[str, Any]]) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make one test of a rule that holds for all `subjects`: it names each place where the rule fails, and why."""
    places = list(subjects)

    def of(rule: Callable[[Any], None]) -> Callable[[], None]:
        def test() -> None:
            failures = []
            for place, subject in places:
                try:
                    rule(subject)
                except Exception as error:  # noqa: BLE001  a query that cannot be parsed is told with its place, too
                    failures.append(f"{place}: {error!r}" if type(error) is not AssertionError else f"{place}: {error}")
            assert places
            assert not failures, "\n".join(failures)

        # Not functools.wraps: pytest would take the rule's parameter for a fixture.
        test.__name__, test.__doc__, test.__module__ = rule.__name__, rule.__doc__, rule.__module__
        return test

    return of


def load(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    return json.loads(path.read_text(encoding="utf-8"))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a dashboard's panels, without the headings of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: dict[str, Any], kind: str = "query") -> dict[str, dict[str, Any]]:
    """Return a dashboard's variables of this kind by name."""
    return {each["name"]: each for each in board["templating"]["list"] if each["type"] == kind}


def queries() -> Iterator[Query]:
    """Yield every query of every panel of every dashboard."""
    for path in PATHS:
        board = load(path)
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(board["uid"], panel["title"], target["refId"], target["expr"], bool(target.get("instant")))


BOARDS = {path.stem: load(path) for path in PATHS}
PANELS = [(f"{name} / {panel['title']}", panel) for name, board in BOARDS.items() for panel in panels(board)]
QUERIES = [(query.id, query) for query in queries()]
every_board = every(BOARDS.items())
every_panel = every(PANELS)
every_query = every(QUERIES)
