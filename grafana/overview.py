"""The overview: all current problems, with links to dashboards and runbooks."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import RUNBOOKS, Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, href, lines, query, stat_of, table_of
from grafana.problems import DAYS, PROBLEMS
from grafana.queries import ALL, BRIDGE, EXPORTER, certificates, per_target, zero_while_polled

PREFIX: Final = "vendorwatch_bridge_"
DELIVERIES: Final = ("accepted", "duplicate", "retry", "rejected", "destination_down")
NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
BOARDS: Final = palette.words(
    {
        name: (f"{title} →", palette.LINK)
        for name, title in (
            ("vigilmon", "Vigilmon"),
            ("thousandeyes", "ThousandEyes"),
            ("packetvis", "PacketVis"),
            ("bigpanda", "BigPanda"),
            ("certificates", "Certificates"),
            ("exporter", "Exporter"),
            ("bridge", "Bridge"),
        )
    }
)


def dashboard() -> Dashboard:
    """Return the overview dashboard."""
    return Board(
        name="overview",
        title="Overview",
        description="All current problems of the vendors and of vendorwatch, with links to details and runbooks.",
        metrics=[EXPORTER, BRIDGE],
        runbook="",
        sections=[
            Section("", [*_counts(), _problems()]),
            Section("The last hours", [_by_source(), _deliveries()]),
            Section("Age of this data", [_targets()]),
        ],
    ).build()


def _counts() -> list[Panel]:
    up = f"min by (account, monitor_id) ({ALL('vigilmon_monitor_up')})"
    active = f"sum(max by (account, account_group, alert_type, severity) ({ALL('thousandeyes_active_alerts')}))"
    unhandled = ALL("bigpanda_incidents", 'folder="unhandled"')
    polls = per_target("vendorwatch_poll_success")
    queued = f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')})"
    bad, odd = palette.HIGH_IS_BAD, palette.HIGH_IS_ODD
    return [
        stat_of(
            Text("Monitors down", "Monitors that Vigilmon reports as down."),
            f"sum({up} == bool 0)",
            Look(above=bad, words=NONE, link="vigilmon"),
        ),
        stat_of(
            Text("ThousandEyes", "Active alerts at ThousandEyes, suppressed ones included."),
            zero_while_polled(active, "thousandeyes", ALL),
            Look(above=odd, words=NONE, link="thousandeyes"),
        ),
        stat_of(
            Text("Routes", "Whether PacketVis created a notification within the configured window."),
            f"max({ALL('packetvis_warning')})",
            Look(words=palette.QUIET_OR_NOT, link="packetvis"),
        ),
        stat_of(
            Text("Unhandled", "Unhandled incidents in the BigPanda environment with the most of them."),
            f"max({unhandled})",
            Look(above=odd, words=NONE, link="bigpanda"),
        ),
        stat_of(
            Text("Certificates", f"Certificates of all sources that expire within {DAYS} days or have expired."),
            f"sum(({certificates(ALL, '_expiry_days')}) < bool {DAYS})",
            Look(above=odd, words=NONE, link="certificates"),
        ),
        stat_of(
            Text("Failing targets", "Targets whose polls fail: missing alerts of these accounts prove nothing."),
            f"sum({polls} == bool 0)",
            Look(above=bad, words=NONE, link="exporter"),
        ),
        stat_of(
            Text("Oldest queued", "Age of the oldest event queued in the bridge.", "unknown, or no bridge"),
            f"{queued} or 0 * max({ALL(PREFIX + 'dead_letters')})",
            Look("s", ((300, palette.WARN), (1800, palette.BAD)), words=NONE, decimals=0, link="bridge"),
        ),
        stat_of(
            Text("Dead letters", "Events that BigPanda rejected.", "unknown, or no bridge"),
            f"max({ALL(PREFIX + 'dead_letters')})",
            Look(above=bad, words=NONE, link="bridge"),
        ),
    ]


def _problems() -> Panel:
    columns = [
        Column("level", "Level", Look("string", words=palette.LEVEL), 110),
        Column("source", "Source", width=130),
        Column("account", "Account", width=110),
        Column("subject", "Subject"),
        Column("problem", "Problem"),
        Column(
            "board",
            "Dashboard",
            Look("string", words=BOARDS),
            150,
            url=href("${__value.raw}"),
            hint="Open the dashboard",
        ),
        Column(
            "runbook",
            "Runbook",
            Look("string", words=palette.anything("What to do →", palette.LINK)),
            150,
            url=f"{RUNBOOKS}/${{__value.raw}}",
            hint="What to do",
        ),
    ]
    text = Text(
        "Current problems",
        "One row for each problem, from the exporter's last polls: see their age below.",
        "✓ No problems.",
    )
    return table_of(text, PROBLEMS, columns, Size(24, 13), "Level")


def _by_source() -> Panel:
    counted = (
        ("Vigilmon", ("monitors",)),
        ("PacketVis", ("routes",)),
        ("ThousandEyes", ("tests", "lesser tests", "prefixes", "availability", "loss", "names", "agents")),
        ("BigPanda", ("incidents",)),
        ("Certificates", ("expired", "expiring", "expiring later", "chain", "rejected", "unreadable")),
        (
            "vendorwatch",
            (
                *("failing", "stale", "storage", "exporter", "bridge", "database", "destination", "queue"),
                *("dead resolutions", "dead letters", "quarantine", "locked out", "silence", "watchdog"),
            ),
        ),
    )
    queries = []
    for place, (source, names) in enumerate(counted):
        found = f"count({' or '.join(PROBLEMS[name] for name in names)})"
        # A bar is as wide as the gap to the next value: without zeroes one short problem would cover an hour.
        with_zeroes = (
            f"{found} or 0 * max({ALL(EXPORTER)} or {ALL(BRIDGE)})"
            if source == "vendorwatch"
            else zero_while_polled(found, source.lower(), ALL)
        )
        queries.append(query(with_zeroes, source, chr(ord("A") + place)))
    text = Text("Problems, by source", "The number of problems at each time.", "✓ No problems.")
    return lines(
        text, queries, Look("short", decimals=0, named=[source for source, _ in counted]), Size(12, 9), stacked=True
    )


def _deliveries() -> Panel:
    rate = f"60 * sum by (outcome) (rate({ALL(PREFIX + 'deliveries_total')}[$__rate_interval]))"
    text = Text("Sent to BigPanda", "Events per minute, by outcome.", "unknown, or no bridge")
    return lines(text, [query(rate, "{{outcome}}")], Look("epm", named=DELIVERIES), Size(12, 9), stacked=True)


def _targets() -> Panel:
    polled = per_target("vendorwatch_poll_success")
    succeeded = per_target("vendorwatch_poll_last_success_timestamp_seconds")
    columns = [
        Column("collector", "Collector"),
        Column("account", "Account"),
        Column("Value #success", "Last poll", Look(words=palette.POLLED), 140),
        Column("Value #age", "Age", Look("s", palette.AGE, decimals=0), 140),
    ]
    description = "Age of each target's data. Data older than max_age is withdrawn, never repeated."
    queries = {"success": polled, "age": f"time() - {succeeded}"}
    return table_of(Text("Targets", description), queries, columns, Size(24, 8), "-Age")
