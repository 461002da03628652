"""Real Alertmanagers lose the end of alerts in many ways: no stuck alert, no duplicate, no false resolve."""

import time
from contextlib import ExitStack

import pytest

from tests.sandbox.server import Sandbox
from tests.system.alerting import RECEIVER, Alerting
from tests.system.running import missing, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

OPEN, CLOSED = ["critical"], ["critical", "ok"]


def needed():
    if absent := missing("prometheus-alertmanager"):
        pytest.skip(f"not installed: {', '.join(absent)} (tests/system/programs installs it)")


@pytest.fixture(scope="module")
def shared_alerting(tmp_path_factory):
    """Start one Alertmanager with its bridge, for every test that needs nothing special of them."""
    needed()
    with Sandbox() as sandbox, ExitStack() as running:
        yield Alerting(tmp_path_factory.mktemp("shared"), running.enter_context, sandbox).begin()


@pytest.fixture
def shared(shared_alerting, logged):
    """Give the shared Alertmanager; a test that uses it has alerts that no other has."""
    logged([shared_alerting.bridge, *shared_alerting.alertmanagers])
    return shared_alerting


@pytest.fixture
def alerting(tmp_path, started):
    """Make a bridge and its Alertmanagers, with settings of the test's own, and start them."""
    needed()
    with Sandbox() as sandbox:
        yield lambda **settings: Alerting(tmp_path, started, sandbox, **settings).begin()


def test_alert_that_ends_under_a_silence_is_resolved(shared):
    """Alertmanager sends no "resolved" for it. A silenced alert that still fires stays open, without an event."""
    before = [shared.counted("reconciled_alerts_total", action=action) for action in ("closed", "opened")]
    shared.push("Ends", "Fires")
    shared.arrives(Ends=OPEN, Fires=OPEN)
    for name in ("Ends", "Fires"):
        shared.silence(name)
        shared.suppressed(name)
    shared.polled()
    shared.stays(Ends=OPEN, Fires=OPEN)
    shared.resolve("Ends")
    shared.arrives(Ends=CLOSED)
    shared.stays(Ends=CLOSED, Fires=OPEN)
    assert shared.counted("reconciled_alerts_total", action="closed") == before[0] + 1
    assert shared.counted("reconciled_alerts_total", action="opened") == before[1]


def test_alert_silenced_from_the_start_is_sent_when_the_silence_ends(shared):
    """The reconciler does not open a silenced alert; when the silence ends it is sent, once."""
    silence = shared.silence("Quiet")
    shared.push("Quiet", "Loud")
    shared.arrives(Loud=OPEN)
    shared.suppressed("Quiet")
    shared.polled()
    shared.stays(Loud=OPEN, Quiet=[])
    shared.unsilence(silence)
    shared.arrives(Quiet=OPEN)
    shared.stays(Loud=OPEN, Quiet=OPEN)


def test_silenced_acknowledge_sends_one_event_for_the_silence_and_one_for_its_end(alerting):
    """An alert that ends under the silence is resolved."""
    site = alerting(receiver={"silenced": "acknowledge"})
    site.push("Ends", "Fires")
    site.arrives(Ends=OPEN, Fires=OPEN)
    silences = [site.silence(name) for name in ("Ends", "Fires")]
    site.arrives(Ends=["critical", "acknowledged"], Fires=["critical", "acknowledged"])
    events = [event.alert for event in site.sandbox.world.bigpanda.intake.events]
    event = next(event for event in events if event["status"] == "acknowledged")
    assert (event["silenced_by"], event["silence_comment"], event["silenced_until"][-1]) == ("test", "test", "Z")
    assert site.counted("silenced_alerts", source="prod") == 2
    site.resolve("Ends")
    site.unsilence(silences[1])
    site.arrives(Ends=["critical", "acknowledged", "ok"], Fires=["critical", "acknowledged", "critical"])
    site.stays(Ends=["critical", "acknowledged", "ok"], Fires=["critical", "acknowledged", "critical"])
    until("none is silenced", lambda: site.counted("silenced_alerts", source="prod") == 0)


