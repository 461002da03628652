"""The bridge's own metrics: every family of `/metrics`, in a registry of its own."""

import platform
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bridge.domain.notification import Notification, Outcome
from exporter.toolkit.flags import release
from exporter.toolkit.refusals import REASONS, Refusal

NAMESPACE: Final = "vendorwatch_bridge"
NOTIFICATIONS: Final = ("accepted", "unreadable", "unauthorized", "too_large", "unsupported", "unavailable")
EVENTS: Final = ("queued", "unchanged", "superseded", "skipped", "quarantined")
DELIVERIES: Final = ("accepted", "duplicate", "rejected", "retry", "destination_down")
_LATENCIES: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
_ATTENDED: Final = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 259200.0, 604800.0)
"""People take minutes to days."""
DIAGNOSTICS: Final = ("error", "warning", "info", "other")

Numbers = Mapping[str, float] | Mapping[tuple[str, str], float] | float | None
"""One number, one for each label set, or none."""
STATS: Final[Mapping[str, tuple[str, ...]]] = {
    "outbox_events": ("Events queued for BigPanda, by state.", "state"),
    "outbox_oldest_event_timestamp_seconds": (
        "When the oldest queued event was accepted; absent when the queue is empty.",
    ),
    "dead_letters": ("Events set aside because BigPanda rejected them.",),
    "dead_letter_resolutions": ("Resolutions among the dead letters.",),
    "quarantined_bodies": ("Quarantined webhooks and alerts, which cannot be read.",),
    "open_alerts": ("Open alerts, by the status sent to BigPanda.", "source", "status"),
    "incidents": (
        "BigPanda's incidents, as last reported by its webhooks; ok: resolved, within the retention.",
        "bigpanda_environment",
        "status",
    ),
    "share_quota_available": (
        "Shares left for this integration until BigPanda resets the count; absent unless BigPanda reports it.",
        "source",
    ),
    "unconfirmed_events": (
        "Events that BigPanda accepted but was not seen to process in two checks; absent without bigpanda.confirm.",
    ),
}
"""The families counted in the database: HELP text and labels."""


