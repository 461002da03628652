import json

import pytest

NOW = 1_795_176_000
ALERT = {"status": "critical", "timestamp": NOW, "host": "web1", "check": "disk"}


@pytest.fixture
def inbound(client):
    return client("/bigpanda/data/v2/alerts", "bp-sandbox-org-token")


@pytest.fixture
def intake(sandbox):
    return sandbox.world.bigpanda.intake


def send(inbound, *alerts):
    return inbound.post("", json={"app_key": "k", "alerts": list(alerts)})


def test_single_alert_and_batch_are_accepted(inbound, control):
    """Events are kept in order of arrival with their time and request."""
    single = inbound.post("", json={"app_key": "k", **ALERT})
    batch = send(inbound, {**ALERT, "host": "web2"}, {**ALERT, "host": "web3"})
    kept = control.get("/bigpanda/events").json()
    assert (single.status_code, batch.status_code) == (201, 201)
    assert [(e["number"], e["request"], e["alert"]["host"]) for e in kept["events"]] == [
        (1, 1, "web1"),
        (2, 2, "web2"),
        (3, 2, "web3"),
    ]
    assert kept["events"][0]["received_at"] == NOW
    assert len(control.get("/bigpanda/events?after=2").json()["events"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "firing"}, "'status' must exist and be one of"),
        ({"timestamp": NOW * 1000}, "'timestamp' must be a time in Unix format"),
        ({"timestamp": str(NOW)}, "'timestamp' must be a time in Unix format"),
        ({"timestamp": NOW + 0.5}, "'timestamp' must be a time in Unix format"),
        ({"host": ""}, "one of host, service, application, device"),
        ({"labels": {"a": "b"}}, "'labels' must be a string, an integer or an array"),
        ({"labels": [{"a": "b"}]}, "'labels' must be a string, an integer or an array"),
        ({"value": None}, "'value' must be a string, an integer or an array"),
    ],
)
def test_one_bad_alert_rejects_its_batch(inbound, intake, change, words):
    """The error names the alert by its position."""
    answer = send(inbound, ALERT, {**ALERT, **change})
    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    assert answer.json()["errors"][0].startswith(f"alert 2: {words}")
    assert intake.events == []


def test_only_the_bad_alert_is_dropped_if_configured(sandbox, inbound, intake, client):
    """The vendor's documents leave it open; a dropped alert is in the troubleshooting logs."""
    sandbox.settings.bigpanda.bad_item_spoils_batch = False
    assert send(inbound, {"status": "critical"}, ALERT).status_code == 201
    logs = client("/bigpanda/resources/v2.0/troubleshooting", "bp-sandbox-user-key").get("/logs").json()
    assert [event.alert["host"] for event in intake.events] == ["web1"]
    assert (logs["total"], logs["logs"][0]["log_type"]) == (1, "invalid_payload")


def test_a_primary_property_is_the_name_of_a_member(inbound, intake):
    """The named member counts; without that member the usual ones do."""
    named = {"status": "critical", "primary_property": "pod", "pod": "a-1"}
    missing = {"status": "critical", "primary_property": "pod", "service": "shop"}
    assert send(inbound, named, missing).status_code == 201
    assert {identity for _, identity in intake.alerts} == {"a-1\n", "shop\n"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "payload is not valid JSON"),
        (b"[]", "payload must be an object"),
        (json.dumps(ALERT).encode(), "'app_key' must exist"),
        (json.dumps({"app_key": "k", "alerts": []}).encode(), "'alerts' must be an array of alerts"),
        (json.dumps({"app_key": "stranger", **ALERT}).encode(), "'app_key' is not known"),
    ],
)
def test_invalid_bodies_are_rejected(sandbox, inbound, content, words):
    """With the same shape of error."""
    sandbox.settings.bigpanda.app_keys = ["k"]
    answer = inbound.post("", data=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"status": 400, "errors": [words]})


def test_body_over_six_megabytes_is_rejected(inbound):
    """A larger body is refused."""
    assert send(inbound, {**ALERT, "tag": "x" * 6_000_000}).status_code == 413


def test_credentials(client):
    """The organization's token, in the header or the query; a user's key is for the resources."""
    for token, query, status in (
        ("bp-sandbox-org-token", "", 201),
        ("", "?access_token=bp-sandbox-org-token", 204),
        ("bp-sandbox-user-key", "", 401),
        ("", "", 401),
    ):
        inbound = client("/bigpanda/data/v2/alerts", token)
        assert inbound.post(query, json={"app_key": "k", **ALERT}).status_code == status
    assert client("/bigpanda/data/v1/alerts", "bp-sandbox-org-token").post("", json=ALERT).status_code == 404
    assert client("/bigpanda/data/v2/alerts", "bp-sandbox-org-token").get("").status_code == 501


