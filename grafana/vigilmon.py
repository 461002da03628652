"""Vigilmon: monitors that are down, states over time, uptime, incidents and certificates."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of, timeline
from grafana.queries import ACCOUNT, EXPORTER, age, monitors, per_monitor
from grafana.variables import chained

UPTIME: Final = Look("percent", ((99.0, palette.WARN), (99.9, palette.GOOD)), palette.BAD, decimals=2)
DAYS: Final = Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1)
STATE: Final = Look(words=palette.UP)
WIDE: Final = Size(24, 9)


def dashboard() -> Dashboard:
    """Return the dashboard of Vigilmon's monitors."""
    return Board(
        name="vigilmon",
        title="Vigilmon",
        description="Vigilmon's monitors: states, uptime, incidents, certificates.",
        metrics=[EXPORTER],
        runbook="vigilmon.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector="vigilmon"')],
        sections=[
            Section("", _now()),
            Section("States", [_states(), _down()]),
            Section("Each monitor", [_uptimes()]),
            Section("Incidents", [_open_incidents(), _incidents()]),
            Section("Certificates", [_certificates(), _failed_probes()]),
        ],
    ).build()


def _each(metric: str, *more: str) -> str:
    return f"min by (account, monitor_id) ({ACCOUNT(metric, *more)})"


def _now() -> list[Panel]:
    states, active = _each("vigilmon_monitor_up"), _each("vigilmon_monitor_active")
    ongoing, days = _each("vigilmon_monitor_ongoing_incidents"), _each("vigilmon_certificate_expiry_days")
    week = _each("vigilmon_monitor_uptime_percent", 'window="7d"')
    return [
        stat_of(
            Text("Down", "Monitors that Vigilmon reports as down."),
            f"sum({states} == bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=palette.words({"0": ("✓ none", palette.GOOD)})),
        ),
        stat_of(Text("Up", "Monitors that Vigilmon reports as up."), f"sum({states} == bool 1)", Look()),
        stat_of(
            Text("Paused", "Monitors that are not checked because somebody paused them."),
            f"sum({active} == bool 0)",
            Look(lowest=palette.QUIET),
        ),
        stat_of(
            Text("Without a state", "Active monitors without a first check, mostly new ones."),
            f"sum({active}) - count({states})",
            Look(above=palette.HIGH_IS_ODD),
        ),
        stat_of(
            Text("Open incidents", "Unresolved incidents of all monitors."),
            f"sum({ongoing})",
            Look(above=palette.HIGH_IS_BAD, words=palette.words({"0": ("✓ none", palette.GOOD)})),
        ),
        stat_of(Text("Worst 7 days", "Uptime of the monitor with the worst week."), f"min({week})", UPTIME),
        stat_of(
            Text("Least days left", "Days until the first certificate of an https monitor expires."),
            f"min({days})",
            Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1, link="certificates"),
        ),
        stat_of(
            Text("Age", "Time since the last successful poll of Vigilmon, for the account with the oldest data."),
            age("vigilmon"),
            Look("s", palette.AGE, decimals=0, link="exporter"),
        ),
    ]


def _states() -> Panel:
    description = "States of each monitor, 20 per page. In a gap the monitor was paused or could not be polled."
    named = per_monitor(ACCOUNT, "vigilmon_monitor_up")
    return timeline(Text("States", description), named, "{{monitor}}", palette.UP, Size(24, 13))


def _down() -> Panel:
    return lines(
        Text("Monitors down", "Monitors that were down at the same time, by account."),
        [query(f"sum by (account) ({_each('vigilmon_monitor_up')} == bool 0)", "{{account}}")],
        Look("short", decimals=0),
        Size(24, 6),
    )


def _uptimes() -> Panel:
    queries = {
        "state": per_monitor(ACCOUNT, "vigilmon_monitor_up"),
        "active": per_monitor(ACCOUNT, "vigilmon_monitor_active"),
        "day": per_monitor(ACCOUNT, "vigilmon_monitor_uptime_percent", 'window="24h"'),
        "week": per_monitor(ACCOUNT, "vigilmon_monitor_uptime_percent", 'window="7d"'),
        "month": per_monitor(ACCOUNT, "vigilmon_monitor_uptime_percent", 'window="30d"'),
        "recorded": per_monitor(ACCOUNT, "vigilmon_monitor_incidents"),
        "lasted": per_monitor(ACCOUNT, "vigilmon_monitor_last_incident_duration_seconds", by="max"),
        "every": per_monitor(ACCOUNT, "vigilmon_monitor_check_interval_seconds"),
        "checked": per_monitor(ACCOUNT, "vigilmon_monitor_last_check_timestamp_seconds", by="1000 * max"),
    }
    columns = [
        Column("monitor", "Monitor", url="${__data.fields.URL}", hint="Open the site"),
        Column("Value #state", "State", STATE, 90),
        Column("Value #active", "Checks", Look(words=palette.ACTIVE), 100),
        Column("Value #day", "24 hours", UPTIME, 100),
        Column("Value #week", "7 days", UPTIME, 100),
        Column("Value #month", "30 days", UPTIME, 100),
        Column("Value #recorded", "Incidents", Look("none"), 90),
        Column("Value #lasted", "Last duration", Look("s", decimals=0), 120),
        Column("Value #every", "Checked every", Look("s", decimals=0), 120),
        Column("Value #checked", "Last check", Look("dateTimeFromNow"), 130),
        Column("url", "URL"),
        Column("monitor_id", "Number", width=90),
        Column("account", "Account", width=110),
    ]
    description = (
        "Uptime as Vigilmon calculates it: yellow below 99.9 %, vermilion below 99 %. Incidents: all recorded ones."
    )
    return table_of(Text("Uptime", description), queries, columns, Size(24, 14), "7 days")