def test_bridge_without_its_database_recovers_firing_alerts(alerting):
    """Alertmanager repeats nothing, so the reconciler polls the firing alerts and later resolves them."""
    site = alerting(reconcile={"receiver": RECEIVER})
    site.push("Ends", "Fires")
    site.arrives(Ends=OPEN, Fires=OPEN)
    site.bridge.stop()
    for file in site.folder.glob("bridge.db*"):
        file.unlink()
    site.bridge.start()
    until("both are open again", lambda: site.counted("open_alerts", status="critical") == 2)
    site.silence("Ends")
    site.suppressed("Ends")
    site.resolve("Ends")
    until("Ends is closed", lambda: site.statuses_at_bigpanda("Ends")[-1] == "ok")
    assert site.statuses_at_bigpanda("Fires")[-1] == "critical"


def test_alert_that_ends_while_inhibited_is_resolved(shared):
    """The inhibiting alert keeps firing."""
    shared.push("Effect")
    shared.arrives(Effect=OPEN)
    shared.push("Cause")
    shared.suppressed("Effect")
    shared.arrives(Cause=OPEN)
    shared.polled()
    shared.stays(Effect=OPEN, Cause=OPEN)
    shared.resolve("Effect")
    shared.arrives(Effect=CLOSED)
    shared.stays(Effect=CLOSED, Cause=OPEN)


def test_alertmanager_restart_between_end_and_notification(alerting):
    """The reconciler resolves alerts that Alertmanager forgot, but not those that it will know again later."""
    site = alerting(route={"group_interval": "1m"}, reconcile={"min_uptime": "6s"})
    site.push("Ends", "Fires")
    site.arrives(Ends=OPEN, Fires=OPEN)
    site.resolve("Ends")
    site.alertmanagers[0].restart()
    until("nothing is known", lambda: site.state(site.alertmanagers[0], "Fires") == "")
    time.sleep(2)
    site.push("Fires")
    site.arrives(Ends=CLOSED)
    site.stays(Ends=CLOSED, Fires=OPEN)


def test_killed_alertmanager_repeats_firing_alerts(alerting):
    """It loses its notification log and repeats firing alerts; BigPanda gets no duplicate."""
    site = alerting(reconcile={"min_uptime": "5s"})
    site.push("Ends", "Fires")
    site.arrives(Ends=OPEN, Fires=OPEN)
    site.alertmanagers[0].kill()
    until("the reconciler notices", lambda: site.counted("reconcile_failures_total") >= 2)
    assert site.statuses_at_bigpanda("Ends") == OPEN
    site.alertmanagers[0].start()
    time.sleep(2)
    before = site.counted("notifications_total", outcome="accepted")
    site.push("Fires")
    until("Alertmanager repeats Fires", lambda: site.counted("notifications_total", outcome="accepted") > before)
    site.arrives(Ends=CLOSED)
    site.stays(Ends=CLOSED, Fires=OPEN)


def test_alerts_truncated_by_max_alerts_are_fetched(alerting):
    """Two of three alerts are not in the webhook: they are fetched at once, and resolved later."""
    site = alerting(webhook={"max_alerts": 1}, reconcile={"interval": "2s"})
    names = {"Cut": ["critical"] * 3}
    for instance in ("a", "b", "c"):
        site.push("Cut", instance=instance)
    site.arrives(**names)
    assert site.counted("truncated_alerts_total", source="prod") > 0
    assert "left out of a truncated webhook" in site.bridge.tail()
    for instance in ("a", "b", "c"):
        site.resolve("Cut", instance=instance)
    until("all are closed", lambda: sorted(site.statuses_at_bigpanda("Cut")) == ["critical"] * 3 + ["ok"] * 3)
    site.stays(Cut=site.statuses_at_bigpanda("Cut"))