def test_exact_duplicates_are_204(inbound, intake):
    """Without a body if no event in the request is new; otherwise 201."""
    send(inbound, ALERT)
    again, mixed = send(inbound, ALERT), send(inbound, ALERT, {**ALERT, "timestamp": NOW + 1})
    assert (again.status_code, again.content) == (204, b"")
    assert (mixed.status_code, len(intake.events), intake.duplicates) == (201, 2, 2)


@pytest.mark.parametrize(("strict", "status"), [(False, "ok"), (True, "critical")])
def test_resolve_in_the_same_second_is_dropped(sandbox, inbound, intake, strict, status):
    """By the old rule, although its status differs."""
    sandbox.settings.bigpanda.strict_old_dedup = strict
    send(inbound, ALERT)
    send(inbound, {**ALERT, "status": "ok"})
    assert [alert.status for alert in intake.alerts.values()] == [status]


def test_the_newest_timestamp_decides(inbound, intake):
    """An older event changes nothing."""
    send(inbound, {**ALERT, "timestamp": NOW - 10})
    send(inbound, {**ALERT, "status": "ok", "timestamp": NOW})
    send(inbound, {**ALERT, "status": "warning", "timestamp": NOW - 5})
    assert [alert.status for alert in intake.alerts.values()] == ["ok"]


def test_an_incident_identifier_is_the_identity(inbound, intake):
    """It distinguishes two alerts of one host and check."""
    send(inbound, {**ALERT, "incident_identifier": "a"}, {**ALERT, "incident_identifier": "b"})
    send(inbound, {**ALERT, "incident_identifier": "a", "status": "ok", "timestamp": NOW + 1})
    assert {identity: alert.status for (_, identity), alert in intake.alerts.items()} == {"a": "ok", "b": "critical"}


def test_acknowledged_keeps_the_status(inbound, intake):
    """The API accepts it, but the alert keeps its status."""
    send(inbound, ALERT, {**ALERT, "status": "acknowledged", "timestamp": NOW + 1})
    alert = next(iter(intake.alerts.values()))
    assert (alert.status, alert.acknowledged) == ("critical", True)


@pytest.mark.parametrize(("hours", "incidents"), [(47, 1), (49, 2)])
def test_event_reopens_its_incident_within_48_hours(sandbox, inbound, clock, hours, incidents):
    """Later it creates a new one."""
    send(inbound, ALERT)
    send(inbound, {**ALERT, "status": "ok", "timestamp": NOW + 1})
    clock.now += hours * 3600
    send(inbound, {**ALERT, "timestamp": int(clock.now)})
    found = sandbox.world.bigpanda.incidents
    assert (len(found), [incident.active for incident in found.values()][-1]) == (incidents, True)


def test_resolve_of_an_unknown_alert_is_accepted(sandbox, inbound, intake):
    """It creates a closed alert and no incident."""
    assert send(inbound, {**ALERT, "status": "ok"}).status_code == 201
    assert ([alert.status for alert in intake.alerts.values()], sandbox.world.bigpanda.incidents) == (["ok"], {})


@pytest.mark.parametrize(("send_retry_after", "header"), [(False, None), (True, "1")])
def test_rate_limit_is_configurable(sandbox, inbound, clock, send_retry_after, header):
    """No limit is published; one can be set, with or without Retry-After."""
    sandbox.settings.change({"bigpanda": {"alerts_per_second": 1, "send_retry_after": send_retry_after}})
    send(inbound, ALERT)
    refused = send(inbound, ALERT)
    assert (refused.status_code, refused.headers.get("Retry-After")) == (429, header)
    clock.now += 1
    assert send(inbound, ALERT).status_code == 204


def test_processed_alerts_can_be_listed(sandbox, inbound, client):
    """By pages, for one integration; dropped ones are only in the diagnostics."""
    sandbox.settings.bigpanda.drops_one_in = 3
    alerts = [{**ALERT, "host": f"h{number}"} for number in range(4)]
    assert inbound.post("", json={"app_key": "app", "alerts": alerts}).status_code == 201
    assert inbound.post("", json={"app_key": "other", **ALERT}).status_code == 201
    resources = client("/bigpanda/resources", "bp-sandbox-user-key")
    pages = [
        resources.get("/v2.1/integration-alerts", params={"app_key": "app", "limit": 2, "page": page}).json()
        for page in (1, 2)
    ]
    assert [page["total"] for page in pages] == [3, 3]
    assert [one["payload"]["host"] for page in pages for one in page["alerts"]] == ["h3", "h1", "h0"]
    (entry,) = resources.get("/v2.0/troubleshooting/logs", params={"resource_id": "api.app"}).json()["logs"]
    assert (entry["payload"]["host"], entry["level"]) == ("h2", "error")
    assert resources.get("/v2.0/troubleshooting/logs", params={"level": "warning"}).json()["total"] == 0
    sandbox.settings.bigpanda.shows_integration_alerts = False
    assert resources.get("/v2.1/integration-alerts", params={"app_key": "app"}).status_code == 403