def _incidents() -> Panel:
    return lines(
        Text("Open incidents", "Unresolved incidents, by account."),
        [query(f"sum by (account) ({_each('vigilmon_monitor_ongoing_incidents')})", "{{account}}")],
        Look("short", decimals=0),
        Size(24, 6),
    )


def _open_incidents() -> Panel:
    text = Text(
        "Open now",
        "Monitors with unresolved incidents. For a monitor that is down: start, cause and regions of the newest one.",
        "✓ No open incidents.",
    )
    columns = [
        Column("monitor", "Monitor", url="${__data.fields.URL}", hint="Open the site"),
        Column("Value #since", "Since", Look("dateTimeFromNow"), 130),
        Column("cause", "Cause"),
        Column("regions", "Regions", width=180),
        Column("Value #count", "Incidents", Look("none"), 100),
        Column("url", "URL"),
        Column("account", "Account", width=110),
    ]
    started = ACCOUNT("vigilmon_ongoing_incident_start_timestamp_seconds")
    newest = f"1000 * max by (account, monitor_id, cause, regions) ({started})"
    queries = {
        "since": monitors(ACCOUNT, f"topk by (account, monitor_id) (1, {newest})"),
        "count": monitors(ACCOUNT, f"({_each('vigilmon_monitor_ongoing_incidents')} > 0)"),
    }
    return table_of(text, queries, columns, WIDE, "-Since")


def _certificates() -> Panel:
    known = f"and on (account, monitor_id) {_each('vigilmon_certificate_expiry_days')}"
    queries = {
        "days": per_monitor(ACCOUNT, "vigilmon_certificate_expiry_days"),
        "valid": per_monitor(ACCOUNT, "vigilmon_certificate_valid"),
        "probe": f"{per_monitor(ACCOUNT, 'vigilmon_certificate_probe_success')} {known}",
        "chain": f"({per_monitor(ACCOUNT, 'vigilmon_certificate_chain_expiry_timestamp_seconds')} - time()) / 86400",
    }
    columns = [
        Column("monitor", "Monitor", url="${__data.fields.URL}", hint="Open the site"),
        Column("Value #days", "Days left", DAYS, 110),
        Column("Value #chain", "Chain, days left", DAYS, 130),
        Column("Value #valid", "Clients", Look(words=palette.ACCEPTED), 120),
        Column("Value #probe", "Last probe", Look(words=palette.READ), 120),
        Column("url", "URL"),
        Column("account", "Account", width=110),
    ]
    text = Text(
        "Certificates of https monitors",
        "Read by the exporter's own TLS probe. Clients: whether a client with the system's roots accepts it now.",
        "No certificate of an https monitor is known.",
    )
    return table_of(text, queries, columns, WIDE, "Days left")


def _failed_probes() -> Panel:
    text = Text(
        "Failed certificate probes",
        "The reason why the last TLS probe of the monitor's host failed, and the issuer of the certificate, if read.",
        "✓ No failed probes.",
    )
    columns = [
        Column("monitor", "Monitor", url="${__data.fields.URL}", hint="Open the site"),
        Column("reason", "Reason", Look(words=palette.REASON), 220),
        Column("issuer", "Issuer"),
        Column("serial", "Serial", width=340),
        Column("url", "URL"),
        Column("account", "Account", width=110),
    ]
    by = "account, monitor_id"
    failed = f"max by ({by}, reason) ({ACCOUNT('vigilmon_tls_probe_failure')})"
    issued = f"max by ({by}, issuer, serial) ({ACCOUNT('vigilmon_certificate_info')})"
    seen = f"{issued} and on ({by}) {failed}"
    queries = {"reason": monitors(ACCOUNT, failed), "issuer": monitors(ACCOUNT, f"({seen})")}
    return table_of(text, queries, columns, WIDE, "-Issuer")
