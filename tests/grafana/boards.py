"""The committed dashboards as JSON: their panels, variables and queries, as Prometheus receives them."""

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
    """One query of one panel."""

    board: str
    panel: str
    name: str
    expr: str
    instant: bool

    @property
    def id(self) -> str:
        """Dashboard, panel and query."""
        return f"{self.board} / {self.panel} / {self.name}"

    @property
    def filled(self) -> str:
        """The query with every variable set to all."""
        return filled(self.expr)


def filled(text: str) -> str:
    """Replace the variables: the built-in ones with a short time, the others with the value of "All"."""
    return VARIABLE.sub(lambda found: BUILT_IN.get(found[1], ".+"), text)


def every(subjects: Iterable[tuple[str, Any]]) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Return a decorator that makes one test of a rule for all `subjects`; it reports each failure with its place."""
    places = list(subjects)

    def of(rule: Callable[[Any], None]) -> Callable[[], None]:
        def test() -> None:
            failures = []
            for place, subject in places:
                try:
                    rule(subject)
                except Exception as error:  # noqa: BLE001  a query that cannot be parsed is reported with its place
                    failures.append(f"{place}: {error!r}" if type(error) is not AssertionError else f"{place}: {error}")
            assert places
            assert not failures, "\n".join(failures)

        # No functools.wraps: pytest would treat the rule's parameter as a fixture.
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
