"""The bridge: webhooks, the queue and its age, deliveries, dead letters, quarantine and corrections."""

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
READ: Final = f"max({ALL(PREFIX + 'dead_letters')})"
"""A number if a bridge can read its database, otherwise empty."""


def dashboard() -> Dashboard:
    """Return the dashboard of the bridge."""
    return Board(
        name="bridge",
        title="Bridge",
        description="The path of alerts to BigPanda: webhooks, queue, deliveries, dead letters, corrections.",
        metrics=[BRIDGE],
        runbook="bridge.md",
        chained=[chained("source", PREFIX + "notifications_total")],
        sections=[
            Section("", _now()),
            Section("Webhooks", [_notifications(), _alerts(), _events(), _open()]),
            Section("Queue", [_queue(), _oldest()]),
            Section("Deliveries", [_deliveries(), _quantiles(), _heatmap()]),
            Section("Dead letters and incomplete data", [_dead(), _incomplete()]),
            Section("Reconciler", [_corrections(), _reconciled()]),
        ],
    ).build()


def _highest(name: str) -> str:
    """Return a gauge of the shared database: every replica serves the same value."""
    return f"max({ALL(PREFIX + name)})"


def _rate(name: str, by: str, scope: Scope = ALL) -> str:
    return f"60 * sum by ({by}) (rate({scope(PREFIX + name)}[$__rate_interval]))"


def _now() -> list[Panel]:
    reachable = palette.words({"1": ("✓ accepts", palette.GOOD), "0": ("✗ DOWN", palette.BAD)})
    bad, odd = palette.HIGH_IS_BAD, palette.HIGH_IS_ODD
    return [
        stat_of(
            Text("BigPanda", "Whether BigPanda accepted the last request of every bridge."),
            f"min({ALL(PREFIX + 'destination_up')})",
            Look(words=reachable),
        ),
        stat_of(
            Text("Queued events", "Events on disk that BigPanda has not accepted yet."),
            f"sum(max by (state) ({ALL(PREFIX + 'outbox_events')})) or 0 * {READ}",
            Look(above=((100, palette.WARN), (1000, palette.BAD)), words=NONE),
        ),
        stat_of(
            Text("Oldest queued", "Age of the oldest queued event."),
            f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')}) or 0 * {READ}",
            Look("s", ((300, palette.WARN), (1800, palette.BAD)), words=NONE, decimals=0),
        ),
        stat_of(
            Text("Dead letters", "Events that BigPanda rejected; the bridge's page has the reasons."),
            _highest("dead_letters"),
            Look(above=bad, words=NONE),
        ),
        stat_of(
            Text("Dead resolutions", "Resolutions among the dead letters: their alerts stay open in BigPanda."),
            _highest("dead_letter_resolutions"),
            Look(above=bad, words=NONE),
        ),
        stat_of(
            Text("Quarantine", "Webhooks and alerts that could not be read; replay or discard them."),
            _highest("quarantined_bodies"),
            Look(above=odd, words=NONE),
        ),
        stat_of(
            Text(
                "Watchdog",
                "Whether the bridge receives the watchdog alert of every source.",
                "not configured, or unknown",
            ),
            f"max({SOURCE(PREFIX + 'watchdog_silent')})",
            Look(words=palette.WATCHDOG, lowest=palette.QUIET),
        ),
        stat_of(
            Text("Open alerts", "Alerts that are open in BigPanda, according to the events sent."),
            f"sum(max by (source, status) ({SOURCE(PREFIX + 'open_alerts')})) or 0 * {READ}",
            Look(lowest=palette.CALM),
        ),
    ]


def _notifications() -> Panel:
    text = Text(
        "Webhooks, by outcome", "Webhooks per minute. Only `accepted` is a 200; senders retry after `unavailable`."
    )
    rate = query(_rate("notifications_total", "outcome", SOURCE), "{{outcome}}")
    return lines(text, [rate], Look("reqpm", named=("accepted", "unreadable", "unauthorized", "unavailable")), HALF)


def _alerts() -> Panel:
    text = Text("Received alerts", "Alerts per minute in accepted webhooks; Alertmanager repeats a group's alerts.")
    rate = query(_rate("alerts_total", "status", SOURCE), "{{status}}")
    return lines(text, [rate], Look("cpm", named=("firing", "resolved")), HALF, stacked=True)


def _events() -> Panel:
    description = (
        "Alerts per minute. `unchanged`: BigPanda has it already. `superseded`: a newer event is queued instead."
    )
    return lines(
        Text("Received alerts, by outcome", description),
        [query(_rate("events_total", "outcome", SOURCE), "{{outcome}}")],
        Look("cpm", named=("queued", "unchanged", "superseded", "skipped", "quarantined")),
        HALF,
        stacked=True,
    )