def test_alert_muted_by_a_time_interval_is_sent_when_that_ends(alerting):
    """The reconciler does not open it meanwhile, whatever the version; one that ends muted is resolved."""
    site, times = alerting(), [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]
    site.push("Ends")
    site.arrives(Ends=OPEN)
    quick = {"group_wait": "0s", "group_interval": "1s"}
    muted = {"receiver": RECEIVER, "matchers": ["alertname!=other"], "mute_time_intervals": ["always"], **quick}
    site.config["time_intervals"] = [{"name": "always", "time_intervals": times}]
    site.configure(routes=[muted])
    site.reload()
    site.push("Muted")
    site.resolve("Ends")
    site.arrives(Ends=CLOSED)
    site.polled()
    site.stays(Ends=CLOSED, Muted=[])
    del muted["mute_time_intervals"]
    site.configure(routes=[muted])
    site.reload()
    site.arrives(Muted=OPEN)


def test_alert_that_is_no_longer_routed_to_the_bridge_is_not_opened(alerting):
    """The receiver that sent everything during a trial has no webhook any more; another sends only what is critical."""
    site = alerting()
    site.push("Trial")
    site.arrives(Trial=OPEN)
    webhooks = site.config["receivers"][0].pop("webhook_configs")
    site.config["receivers"].append({"name": "critical", "webhook_configs": webhooks})
    site.configure(routes=[{"receiver": "critical", "matchers": ["severity=critical"]}])
    site.reload()
    site.push("Minor", severity="warning")
    site.push("Major")
    site.arrives(Major=OPEN)
    site.polled()
    site.stays(Trial=OPEN, Minor=[], Major=OPEN)


def test_change_of_group_by(alerting):
    """New groups lose resolutions and repeat firing alerts: the reconciler resolves, and nothing is duplicated."""
    site = alerting(route={"group_interval": "1m"})
    site.push("Ends", "Fires")
    site.arrives(Ends=OPEN, Fires=OPEN)
    before = site.counted("notifications_total", outcome="accepted")
    site.resolve("Ends")
    site.configure(group_by=["alertname", "instance"])
    site.reload()
    until("Alertmanager repeats Fires", lambda: site.counted("notifications_total", outcome="accepted") > before)
    site.arrives(Ends=CLOSED)
    site.stays(Ends=CLOSED, Fires=OPEN)


def test_cluster_counts_as_one_alertmanager(alerting):
    """No duplicate event, no resolve while a peer is down, nothing stuck when it is back."""
    site = alerting(peers=2, reconcile={"min_uptime": "1s"})
    for program in site.alertmanagers:
        until("settled", lambda program=program: program.get("/api/v2/status").json()["cluster"]["status"] == "ready")
    site.push("Told", "Ends", "Fires")
    site.arrives(Told=OPEN, Ends=OPEN, Fires=OPEN)
    until("both deliver", lambda: site.counted("events_total", outcome="unchanged") >= 2)
    site.resolve("Told")
    site.arrives(Told=CLOSED)
    site.silence("Ends")
    site.suppressed("Ends")
    site.polled()
    first, second = site.alertmanagers
    second.stop()
    site.resolve("Ends")
    until("it has ended", lambda: site.state(first, "Ends") == "")
    failures = site.counted("reconcile_failures_total")
    until("the reconciler cannot know", lambda: site.counted("reconcile_failures_total") > failures + 3)
    site.stays(Told=CLOSED, Ends=OPEN, Fires=OPEN)
    second.start()
    site.push("Fires")
    site.arrives(Ends=CLOSED)
    site.stays(Told=CLOSED, Ends=CLOSED, Fires=OPEN)


def test_silent_watchdog_raises_an_alert(alerting):
    """The watchdog itself is never sent; the alert about its silence is resolved when it arrives again."""
    site = alerting(
        route={"repeat_interval": "1s"}, receiver={"watchdog": {"alertname": "Watchdog", "max_silence": "5s"}}
    )
    site.push("Watchdog")
    site.push("Other")
    site.arrives(Other=OPEN)
    time.sleep(7)
    assert site.statuses_at_bigpanda("Watchdog") == []
    site.bridge.restart()
    site.stays(Watchdog=[], Other=OPEN)
    site.resolve("Watchdog")
    site.arrives(Watchdog=OPEN)
    site.push("Watchdog")
    site.arrives(Watchdog=CLOSED)
    site.stays(Watchdog=CLOSED, Other=OPEN)
