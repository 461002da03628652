"""The bridge: what comes in, what waits and for how long, what BigPanda says, what was set aside or corrected."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Look, Panel, Size, Text, latencies, lines, query, stat_of
from grafana.queries import ALL, BRIDGE, SOURCE, Scope
from grafana.variables import chained

PREFIX: Final = "vendorwatch_bridge_"
DELIVERIES: Final = ("accepted", "duplicate", "retry", "rejected", "destination_down")
NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
HALF: Final = Size(12, 9)
UP: Final = f"max({ALL(PREFIX + 'destination_up')})"
"""1 or 0 where a bridge is scraped, else nothing."""


def dashboard() -> Dashboard:
    """Return the dashboard of the bridge."""
    return Board(
        name="bridge",
        title="Bridge",
        told="The way of alerts to BigPanda: in, waiting, out, set aside, corrected. Replicas share one database.",
        metrics=[BRIDGE],
        runbook="bridge.md",
        chained=[chained("source", PREFIX + "notifications_total")],
        sections=[
            Section("", _now()),
            Section("In", [_notifications(), _alerts(), _events(), _open()]),
            Section("Waiting", [_waiting(), _oldest()]),
            Section("Out", [_deliveries(), _quantiles(), _heatmap()]),
            Section("Set aside", [_dead(), _doubts()]),
            Section("Reconciler", [_corrections(), _asked()]),
        ],
    ).build()


def _stock(name: str) -> str:
    return f"max({ALL(PREFIX + name)})"


def _rate(name: str, by: str, scope: Scope = ALL) -> str:
    return f"60 * sum by ({by}) (rate({scope(PREFIX + name)}[$__rate_interval]))"


def _now() -> list[Panel]:
    reachable = palette.words({"1": ("✓ accepts", palette.GOOD), "0": ("✗ DOWN", palette.BAD)})
    bad, odd = palette.HIGH_IS_BAD, palette.HIGH_IS_ODD
    return [
        stat_of(
            Text("BigPanda", "Whether BigPanda took the last request of every bridge."),
            f"min({ALL(PREFIX + 'destination_up')})",
            Look(words=reachable),
        ),
        stat_of(
            Text("Waiting", "Events that are on disk and not yet accepted by BigPanda."),
            f"sum(max by (state) ({ALL(PREFIX + 'outbox_events')})) or 0 * {UP}",
            Look(above=((100, palette.WARN), (1000, palette.BAD)), words=NONE),
        ),
        stat_of(
            Text("Longest wait", "Since when the oldest waiting event has been waiting."),
            f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')}) or 0 * {UP}",
            Look("s", ((300, palette.WARN), (1800, palette.BAD)), words=NONE, decimals=0),
        ),
        stat_of(
            Text("Dead letters", "Events that BigPanda refuses as they are; see the bridge's page for the reasons."),
            _stock("dead_letters"),
            Look(above=bad, words=NONE),
        ),
        stat_of(
            Text("…that resolve", "Resolutions among the dead letters: what they would close stays open in BigPanda."),
            _stock("dead_letter_resolutions"),
            Look(above=bad, words=NONE),
        ),
        stat_of(
            Text("Quarantine", "Webhooks and alerts that could not be read, kept for somebody to look at."),
            _stock("quarantined_bodies"),
            Look(above=odd, words=NONE),
        ),
        stat_of(
            Text("Watchdog", "Whether the alert that must keep coming is heard.", "not configured"),
            f"max({SOURCE(PREFIX + 'watchdog_silent')})",
            Look(words=palette.HEARD, lowest=palette.QUIET),
        ),
        stat_of(
            Text("Open alerts", "Alerts that are open, as BigPanda was told."),
            f"sum(max by (source, status) ({SOURCE(PREFIX + 'open_alerts')})) or 0 * {UP}",
            Look(lowest=palette.CALM),
        ),
    ]


def _notifications() -> Panel:
    text = Text(
        "Webhooks, by answer", "Webhooks per minute. Only `accepted` is a 200; senders try again after `unavailable`."
    )
    asked = query(_rate("notifications_total", "outcome", SOURCE), "{{outcome}}")
    return lines(text, [asked], Look("reqpm", named=("accepted", "unreadable", "unauthorized", "unavailable")), HALF)


def _alerts() -> Panel:
    text = Text("Alerts in", "Alerts per minute within accepted webhooks; Alertmanager repeats a group's alerts.")
    asked = query(_rate("alerts_total", "status", SOURCE), "{{status}}")
    return lines(text, [asked], Look("cpm", named=("firing", "resolved")), HALF, stacked=True)


def _events() -> Panel:
    told = "Alerts per minute by what became of them. `unchanged`: BigPanda has it. `superseded`: a newer one waits."
    return lines(
        Text("What became of them", told),
        [query(_rate("events_total", "outcome", SOURCE), "{{outcome}}")],
        Look("cpm", named=("queued", "unchanged", "superseded", "skipped", "quarantined")),
        HALF,
        stacked=True,
    )


def _open() -> Panel:
    expr = f"sum by (status) (max by (source, status) ({SOURCE(PREFIX + 'open_alerts')}))"
    text = Text("Open alerts", "Open alerts, by the status sent to BigPanda.", "✓ No open alert is known.")
    return lines(text, [query(expr, "{{status}}")], Look("short", named=("critical", "warning")), HALF, stacked=True)


def _waiting() -> Panel:
    expr = f"max by (state) ({ALL(PREFIX + 'outbox_events')})"
    text = Text("Waiting events", "Events that wait for BigPanda, by state, stacked.", "✓ Nothing waited.")
    return lines(text, [query(expr, "{{state}}")], Look("short"), HALF, stacked=True)


def _oldest() -> Panel:
    expr = f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')}) or 0 * {UP}"
    look = Look("s", ((300, palette.WARN), (1800, palette.BAD)))
    text = Text("Longest wait", "The age of the oldest waiting event; alerts fire at five and at thirty minutes.")
    return lines(text, [query(expr, "oldest event")], look, HALF)


def _deliveries() -> Panel:
    told = (
        "Events per minute by how their sending ended. `duplicate`: BigPanda had it. `retry`: again later, by itself."
    )
    asked = query(_rate("deliveries_total", "outcome"), "{{outcome}}")
    return lines(Text("Alerts out, by outcome", told), [asked], Look("epm", named=DELIVERIES), HALF, stacked=True)


def _quantiles() -> Panel:
    rate = f"sum by (le) (rate({ALL(PREFIX + 'delivery_latency_seconds_bucket')}[$__rate_interval]))"
    told = "From accepting a webhook to BigPanda accepting its event: half of the events, and 99 of 100, were faster."
    return lines(
        Text("Time to BigPanda", told, "Nothing was delivered."),
        [
            query(f"histogram_quantile(0.5, {rate})", "half", "A"),
            query(f"histogram_quantile(0.99, {rate})", "99 %", "B"),
        ],
        Look("s", named=("half", "99 %")),
        HALF,
    )


def _heatmap() -> Panel:
    expr = f"sum by (le) (increase({ALL(PREFIX + 'delivery_latency_seconds_bucket')}[$__rate_interval]))"
    told = (
        "How many events took how long; the stronger the colour, the more. A band high up is a backlog that went out."
    )
    return latencies(Text("Time to BigPanda, all events", told, "Nothing was delivered."), expr, Size(24, 9))


def _dead() -> Panel:
    return lines(
        Text("Dead letters and quarantine", "What waits for somebody to look at it, on the bridge's page."),
        [
            query(_stock("dead_letters"), "dead letters", "A"),
            query(_stock("dead_letter_resolutions"), "resolutions among them", "B"),
            query(_stock("quarantined_bodies"), "quarantine", "C"),
        ],
        Look("short"),
        HALF,
    )


def _doubts() -> Panel:
    return lines(
        Text(
            "Doubtful alerts",
            "Per minute: alerts of a severity that is not known (sent as warning), and alerts that max_alerts cut off.",
        ),
        [
            query(_rate("unmapped_severities_total", "source", SOURCE), "{{source}}: unknown severity", "A"),
            query(_rate("truncated_alerts_total", "source", SOURCE), "{{source}}: cut off", "B"),
        ],
        Look("cpm"),
        HALF,
    )


def _corrections() -> Panel:
    expr = f"sum by (source, action) (increase({SOURCE(PREFIX + 'reconciled_alerts_total')}[$__rate_interval]))"
    return lines(
        Text(
            "Corrections",
            "Alerts that the reconciler closed because Alertmanager no longer knows them, or opened because it does.",
            "No receiver has a reconciler.",
        ),
        [query(expr, "{{source}}: {{action}}")],
        Look("short", named=("closed", "opened")),
        HALF,
        stacked=True,
    )


def _asked() -> Panel:
    success = f"time() - max by (source) ({SOURCE(PREFIX + 'reconcile_last_success_timestamp_seconds')})"
    return lines(
        Text(
            "Last answer of all Alertmanagers",
            "How long ago every Alertmanager answered the reconciler; while one does not, nothing is closed.",
            "No receiver has a reconciler.",
        ),
        [query(success, "{{source}}")],
        Look("s", ((600, palette.WARN),)),
        HALF,
    )
