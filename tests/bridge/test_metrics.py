import gzip
import re
import shutil
import subprocess
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bridge.domain.alert import Alert
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification, Outcome
from bridge.metrics import EVENTS, Metrics, QueueStatsCollector
from exporter.toolkit import exposition
from exporter.toolkit.refusals import Refusal

STATS = {
    "outbox_events": {"waiting": 3, "held": 1},
    "outbox_oldest_event_timestamp_seconds": 1_800_000_000.0,
    "dead_letters": 2,
    "dead_letter_resolutions": 1,
    "quarantined_bodies": 4,
    "open_alerts": {("prod", "critical"): 5},
    "incidents": {("All", "warning"): 6},
    "share_quota_available": {"panda": 7.0},
    "unconfirmed_events": None,
}


def page(metrics):
    return exposition.page(metrics.registry, openmetrics=False)[0].decode()


def test_every_family_of_the_interface_is_served():
    """The names and labels that users rely on exist from the first scrape."""
    metrics = Metrics()
    metrics.registry.register(QueueStatsCollector(lambda: STATS))
    metrics.expect("alertmanager", "prod")
    metrics.expect_incidents("panda")
    metrics.reconciled.labels("prod", "closed").inc()
    served = page(metrics)
    for sample in (
        'notifications_total{outcome="accepted",receiver="alertmanager",source="prod"} 0.0',
        'alerts_total{receiver="alertmanager",source="prod",status="firing"} 0.0',
        'events_total{outcome="superseded",source="prod"} 0.0',
        'deliveries_total{outcome="destination_down"} 0.0',
        "delivery_latency_seconds_count 0.0",
        'outbox_events{state="waiting"} 3.0',
        "outbox_oldest_event_timestamp_seconds 1.8e+09",
        "dead_letters 2.0",
        "dead_letter_resolutions 1.0",
        "quarantined_bodies 4.0",
        'open_alerts{source="prod",status="critical"} 5.0',
        'unmapped_severities_total{source="prod"} 0.0',
        'truncated_alerts_total{source="prod"} 0.0',
        'reconciled_alerts_total{action="closed",source="prod"} 1.0',
        "destination_up 1.0",
        'incidents{bigpanda_environment="All",status="warning"} 6.0',
        'share_quota_available{source="panda"} 7.0',
        'resolved_by_hand_total{source="prod"} 0.0',
        'callbacks_total{outcome="retry",source="panda"} 0.0',
        'silences_total{action="created",source="panda"} 0.0',
        'silence_failures_total{source="panda"} 0.0',
        'sent_anew_total{source="panda"} 0.0',
    ):
        assert f"vendorwatch_bridge_{sample}\n" in served
    assert "process_cpu_seconds_total" in served
    assert "python_info" in served
    assert "_created" not in served


def test_openmetrics_has_units_and_created_timestamps():
    """For a counter's first increase in Prometheus; the text format has no extra series."""
    before = time.time()
    metrics = Metrics()
    metrics.expect("alertmanager", "prod")
    page = gzip.decompress(exposition.page(metrics.registry, openmetrics=True, packed=True)[0]).decode()
    families = {each.name: each for each in text_string_to_metric_families(page)}
    created = [each for each in families["vendorwatch_bridge_events"].samples if each.name.endswith("_created")]
    assert len(created) == len(EVENTS)
    assert all(before <= each.value <= time.time() for each in created)
    assert families["vendorwatch_bridge_delivery_latency_seconds"].unit == "seconds"
    assert families["process_resident_memory_bytes"].unit == "bytes"
    assert families["vendorwatch_bridge_destination_up"].unit == ""


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_check_metrics_passes():
    """The page is as Prometheus's own linter wants it."""
    metrics = Metrics()
    metrics.registry.register(QueueStatsCollector(lambda: STATS))
    metrics.expect("alertmanager", "prod")
    metrics.expect_incidents("panda")
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=page(metrics).encode(), capture_output=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_unreadable_database_leaves_its_metrics_absent():
    """The rest of the page is served."""

    def look():
        raise OSError("gone")

    metrics = Metrics()
    metrics.registry.register(QueueStatsCollector(look))
    served = page(metrics)
    assert "outbox_events" not in served
    assert "destination_up" in served


def test_an_empty_outbox_has_no_oldest_event():
    """The metric is absent, not 0."""
    metrics = Metrics()
    metrics.registry.register(QueueStatsCollector(lambda: STATS | {"outbox_oldest_event_timestamp_seconds": None}))
    assert "\nvendorwatch_bridge_outbox_oldest_event_timestamp_seconds" not in page(metrics)


def test_failed_reload_keeps_the_time_of_the_last_successful_one():
    """And success is 0."""
    metrics = Metrics()
    metrics.reloaded(5.0)
    metrics.reloaded(None)
    assert metrics.registry.get_sample_value("vendorwatch_bridge_config_last_reload_successful") == 0
    name = "vendorwatch_bridge_config_last_reload_success_timestamp_seconds"
    assert metrics.registry.get_sample_value(name) == 5.0


def test_webhook_contents_are_counted():
    """Alerts by status, their outcomes, and the times of incidents by environment."""
    metrics = Metrics()
    mapping = EventMapping(app_key="app", statuses={}, primary_property=())
    alert = Alert(receiver="alertmanager", source="prod", key="k", name="Down", firing=True, starts_at=1.0)
    notification = Notification(
        receiver="alertmanager", source="prod", mapping=mapping, alerts=(alert,), ignored=3, truncated=2
    )
    outcome = Outcome(queued=1, skipped=1, unmapped=1, acknowledged=[("edge", 60.0)], resolved=[("edge", 600.0)])
    outcome.closed_manually["prod"] += 1
    metrics.ingested(notification, outcome)
    served = page(metrics)
    for sample in (
        'notifications_total{outcome="accepted",receiver="alertmanager",source="prod"} 1.0',
        'alerts_total{receiver="alertmanager",source="prod",status="firing"} 1.0',
        'alerts_total{receiver="alertmanager",source="prod",status="resolved"} 0.0',
        'events_total{outcome="queued",source="prod"} 1.0',
        'events_total{outcome="skipped",source="prod"} 4.0',
        'unmapped_severities_total{source="prod"} 1.0',
        'truncated_alerts_total{source="prod"} 2.0',
        'incident_time_to_acknowledge_seconds_sum{bigpanda_environment="edge"} 60.0',
        'incident_time_to_resolve_seconds_count{bigpanda_environment="edge"} 1.0',
        'resolved_by_hand_total{source="prod"} 1.0',
    ):
        assert f"vendorwatch_bridge_{sample}\n" in served


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "unsupported"), (401, "unauthorized"), (405, None), (413, "too_large"), (415, "unsupported"),
     (503, "unavailable")],
)  # fmt: skip
def test_rejected_webhook_is_counted_by_its_reason(status, outcome):
    """A browser's GET is no webhook, and says nothing about the database."""
    metrics = Metrics()
    metrics.expect("vigilmon", "uptime")
    metrics.refused(Refusal(status, "why", "192.0.2.1", "vigilmon/uptime"))
    counted = re.findall(r'notifications_total{outcome="(\w+)",receiver="vigilmon",source="uptime"} 1.0', page(metrics))
    assert counted == [outcome] * (outcome is not None)