def _open() -> Panel:
    expr = f"sum by (status) (max by (source, status) ({SOURCE(PREFIX + 'open_alerts')}))"
    text = Text("Open alerts", "Open alerts, by the status sent to BigPanda.", "✓ No open alerts.")
    return lines(text, [query(expr, "{{status}}")], Look("short", named=("critical", "warning")), HALF, stacked=True)


def _queue() -> Panel:
    expr = f"max by (state) ({ALL(PREFIX + 'outbox_events')})"
    text = Text("Queued events", "Events that BigPanda has not accepted yet, by state, stacked.", "✓ No queued events.")
    return lines(text, [query(expr, "{{state}}")], Look("short"), HALF, stacked=True)


def _oldest() -> Panel:
    expr = f"time() - min({ALL(PREFIX + 'outbox_oldest_event_timestamp_seconds')}) or 0 * {READ}"
    look = Look("s", ((300, palette.WARN), (1800, palette.BAD)))
    text = Text("Oldest queued", "Age of the oldest queued event; alerts fire after five and after thirty minutes.")
    return lines(text, [query(expr, "oldest event")], look, HALF)


def _deliveries() -> Panel:
    description = "Events per minute. `duplicate`: BigPanda had it already. `retry`: the bridge sends it again later."
    rate = query(_rate("deliveries_total", "outcome"), "{{outcome}}")
    return lines(Text("Deliveries, by outcome", description), [rate], Look("epm", named=DELIVERIES), HALF, stacked=True)


def _quantiles() -> Panel:
    rate = f"sum by (le) (rate({ALL(PREFIX + 'delivery_latency_seconds_bucket')}[$__rate_interval]))"
    description = (
        "Time from accepting a webhook until BigPanda accepts its event: median and 99th percentile. It includes the "
        "time for which update_interval holds an update, a quarter of an hour by default."
    )
    return lines(
        Text("Delivery latency", description, "No events delivered."),
        [
            query(f"histogram_quantile(0.5, {rate})", "p50", "A"),
            query(f"histogram_quantile(0.99, {rate})", "p99", "B"),
        ],
        Look("s", named=("p50", "p99")),
        HALF,
    )


def _heatmap() -> Panel:
    expr = f"sum by (le) (increase({ALL(PREFIX + 'delivery_latency_seconds_bucket')}[$__rate_interval]))"
    description = (
        "Events by latency: a stronger colour means more events. A band at the top is a backlog being sent, or updates "
        "that update_interval held."
    )
    return latencies(Text("Delivery latency, all events", description, "No events delivered."), expr, Size(24, 9))


def _dead() -> Panel:
    return lines(
        Text("Dead letters and quarantine", "Requeue, replay or discard them on the bridge's page."),
        [
            query(_highest("dead_letters"), "dead letters", "A"),
            query(_highest("dead_letter_resolutions"), "dead resolutions", "B"),
            query(_highest("quarantined_bodies"), "quarantine", "C"),
        ],
        Look("short"),
        HALF,
    )


def _incomplete() -> Panel:
    return lines(
        Text(
            "Unmapped severities and truncated alerts",
            "Per minute: alerts with an unmapped severity (sent as warning), and alerts that max_alerts left out.",
        ),
        [
            query(_rate("unmapped_severities_total", "source", SOURCE), "{{source}}: unmapped severity", "A"),
            query(_rate("truncated_alerts_total", "source", SOURCE), "{{source}}: truncated", "B"),
        ],
        Look("cpm"),
        HALF,
    )


def _corrections() -> Panel:
    expr = f"sum by (source, action) (increase({SOURCE(PREFIX + 'reconciled_alerts_total')}[$__rate_interval]))"
    return lines(
        Text(
            "Corrections",
            "Alerts that the reconciler closed because Alertmanager no longer has them, or opened because it does, "
            "within a minute, or a step of the graph if that is longer: neighbouring bars may show the same one.",
            "No receiver has reconcile configured.",
        ),
        [query(expr, "{{source}}: {{action}}")],
        Look("short", named=("closed", "opened")),
        HALF,
        stacked=True,
    )


def _reconciled() -> Panel:
    success = f"time() - max by (source) ({SOURCE(PREFIX + 'reconcile_last_success_timestamp_seconds')})"
    return lines(
        Text(
            "Time since the last complete reconciliation",
            "Time since every Alertmanager answered the reconciler; while one does not, no unlisted alert is closed.",
            "No receiver has reconcile configured.",
        ),
        [query(success, "{{source}}")],
        Look("s", ((600, palette.WARN),)),
        HALF,
    )
