"""PacketVis: new notifications about our routes, the current list, and the history."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of, timeline
from grafana.queries import ACCOUNT, EXPORTER, age, zero_while_polled
from grafana.variables import chained

COUNT: Final = Look("short", decimals=0)


def dashboard() -> Dashboard:
    """Return the dashboard of PacketVis' notifications."""
    return Board(
        name="packetvis",
        title="PacketVis",
        description="BGP and RPKI notifications of PacketVis. Its list keeps old ones, so its length is not health.",
        metrics=[EXPORTER],
        runbook="packetvis.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector="packetvis"')],
        sections=[
            Section("", _now()),
            Section("New now", [_recent()]),
            Section("Over time", [_warning(), _new(), _by_type()]),
            Section("Listed now", [_listed()]),
        ],
    ).build()


def _now() -> list[Panel]:
    listed = "max by (account, category, notification_type, severity)"
    every = f"sum({listed} ({ACCOUNT('packetvis_notifications')}))"
    severe = ACCOUNT("packetvis_notifications", 'severity="critical"')
    critical = f"sum({listed} ({severe}))"
    latest = ACCOUNT("packetvis_latest_notification_timestamp_seconds")
    size = Size(5, 4)
    return [
        stat_of(
            Text("Warning", "Whether a notification was created within the configured window."),
            f"max({ACCOUNT('packetvis_warning')})",
            Look(words=palette.QUIET_OR_NOT),
            size,
        ),
        stat_of(
            Text(
                "Latest notification",
                "Age of the newest listed notification.",
                "none listed, or unknown",
            ),
            f"time() - max({latest})",
            Look("s", lowest=palette.CALM, decimals=0),
            size,
        ),
        stat_of(
            Text("Listed, critical", "Critical notifications on PacketVis' list, old ones included."),
            zero_while_polled(critical, "packetvis"),
            Look(above=palette.HIGH_IS_ODD, words=palette.words({"0": ("✓ none", palette.GOOD)})),
            size,
        ),
        stat_of(
            Text("Listed", "All notifications on PacketVis' list, old ones included."),
            zero_while_polled(every, "packetvis"),
            Look(lowest=palette.CALM),
            size,
        ),
        stat_of(
            Text("Age", "Time since the last successful poll of PacketVis, for the account with the oldest data."),
            age("packetvis"),
            Look("s", palette.AGE, decimals=0, link="exporter"),
            Size(4, 4),
        ),
    ]


def _warning() -> Panel:
    description = "Times with a new notification, by account. In a gap PacketVis could not be polled."
    warned = f"max by (account) ({ACCOUNT('packetvis_warning')})"
    return timeline(Text("Warning", description), warned, "{{account}}", palette.QUIET_OR_NOT, Size(24, 5))


def _new() -> Panel:
    return lines(
        Text(
            "New notifications",
            "Notifications first seen within a minute, or a step of the graph if that is longer: neighbouring bars may "
            "show the same one. If the exporter starts without stored data during a warning, all listed ones count.",
            "No notifications since the exporter started to count.",
        ),
        [query(f"sum by (notification_type) ({_arrived()})", "{{notification_type}}")],
        COUNT,
        Size(12, 9),
        stacked=True,
    )


def _arrived() -> str:
    """Return new notifications by type and severity; `increase` alone misses the first one of a new series."""
    by = "account, notification_type, severity"
    counted = f"max by ({by}) (increase({ACCOUNT('packetvis_notifications_seen_total')}[$__rate_interval]))"
    listed = ACCOUNT("packetvis_notifications")
    latest = f"max by (account) ({ACCOUNT('packetvis_latest_notification_timestamp_seconds')})"
    first = (
        f"(max by ({by}) ({listed}) unless max by ({by}) ({listed} offset $__rate_interval)"
        f" and on (account) time() - {latest} < 1800)"
    )
    return f"({counted} + {first}) or {counted} or {first}"


def _by_type() -> Panel:
    each = f"max by (account, category, notification_type, severity) ({ACCOUNT('packetvis_notifications')})"
    return lines(
        Text("Listed, by type", "Listed notifications of each type.", "✓ No notifications."),
        [query(f"sum by (notification_type) ({each})", "{{notification_type}}")],
        COUNT,
        Size(12, 9),
        stacked=True,
    )


def _recent() -> Panel:
    by = "account, severity, notification_type, summary, url"
    each = f"time() - max by ({by}) ({ACCOUNT('packetvis_notification_timestamp_seconds')})"
    columns = [
        Column("severity", "Severity", Look("string", words=palette.SEVERITY), 110),
        Column("notification_type", "Type", width=140),
        Column("summary", "Summary"),
        Column("url", "Page", width=90, url="${__data.fields.Page}", hint="Open at PacketVis"),
        Column("Value", "Age", Look("s", decimals=0), 100),
        Column("account", "Account", width=110),
    ]
    text = Text("New now", "The newest notifications within the warning window.", "✓ No new notifications.")
    return table_of(text, {"A": each}, columns, Size(24, 7), "Age")


def _listed() -> Panel:
    each = f"max by (account, category, notification_type, severity) ({ACCOUNT('packetvis_notifications')}) > 0"
    columns = [
        Column("severity", "Severity", Look("string", words=palette.SEVERITY), 130),
        Column("notification_type", "Type"),
        Column("category", "Category"),
        Column("Value", "Listed", Look("none"), 100),
        Column("account", "Account"),
    ]
    text = Text("Listed now", "All notifications on PacketVis' list, old ones included.", "✓ No notifications.")
    return table_of(text, {"A": each}, columns, Size(24, 9), "-Listed")
