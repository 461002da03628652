"""A whole dashboard: its identity, its links to the others and to the runbook, its variables and panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, QueryVariable, Row
from grafana_foundation_sdk.models import dashboard

from grafana import variables
from grafana.panels import Panel

TAG: Final = "vendorwatch"
RUNBOOKS: Final = "https://runbooks.example.com/vendorwatch"
"""The URL where deploy/runbooks is published; the rules link to the same one."""


@dataclass(frozen=True, slots=True)
class Section:
    """Panels below one heading; the first section of a dashboard has none."""

    heading: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `metrics`: each of its programs serves one of them; variables list their jobs and instances."""

    name: str
    title: str
    description: str
    metrics: Sequence[str]
    runbook: str
    sections: Sequence[Section]
    chained: Sequence[QueryVariable] = ()

    def build(self) -> dashboard.Dashboard:
        """Return the dashboard as Grafana's model."""
        board = (
            Dashboard(f"vendorwatch / {self.title}")
            .uid(f"vendorwatch-{self.name}")
            .description(self.description)
            .tags([TAG])
            .readonly()
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .time("now-6h", "now")
            .refresh("1m")
            .timezone("browser")
            .links([_others(), self._runbook()])
        )
        board.with_variable(variables.datasource())
        for variable in (variables.job(self.metrics), variables.instance(self.metrics), *self.chained):
            board.with_variable(variable)
        for section in self.sections:
            if section.heading:
                board.with_row(Row(section.heading))
            for panel in section.panels:
                board.with_panel(panel)
        return _numbered(board.build())

    def _runbook(self) -> DashboardLink:
        return (
            DashboardLink("What to do")
            .type(dashboard.DashboardLinkType.LINK)
            .url(f"{RUNBOOKS}/{self.runbook}")
            .icon("doc")
            .tooltip("The runbook for this dashboard")
            .target_blank(target_blank=True)
        )


def _others() -> DashboardLink:
    return (
        DashboardLink("vendorwatch")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
        .tooltip("The other dashboards")
    )


def _numbered(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Return the dashboard with its panels numbered in their order: links to a panel use these numbers."""
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number
    return board
