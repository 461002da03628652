"""BigPanda's own incidents: their number, severity, age and handling."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of
from grafana.queries import ACCOUNT, EXPORTER, age, zero_while_polled
from grafana.variables import chained

COUNT: Final = Look("short", decimals=0)
NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
OLD: Final = ((3600, palette.WARN), (86400, palette.BAD))
FOLDERS: Final = ("active", "unhandled", "shared", "snoozed", "maintenance")


def dashboard() -> Dashboard:
    """Return the dashboard of BigPanda's incidents."""
    return Board(
        name="bigpanda",
        title="BigPanda incidents",
        description="Incidents in BigPanda's environments. One may be in several environments: do not add the counts.",
        metrics=[EXPORTER],
        runbook="bigpanda.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector="bigpanda"')],
        sections=[
            Section("", _now()),
            Section("Environments", [_environments()]),
            Section("Over time", [_severities(), _unhandled(), _oldest()]),
        ],
    ).build()


def _folder(name: str, by: str = "account, bigpanda_environment") -> str:
    incidents = ACCOUNT("bigpanda_incidents", f'folder="{name}"')
    return f"max by ({by}) ({incidents})"


def _now() -> list[Panel]:
    oldest = f"time() - min({ACCOUNT('bigpanda_oldest_active_incident_timestamp_seconds')})"
    size = Size(3, 4)
    running, planned = (
        ACCOUNT("bigpanda_maintenance_plans", f'status="{status}"') for status in ("running", "planned")
    )
    stats = [
        stat_of(
            Text(title, description),
            f"sum({_folder(folder, 'account')})",
            Look(above=above, lowest=lowest, words=NONE),
            size,
        )
        for title, folder, description, above, lowest in (
            (
                "Active",
                "active",
                "Incidents in BigPanda's active folder, of each account's largest environment.",
                palette.HIGH_IS_ODD,
                palette.GOOD,
            ),
            ("Unhandled", "unhandled", "Not assigned, shared or snoozed.", palette.HIGH_IS_BAD, palette.GOOD),
            ("Snoozed", "snoozed", "Incidents that are snoozed.", (), palette.QUIET),
            ("In maintenance", "maintenance", "Incidents in BigPanda's maintenance folder.", (), palette.QUIET),
        )
    ]
    return [
        *stats,
        stat_of(
            Text(
                "Running plans",
                "Maintenance plans that run now: they mute the incidents that they cover.",
            ),
            f"sum(max by (account) ({running}))",
            Look(above=palette.HIGH_IS_ODD, words=NONE),
            size,
        ),
        stat_of(
            Text("Planned plans", "Maintenance plans that have not started yet."),
            f"sum(max by (account) ({planned}))",
            Look(lowest=palette.QUIET),
            size,
        ),
        stat_of(
            Text("Oldest active", "Age of the oldest active incident."),
            zero_while_polled(oldest, "bigpanda"),
            Look("s", OLD, words=NONE, decimals=0),
            size,
        ),
        stat_of(
            Text("Age", "Time since the last successful poll of BigPanda, for the account with the oldest data."),
            age("bigpanda"),
            Look("s", palette.AGE, decimals=0, link="exporter"),
            size,
        ),
    ]


def _environments() -> Panel:
    began = f"min by (account, bigpanda_environment) ({ACCOUNT('bigpanda_oldest_active_incident_timestamp_seconds')})"
    queries = {folder: _folder(folder) for folder in FOLDERS} | {"oldest": f"time() - {began}"}
    columns = [
        Column("bigpanda_environment", "Environment"),
        Column("Value #active", "Active", Look("none", palette.HIGH_IS_ODD), 110),
        Column("Value #unhandled", "Unhandled", Look("none", palette.HIGH_IS_BAD), 110),
        Column("Value #oldest", "Oldest active", Look("s", OLD, decimals=0), 140),
        Column("Value #shared", "Shared", Look("none"), 110),
        Column("Value #snoozed", "Snoozed", Look("none"), 110),
        Column("Value #maintenance", "Maintenance", Look("none"), 110),
        Column("account", "Account"),
    ]
    text = Text("Environments", "Incidents in each folder of each environment; the same incident may be in several.")
    return table_of(text, queries, columns, Size(24, 9), "-Unhandled")


def _severities() -> Panel:
    each = "max by (account, bigpanda_environment, status, severity)"
    every = f"sum by (bigpanda_environment, severity) ({each} ({ACCOUNT('bigpanda_active_incidents')}))"
    expr = f"max by (severity) ({every})"
    return lines(
        Text(
            "Active, by severity",
            "Active incidents of each severity, in the environment with the most of them, stacked.",
            "✓ No active incidents.",
        ),
        [query(expr, "{{severity}}")],
        Look("short", decimals=0, named=("critical", "major", "warning", "minor", "unknown")),
        Size(12, 9),
        stacked=True,
    )


def _unhandled() -> Panel:
    return lines(
        Text("Unhandled", "Incidents that nobody has assigned, shared or snoozed, by environment."),
        [query(_folder("unhandled"), "{{bigpanda_environment}}")],
        COUNT,
        Size(12, 9),
    )


def _oldest() -> Panel:
    began = f"min by (account, bigpanda_environment) ({ACCOUNT('bigpanda_oldest_active_incident_timestamp_seconds')})"
    return lines(
        Text(
            "Age of the oldest active incident",
            "By environment. For more than a day, see the runbook.",
            "✓ No active incidents.",
        ),
        [query(f"time() - {began}", "{{bigpanda_environment}}")],
        Look("s", ((86400, palette.BAD),)),
        Size(24, 8),
    )
