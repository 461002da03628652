"""`check` and `send-test`: what is configured is asked, without an event; a test alert goes the whole way."""

import re

import pytest

from tests.bridge.alertmanagers import STATUS, alertmanager_with
from tests.sandbox.server import Sandbox


@pytest.mark.parametrize(
    ("token", "answer", "line"),
    [
        (
            "bp-token",
            None,
            "ok, credentials accepted (checked with an empty batch; BigPanda answered 400: ",
        ),
        ("bp-token", 201, "ok, credentials accepted (checked with an empty batch)"),
        ("other", None, "credentials rejected"),
        ("bp-token", 404, "not this API: check the URL"),
        ("bp-token", 503, "no conclusive response"),
    ],
)
def test_check_sends_no_event(run, panda, token, answer, line):
    """Credentials are tried with an empty batch, which BigPanda does not show."""
    panda.token, panda.status = token, answer
    done = run("check")
    assert done.status == (0 if line.startswith("ok") else 1)
    assert "configuration: ok, 2 receivers" in done.out
    assert "database: ok, 0 events queued" in done.out
    assert f"bigpanda: {line}" in done.out
    assert [request["alerts"] for request in panda.requests] == [[]]


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "connection refused"),
        ("sqlite:////nosuch/bridge.db", "/nosuch is not a directory"),
    ],
)
def test_check_of_an_unavailable_database_goes_on(run, config, panda, database, problem):
    """The operator sees in one run whether BigPanda accepts the credentials."""
    config.write_text(re.sub("sqlite:.*", database, config.read_text()))
    done = run("check")
    assert (done.status, done.err) == (1, "")
    assert f"\ndatabase: {problem}\nbigpanda: ok" in done.out


@pytest.fixture
def alertmanager():
    with alertmanager_with() as url:
        yield url


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


DEAD = "http://127.0.0.1:1"


def configured(config, **changes):
    """Write a configuration with everything that has a URL; `changes` replaces some of them."""
    text = config.read_text().splitlines(keepends=True)
    reconcile, silences, callback, incidents = (
        changes.get(name, "") for name in ("reconcile", "silences", "callback", "incidents")
    )
    key = changes.get("key", "bp-sandbox-user-key")
    config.write_text(
        "".join(text).replace("source: prod, ", f"source: prod, reconcile: {{urls: ['{reconcile}']}}, ")
        + f"  - {{receiver: bigpanda, source: panda, headers: {{x: y}}, silences: {{alertmanager: '{silences}'}},"
        f" callback: {{url: '{callback}/resources/v2.1/outbound/callback', api_key: {key}, app_key: out}}}}\n"
        f"incidents: {{url: '{incidents}', api_key: {key}}}\n"
    )


def test_check_covers_every_configured_url(run, config, alertmanager, sandbox):
    """Each Alertmanager, the silences, the callback service and the Incidents API have a line."""
    url = f"{sandbox.url}/bigpanda"
    configured(config, reconcile=alertmanager, silences=alertmanager, callback=url, incidents=url)
    done = run("check")
    assert (done.status, done.err) == (0, "")
    for line in (
        f"reconcile prod {alertmanager}: ok, 0 alerts listed",
        "silences panda: ok, 0 of ours",
        "callback panda: ok, credentials accepted (checked with an unknown incident",
        "incidents: ok, ",
    ):
        assert line in done.out


@pytest.mark.parametrize("dead", ["reconcile", "silences", "callback", "incidents"])
def test_unreachable_url_fails_the_check(run, config, alertmanager, sandbox, dead):
    """Status 1, with a line for it; the others are still checked."""
    url = f"{sandbox.url}/bigpanda"
    places = {"reconcile": alertmanager, "silences": alertmanager, "callback": url, "incidents": url} | {dead: DEAD}
    configured(config, **places)
    done = run("check")
    assert done.status == 1
    failed = [line for line in done.out.splitlines() if ": ok, " not in line and not line.startswith("configuration")]
    assert len(failed) == 1
    assert failed[0].startswith(dead)


@pytest.mark.parametrize(("name", "status"), [("big\\.panda", 0), ("old", 1), ("", 0)])
def test_another_alertmanager_fails_the_check(run, config, filled, name, status):
    """One without a webhook for a receiver that has sent to this source."""
    settings = next(one for one in filled.config.receivers if one.source == "prod")
    filled.store.ingest.accept([settings.notification(receiver_name=name, alerts=())], 0.0)
    original = "receivers: [{name: big.panda, webhook_configs: [{url: <secret>}]}]"
    with alertmanager_with(status=STATUS | {"config": {"original": original}}) as url:
        reconcile = f"source: prod, reconcile: {{urls: ['{url}']}}, "
        config.write_text(config.read_text().replace("source: prod, ", reconcile))
        done = run("check")
    assert done.status == status
    found = (
        "another Alertmanager: its configuration has no webhook for receiver old" if status else "ok, 0 alerts listed"
    )
    assert f"reconcile prod {url}: {found}" in done.out


def test_rejected_key_fails_the_check(run, config, alertmanager, sandbox):
    """401 is reported as wrong credentials, and no secret is printed."""
    url = f"{sandbox.url}/bigpanda"
    configured(config, reconcile=alertmanager, silences=alertmanager, callback=url, incidents=url, key="wrong-key")
    done = run("check")
    assert done.status == 1
    assert "callback panda: credentials rejected: BigPanda answered 401" in done.out
    assert "incidents: BigPanda answered 401" in done.out
    assert "wrong-key" not in done.out


def test_send_test_sends_an_alert_and_its_resolution(run, panda):
    """Two events with one identifier and the receiver's app key."""
    done = run("send-test", "--source", "lab")
    assert done.status == 0
    assert [event["status"] for event in panda.events] == ["warning", "ok"]
    first, second = (event["timestamp"] for event in panda.events)
    assert second == first + 1
    assert {event["incident_identifier"] for event in panda.events} == {f"lab:vendorwatch-test-{first}"}
    assert {request["app_key"] for request in panda.requests} == {"lab-key"}
    assert done.out.count("accepted by BigPanda") == 2


def test_rejected_test_alert_prints_bigpandas_message(run, panda):
    """Status 1, and no secret."""
    panda.token = "other"
    done = run("send-test")
    assert done.status == 1
    assert "BigPanda answered 401" in done.out
    assert "bp-token" not in done.out


def test_send_test_with_an_unknown_source_is_an_error(run):
    """The source must be configured."""
    done = run("send-test", "--source=nowhere")
    assert (done.status, done.out) == (1, "send-test: no receiver has the source nowhere\n")


@pytest.mark.parametrize(
    ("shows", "line"),
    [
        (True, "ok, BigPanda lists the alerts of 2 integrations"),
        (False, "BigPanda answered 403"),
    ],
)
def test_check_covers_the_confirmation(run, config, sandbox, shows, line):
    """The listing of each integration and the diagnostics, if the key may see them."""
    sandbox.settings.bigpanda.shows_integration_alerts = shows
    confirm = f"confirm: {{url: '{sandbox.url}/bigpanda', api_key: bp-sandbox-user-key}}, "
    config.write_text(config.read_text().replace("bigpanda: {", f"bigpanda: {{{confirm}"))
    done = run("check")
    assert f"bigpanda.confirm: {line}" in done.out
    assert done.status == (0 if shows else 1)
    asked = sandbox.traffic.described()["bigpanda"]["paths"]
    assert sorted(asked.values()) == ([1, 2] if shows else [1])
