"""The exporter's own families."""

import time
from dataclasses import replace

from exporter.metrics.exporter_metrics import Running, own_families, python_lines
from exporter.toolkit.refusals import Refusal
from tests.exporter.health import HEALTH

TRUNCATED = replace(
    HEALTH,
    last_success=1000.0,
    truncated=True,
    requests={("/monitors", "ok"): 3, ("/monitors", "timeout"): 1},
)
OF = ("demo", "prod")


def stated(families):
    return {family.metric.name: dict(family.samples) for family in families}


def test_each_target_has_its_health_on_the_page():
    """Labelled by collector and account; requests also by endpoint and outcome."""
    assert stated(own_families([TRUNCATED], [])) == {
        "vendorwatch_poll_success": {OF: True},
        "vendorwatch_poll_last_success_timestamp_seconds": {OF: 1000.0},
        "vendorwatch_poll_duration_seconds": {OF: 0.5},
        "vendorwatch_poll_truncated": {OF: True},
        "vendorwatch_api_rate_limit_remaining": {},
        "vendorwatch_target_series": {OF: 7},
        "vendorwatch_budget_used_ratio": {OF: 0.25},
        "vendorwatch_oldest_value_timestamp_seconds": {OF: 900.0},
        "vendorwatch_api_requests_total": {(*OF, "/monitors", "ok"): 3, (*OF, "/monitors", "timeout"): 1},
    }


def test_each_count_of_requests_has_its_own_beginning():
    """In OpenMetrics, so that a count that began anew is not taken for a fall."""
    other = replace(HEALTH, account="lab", counting_since=950.0, requests={("/monitors", "ok"): 1})
    requests = own_families([replace(TRUNCATED, counting_since=900.0), other], [])[-1]
    assert [labels[1] for labels, _ in requests.samples] == ["prod", "prod", "lab"]
    assert requests.created == [900.0, 900.0, 950.0]


def test_unknown_values_are_absent():
    """Before the first poll there is no success, no age and no duration, not even 0."""
    families = stated(own_families([replace(TRUNCATED, success=None, last_success=None, duration=None)], []))
    assert families["vendorwatch_poll_success"] == {}
    assert families["vendorwatch_poll_last_success_timestamp_seconds"] == {}
    assert families["vendorwatch_poll_duration_seconds"] == {}


def test_failed_reload_keeps_the_time_of_the_last_successful_one():
    """So that an alert can show how long the file has been invalid."""
    running = Running("1.2.3")
    running.succeeded(1000.0)
    running.failed()
    families = stated(running.families())
    assert families["vendorwatch_config_last_reload_successful"] == {(): 0.0}
    assert families["vendorwatch_config_last_reload_success_timestamp_seconds"] == {(): 1000.0}
    assert [labels[0] for labels in families["vendorwatch_build_info"]] == ["1.2.3"]


def test_rejected_requests_are_counted_by_reason_since_the_start():
    """A reason without any is 0, so that the first one is seen as an increase."""
    before = time.time()
    running = Running("1.2.3")
    for status in (401, 401, 408):
        running.refused(Refusal(status, "of some kind", "10.0.0.7"))
    (found,) = (family for family in running.families() if family.metric.name == "vendorwatch_http_refusals_total")
    assert {labels[0]: count for labels, count in found.samples if count} == {"unauthorized": 2.0, "timeout": 1.0}
    assert len(found.samples) == len(found.created) > 2
    assert before <= min(found.created) <= time.time()


def test_shard_info_is_exported():
    """Not by a single exporter."""
    assert stated(Running("1.2.3").families())["vendorwatch_shard_info"] == {}
    assert Running("1.2.3").roles() == []
    running = Running("1.2.3", (2, 3))
    assert stated(running.families())["vendorwatch_shard_info"] == {("2", "3"): 1.0}
    assert running.roles() == ["shard 2 of 3"]


def test_leader_and_storage_up_are_exported():
    """While the storage is unavailable, too."""
    assert stated(Running("1.2.3").families())["vendorwatch_leader"] == {}
    assert stated(Running("1.2.3").families())["vendorwatch_storage_up"] == {}
    role = ["following"]
    running = Running("1.2.3", (1, 2), lambda: role[0])
    assert stated(running.families())["vendorwatch_leader"] == {(): 0.0}
    assert stated(running.families())["vendorwatch_storage_up"] == {(): 1.0}
    assert running.roles() == ["shard 1 of 2", "following: serving the data of the leading exporter"]
    role[0] = "leading"
    assert stated(running.families())["vendorwatch_leader"] == {(): 1.0}
    assert stated(running.families())["vendorwatch_storage_up"] == {(): 1.0}
    assert running.roles() == ["shard 1 of 2", "leading"]
    role[0] = "unavailable"
    assert stated(running.families())["vendorwatch_storage_up"] == {(): 0.0}
    assert running.roles() == [
        "shard 1 of 2",
        "PostgreSQL unavailable: serving the last known data, not polling",
    ]


def test_process_metrics_are_at_the_end_of_the_page():
    """prometheus_client's families in both formats; OpenMetrics ends with its EOF mark."""
    assert b"process_resident_memory_bytes" in python_lines(openmetrics=False)
    assert b"# TYPE process_cpu_seconds counter" in python_lines(openmetrics=True)
    assert python_lines(openmetrics=True).endswith(b"\n# EOF\n")
    assert b"# EOF" not in python_lines(openmetrics=False)
