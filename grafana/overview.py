"""The overview: everything that is wrong now, whoever says so, and where to read on."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import RUNBOOKS, Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, href, lines, query, stat_of, table_of
from grafana.queries import ALL, BRIDGE, EXPORTER, certificates, per_target, zero_while_polled
from grafana.wrong import DAYS, WRONG

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
    """Return the dashboard to begin with."""
    return Board(
        name="overview",
        title="Overview",
        told="Everything that is wrong now, across all vendors and vendorwatch itself, with the way to more.",
        metrics=[EXPORTER, BRIDGE],
        runbook="",
        sections=[
            Section("", [*_counts(), _wrong()]),
            Section("The last hours", [_trouble(), _sent()]),
            Section("How far this can be trusted", [_targets()]),
        ],
    ).build()


def _counts() -> list[Panel]:
    up = f"min by (account, monitor_id) ({ALL('vigilmon_monitor_up')})"
    active = f"sum(max by (account, account_group, alert_type, severity) ({ALL('thousandeyes_active_alerts')}))"
    unhandled = ALL("bigpanda_incidents", 'folder="unhandled"')
    polls = per_target("vendorwatch_poll_success")
    waits = f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')})"
    bad, odd = palette.HIGH_IS_BAD, palette.HIGH_IS_ODD
    return [
        stat_of(
            Text("Monitors down", "Sites and services that Vigilmon finds down now."),
            f"sum({up} == bool 0)",
            Look(above=bad, words=NONE, link="vigilmon"),
        ),
        stat_of(
            Text("ThousandEyes", "Alerts of ThousandEyes that are active now, suppressed ones included."),
            zero_while_polled(active, "thousandeyes", ALL),
            Look(above=odd, words=NONE, link="thousandeyes"),
        ),
        stat_of(
            Text("Routes", "Whether PacketVis created a notification within the configured window."),
            f"max({ALL('packetvis_warning')})",
            Look(words=palette.QUIET_OR_NOT, link="packetvis"),
        ),
        stat_of(
            Text("Unhandled", "Incidents of the BigPanda environment that has the most nobody handles."),
            f"max({unhandled})",
            Look(above=odd, words=NONE, link="bigpanda"),
        ),
        stat_of(
            Text("Certificates", f"Certificates that end within {DAYS} days or have expired, whoever saw them."),
            f"sum(({certificates(ALL, '_expiry_days')}) < bool {DAYS})",
            Look(above=odd, words=NONE, link="certificates"),
        ),
        stat_of(
            Text(
                "Failing targets", "Accounts and lists that the exporter cannot ask: silence from them means nothing."
            ),
            f"sum({polls} == bool 0)",
            Look(above=bad, words=NONE, link="exporter"),
        ),
        stat_of(
            Text("Waiting since", "How long the oldest event has been waiting in the bridge.", "no bridge"),
            f"{waits} or 0 * max({ALL(PREFIX + 'destination_up')})",
            Look("s", ((300, palette.WARN), (1800, palette.BAD)), words=NONE, decimals=0, link="bridge"),
        ),
        stat_of(
            Text("Dead letters", "Events that BigPanda refuses as they are.", "no bridge"),
            f"max({ALL(PREFIX + 'dead_letters')})",
            Look(above=bad, words=NONE, link="bridge"),
        ),
    ]


def _wrong() -> Panel:
    columns = [
        Column("level", "Level", Look("string", words=palette.LEVEL), 110),
        Column("source", "Source", width=130),
        Column("account", "Account", width=110),
        Column("subject", "What"),
        Column("wrong", "Is wrong"),
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
        "Wrong now",
        "One row for each thing that is wrong. It is read from what the exporter knows: see below how old that is.",
        "✓ Nothing is known to be wrong. How far that can be trusted stands below.",
    )
    return table_of(text, WRONG, columns, Size(24, 13), "Level")


def _trouble() -> Panel:
    counted = (
        ("Vigilmon", ("monitors",)),
        ("PacketVis", ("routes",)),
        ("ThousandEyes", ("tests", "lesser tests", "agents")),
        ("BigPanda", ("incidents",)),
        ("Certificates", ("expired", "ending", "ending later", "chain", "refused", "unseen")),
        (
            "vendorwatch",
            ("failing", "stale", "programs", "destination", "waiting", "dead letters", "quarantine", "watchdog"),
        ),
    )
    queries = [
        query(f"count({' or '.join(WRONG[name] for name in names)})", source, chr(ord("A") + place))
        for place, (source, names) in enumerate(counted)
    ]
    text = Text("Wrong, by source", "How many things were wrong at the same time.", "✓ Nothing was known to be wrong.")
    return lines(
        text, queries, Look("short", decimals=0, named=[source for source, _ in counted]), Size(12, 9), stacked=True
    )


def _sent() -> Panel:
    rate = f"60 * sum by (outcome) (rate({ALL(PREFIX + 'deliveries_total')}[$__rate_interval]))"
    text = Text("Sent to BigPanda", "Events per minute, by how BigPanda answered.", "no bridge")
    return lines(text, [query(rate, "{{outcome}}")], Look("epm", named=DELIVERIES), Size(12, 9), stacked=True)


def _targets() -> Panel:
    polled = per_target("vendorwatch_poll_success")
    succeeded = per_target("vendorwatch_poll_last_success_timestamp_seconds")
    columns = [
        Column("collector", "Collector"),
        Column("account", "Account"),
        Column("Value #success", "Last poll", Look(words=palette.ANSWERS), 140),
        Column("Value #age", "Age", Look("s", palette.AGE, decimals=0), 140),
    ]
    told = "How old what is known of each target is; what is too old is withdrawn, never repeated."
    queries = {"success": polled, "age": f"time() - {succeeded}"}
    return table_of(Text("Targets", told), queries, columns, Size(24, 8), "-Age")