class QueueStatsCollector(Collector):
    """Serves the numbers that `look` reads from the database; none while it cannot be read."""

    def __init__(self, look: Callable[[], Mapping[str, Numbers]]) -> None:
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Return the families without reading the database."""
        return _families(dict.fromkeys(STATS))

    def collect(self) -> Iterable[Metric]:
        """Return the current families."""
        try:
            return _families(self._look())
        except Exception:  # noqa: BLE001  a scrape serves everything else whatever the database does
            return []


def _families(stats: Mapping[str, Numbers]) -> list[Metric]:
    found: list[Metric] = []
    for name, (documentation, *labels) in STATS.items():
        family, numbers = GaugeMetricFamily(f"{NAMESPACE}_{name}", documentation, labels=labels), stats[name]
        each = numbers if isinstance(numbers, Mapping) else {} if numbers is None else {(): numbers}
        for values, number in sorted(each.items()):
            family.add_metric([values] if isinstance(values, str) else values, number)
        found.append(family)
    return found


class Metrics:
    """Every family that the bridge counts itself, as a member of the same name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=self.registry)
        histogram = partial(Histogram, namespace=NAMESPACE, registry=self.registry)
        counter_of, gauge_of = partial(counter, labelnames=["source"]), partial(gauge, labelnames=["source"])
        self.notifications = counter("notifications", "Webhooks, by response.", ["receiver", "source", "outcome"])
        self.refusals = counter("http_refusals", "HTTP requests rejected, by reason.", ["reason"])
        for reason in REASONS:
            self.refusals.labels(reason)
        self.alerts = counter("alerts", "Alerts in accepted webhooks.", ["receiver", "source", "status"])
        self.events = counter("events", "Alerts, by outcome.", ["source", "outcome"])
        self.deliveries = counter("deliveries", "Events sent, by outcome.", ["outcome"])
        for outcome in DELIVERIES:
            self.deliveries.labels(outcome)
        self.unmapped = counter_of("unmapped_severities", "Alerts with an unknown severity.")
        self.truncated = counter_of("truncated_alerts", "Alerts left out of webhooks by max_alerts.")
        self.reconciled = counter("reconciled_alerts", "Corrections by the reconciler.", ["source", "action"])
        answered = "When all Alertmanagers last answered the reconciler."
        self.reconcile_success = gauge_of("reconcile_last_success_timestamp_seconds", answered)
        failed = "Failed requests of the reconciler to an Alertmanager."
        self.reconcile_failures = counter_of("reconcile_failures", failed)
        silent = "1 if the watchdog's alert has been silent for longer than max_silence, else 0."
        self.watchdog_silent = gauge_of("watchdog_silent", silent)
        accepted = "Seconds from accepting a webhook to BigPanda accepting its event."
        self.latency = histogram("delivery_latency_seconds", accepted, buckets=_LATENCIES)
        attended = partial(histogram, labelnames=["bigpanda_environment"], buckets=_ATTENDED)
        since = "Seconds from the start of an incident to {}, as reported by BigPanda's webhooks."
        until = since.format("its assignment, acknowledgement or snooze")
        self.time_to_acknowledge = attended("incident_time_to_acknowledge_seconds", until)
        self.time_to_resolve = attended("incident_time_to_resolve_seconds", since.format("its end"))
        by_hand = "Alerts that still fired when their incident was closed in BigPanda."
        self.resolved_by_hand = counter_of("resolved_by_hand", by_hand)
        self.callbacks = counter("callbacks", "Calls of BigPanda's callback service.", ["source", "outcome"])
        self.silences = counter("silences", "Silences in Alertmanager for snoozed incidents.", ["source", "action"])
        self.silence_failures = counter_of("silence_failures", "Failed requests to Alertmanager about silences.")
        self.silence_refusals = gauge_of("silence_refusals", "Wanted silences that Alertmanager currently rejects.")
        silenced = "Open alerts silenced in Alertmanager, as last seen by the reconciler."
        self.silenced_alerts = gauge_of("silenced_alerts", silenced)
        self.confirmed_events = counter("confirmed_events", "Events that BigPanda was seen to have processed.")
        diagnostics = "Entries of BigPanda's diagnostics about our app keys, by level."
        self.diagnostics = counter("diagnostics", diagnostics, ["level"])
        anew = "Alerts resent because they were still firing after their incident was closed."
        self.sent_anew = counter_of("sent_anew", anew)
        self.destination_up = gauge("destination_up", "1 if BigPanda accepted the last request, else 0.")
        self.destination_up.set(1)
        self.database_up = gauge("database_up", "1 if the database takes writes, as checked once a minute, else 0.")
        self.database_up.set(1)
        self.reload_successful = gauge("config_last_reload_successful", "Whether the last reload succeeded.")
        self.reload_time = gauge("config_last_reload_success_timestamp_seconds", "The last successful reload.")
        build = gauge("build_info", "Version of the running bridge; always 1.", ["version", "python"])
        build.labels(release(), platform.python_version()).set(1)

    def expect(self, receiver: str, source: str) -> None:
        """Initialize the counters of one receiver to 0, so that the first increase is seen."""
        for outcome in NOTIFICATIONS:
            self.notifications.labels(receiver, source, outcome)
        for status in ("firing", "resolved"):
            self.alerts.labels(receiver, source, status)
        for outcome in EVENTS:
            self.events.labels(source, outcome)
        self.unmapped.labels(source)
        self.truncated.labels(source)
        self.resolved_by_hand.labels(source)

    def forget(self, receiver: str, source: str) -> None:
        """Remove the webhook counters of a receiver that is no longer configured: its silence is not a failure."""
        for outcome in NOTIFICATIONS:
            self.notifications.remove(receiver, source, outcome)

    def expect_incidents(self, source: str) -> None:
        """Initialize the counters of one source's incidents to 0."""
        for outcome in ("accepted", "rejected", "retry"):
            self.callbacks.labels(source, outcome)
        for action in ("created", "updated", "expired"):
            self.silences.labels(source, action)
        self.silence_failures.labels(source)
        self.silence_refusals.labels(source)
        self.sent_anew.labels(source)

    def ingested(self, notification: Notification, outcome: Outcome) -> None:
        """Count one accepted webhook and its outcome."""
        receiver, source = notification.receiver, notification.source
        self.notifications.labels(receiver, source, "accepted").inc()
        firing = sum(alert.firing for alert in notification.alerts)
        self.alerts.labels(receiver, source, "firing").inc(firing)
        self.alerts.labels(receiver, source, "resolved").inc(len(notification.alerts) - firing)
        for word in EVENTS:
            self.events.labels(source, word).inc(getattr(outcome, word))
        self.events.labels(source, "skipped").inc(notification.ignored)
        self.unmapped.labels(source).inc(outcome.unmapped)
        self.truncated.labels(source).inc(notification.truncated)
        for environment, seconds in outcome.acknowledged:
            self.time_to_acknowledge.labels(environment).observe(seconds)
        for environment, seconds in outcome.resolved:
            self.time_to_resolve.labels(environment).observe(seconds)
        for of, count in outcome.closed_manually.items():
            self.resolved_by_hand.labels(of).inc(count)

    def refused(self, refusal: Refusal) -> None:
        """Count a rejected request; if it is a webhook rejected before the application, also by its receiver."""
        self.refusals.labels(refusal.reason).inc()
        outcome = {"overloaded": "unavailable", "malformed": "unsupported"}.get(refusal.reason, refusal.reason)
        # A request with another method than POST is no webhook.
        if refusal.receiver and not refusal.by_application and outcome in NOTIFICATIONS:
            receiver, _, source = refusal.receiver.partition("/")
            self.notifications.labels(receiver, source, outcome).inc()

    def reloaded(self, now: float | None) -> None:
        """Record when the configuration was loaded, in epoch seconds; None: that failed, and the last one stays."""
        self.reload_successful.set(now is not None)
        if now is not None:
            self.reload_time.set(now)
