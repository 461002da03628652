"""The pages in a real browser: an operator's actions, rejected strangers, and axe-core's findings."""

import json
import re
import shutil
import signal
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product

import bcrypt
import pytest
import requests

from exporter.collectors.contract import Figure
from exporter.metrics.health import Health
from exporter.web.pages import landing_page
from tests.bridge.alertmanagers import alertmanager_with
from tests.store import Store
from tests.system.bridging import ODD, RECEIVER, alert, dead_letters, post, webhook
from tests.system.commands import exporter
from tests.system.running import free_port, python, until

browsing = pytest.importorskip("tests.system.browsing", reason="selenium is not installed")
pytestmark = pytest.mark.system

HOSTILE = "</td><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
LOOKS = [*product((browsing.WIDE, browsing.NARROW), (False, True)), (1024, False), (740, False)]
PANDA = {"receiver": "bigpanda", "source": "panda", "headers": {"x-api-key": "header-of-the-page"}}
READABLE = json.dumps(
    {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Lost"}, "fingerprint": "lost"}]}
)


SILENCED = {
    "labels": {"alertname": "Down", "instance": "web-2", "severity": "critical"},
    "fingerprint": "web-2",
    "startsAt": "2026-01-01T00:00:00Z",
    "receivers": [{"name": "bigpanda"}],
    "status": {"state": "suppressed", "silencedBy": ["s-1"], "inhibitedBy": []},
}
SILENCE = {
    "id": "s-1", "createdBy": "ann.lee", "comment": "planned work CHG-7", "endsAt": "2100-01-01T00:00:00Z",
    "startsAt": "2026-01-01T00:00:00Z", "status": {"state": "active"}, "matchers": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("Chromium or its driver is not installed (tests/system/programs installs them)")
    opened = browsing.Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    script = browsing.axe_core(tmp_path_factory.mktemp("axe"))
    if not script:
        pytest.skip("axe-core cannot be fetched: npm, or its registry, is not there")
    return script


class Desk:
    """A bridge with a dead letter, and how its page is reached: by ann, and by who does not know her password."""

    def __init__(self, station, started, *, guarded=True, alertmanager=""):
        self.station = station
        receivers = [
            ODD
            | (
                {"reconcile": {"urls": [alertmanager], "interval": "500ms", "min_uptime": "9999d"}}
                if alertmanager
                else {}
            ),
            PANDA,
        ]
        user_key = station.sandbox.settings.bigpanda.user_key
        incidents = {"url": f"{station.sandbox.url}/bigpanda", "api_key": user_key}
        station.configure(receivers=receivers, incidents=incidents)
        web = station.folder / "web.yml"
        hashed = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()
        web.write_text(f"basic_auth_users: {{ann: '{hashed}'}}" if guarded else "{}")
        self.bridge = station.bridge(command=python("bridge", f"--web.config.file={web}"))
        self.open = self.bridge.url
        self.url = self.bridge.url = self.bridge.url.replace("://", "://ann:sesame@") if guarded else self.open
        started(self.bridge)
        alerts = [alert("web-1", "odd", note=HOSTILE), alert(HOSTILE, "warning"), alert("web-2", "critical")]
        assert post(self.open, webhook(alerts)).status == 200
        requests.post(f"{self.open}/webhooks/alertmanager/prod", data="{", headers={
            "Authorization": f"Bearer {RECEIVER['bearer_token']}", "Content-Type": "application/json"
        }, timeout=30)  # fmt: skip
        for number in ("i-1", HOSTILE):
            incident = {
                "id": number,
                "status": "critical",
                "snooze": {"snoozed": True, "end_time": 4e9},
                "assignee": HOSTILE,
            }
            incident |= {
                "updatedOn": 1_700_000_000,
                "links": "https://bigpanda.example/i",
                "vendorwatch_key": "prod:web-1",
            }
            asked = requests.post(
                f"{self.open}/webhooks/bigpanda/panda", json=incident, headers=PANDA["headers"], timeout=30
            )
            assert asked.status_code == 200
        refused = "vendorwatch_bridge_dead_letters 1.0"
        until("BigPanda has refused it", lambda: refused in self.bridge.get("/metrics").text)
        until("BigPanda has the others", lambda: len(station.events) == 2)

    def events(self):
        return [(event["incident_identifier"], event["status"]) for event in self.station.events]

    def mend(self):
        """Let the bridge map what BigPanda refused to a status that it takes."""
        self.station.configure(receivers=[RECEIVER | {"statuses": {"odd": "warning"}}, PANDA])
        before = self.reloads()
        self.bridge.send(signal.SIGHUP)
        until("the bridge has read its file again", lambda: self.reloads() != before)

    def reloads(self):
        name = "vendorwatch_bridge_config_last_reload_success_timestamp_seconds"
        return re.search(rf"^{name} (.+)$", self.bridge.get("/metrics").text, re.MULTILINE)[1]


@pytest.fixture(scope="module")
def alertmanager():
    with alertmanager_with(alerts=[SILENCED], silences=[SILENCE]) as url:
        yield url


@pytest.fixture
def desk(station, picky, started, alertmanager):
    return Desk(station, started, alertmanager=alertmanager)


def test_dead_letter_is_requeued_on_the_page(browser, desk):
    """From the overview to BigPanda; no script runs, not even one from an alert."""
    browser.look(desk.url)
    assert "Dead letters 1" in browser.text
    browser.fill("q", "host-that-is-not-there")
    assert browser.shows("No open alert matches")
    browser.look(desk.url)
    browser.fill("q", "instance=web-1")
    assert browser.shows("1 found")
    assert "prod:web-1" in browser.text
    assert "prod:web-2" not in browser.text
    browser.press("Down")
    assert browser.shows("dead letter: BigPanda answered 400")
    browser.look(f"{desk.url}/dead-letters")
    assert "'status' unknown is not for us" in browser.text
    assert "incident_identifier" not in browser.text
    browser.press("Body of dead letter")
    assert browser.shows('"incident_identifier": "prod:web-1"')
    desk.mend()
    browser.press("Requeue")
    assert browser.shows("1 queued again")
    assert "No dead letters" in browser.text
    until("the alert is in BigPanda", lambda: len(desk.station.events) == 3)
    assert desk.station.events[-1]["incident_identifier"] == "prod:web-1"

    def story():
        browser.look(f"{desk.url}/alert?key=prod:web-1")
        return browser.text

    until("the bridge has noted it", lambda: "BigPanda accepted it" in story())
    assert not browser.all("script, img")


def test_dead_letter_is_discarded_after_a_confirmation(browser, desk):
    """The button is hidden until opened; the alert's history shows the discarded event."""
    browser.look(f"{desk.url}/dead-letters")
    assert "it will never be sent" not in browser.text
    browser.press("Discard dead letter")
    assert browser.shows("it will never be sent")
    browser.press("it will never be sent")
    assert browser.shows("1 discarded")
    assert dead_letters(desk.station) == {}
    browser.look(f"{desk.url}/alert?key=prod:web-1")
    assert "discarded: BigPanda answered 400" in browser.text


def test_alert_is_closed_on_the_page(browser, desk):
    """From the list to its page, after a confirmation; BigPanda gets the resolution."""
    browser.look(f"{desk.url}/alerts?q=web-2")
    browser.press("Down")
    assert browser.shows("web-2")
    assert "Close it" not in browser.text
    browser.press("Close")
    browser.press("Close it")
    assert browser.shows("1 closed")
    until("BigPanda has the resolution", lambda: ("prod:web-2", "ok") in desk.events())


def test_quarantined_webhook_is_replayed_on_the_page(browser, desk):
    """A webhook that is readable now goes to BigPanda as if it had just arrived."""
    store = Store(desk.station.database)
    store.set_aside("alertmanager", "prod", "alerts: missing", READABLE, 1_700_000_000.0)
    store.close()
    browser.look(f"{desk.url}/quarantine")
    assert "alerts: missing" in browser.text
    browser.press("Replay webhook 2")
    assert browser.shows("1 replayed")
    until("BigPanda has it", lambda: "prod:lost" in [key for key, _ in desk.events()])


def test_incident_is_commented_and_resolved_on_the_page(browser, desk):
    """The page shows the webhooks' content; BigPanda carries out the actions under the user's name."""
    panda = desk.station.sandbox.world.bigpanda
    number = next(iter(panda.incidents))
    incident = {
        "id": number,
        "status": "critical",
        "updatedOn": 1_700_000_001,
        "metadata": {"assignee": {"name": "Ann Lee"}, "comment": {"comment": "provider called"}},
        "incidentTags": [{"id": "priority", "value": "P1"}],
    }
    answer = requests.post(f"{desk.open}/webhooks/bigpanda/panda", json=incident, headers=PANDA["headers"], timeout=30)
    assert answer.status_code == 200
    browser.look(f"{desk.url}/incidents")
    browser.press(number)
    assert browser.shows("provider called")
    for words in ("Ann Lee", "priority", "P1"):
        assert words in browser.text
    browser.press("Comment")
    browser.write("text", "looking into it", place=1)
    browser.press("Send the comment")
    assert browser.shows("comment sent to BigPanda")
    until("BigPanda has it", lambda: "looking into it (ann, vendorwatch)" in str(panda.incidents[number].activities))
    browser.press("Resolve")
    browser.press("Resolve it in BigPanda")
    assert browser.shows("resolved in BigPanda")
    until("BigPanda has resolved it", lambda: not panda.incidents[number].active)


def test_page_shows_who_silenced_an_alert(browser, desk):
    """With the end and the comment of the silence, while the alert still fires."""

    def silenced():
        browser.look(f"{desk.url}/alert?key=prod:web-2")
        return "planned work CHG-7" in browser.text

    until("the reconciler has seen the silence", silenced)
    assert "silenced by ann.lee until 2100-01-01" in browser.text


def test_actions_without_valid_credentials_are_rejected(browser, desk):
    """Without a password, with a wrong one, or without the form's token."""
    paths = ("/dead-letters/requeue", "/dead-letters/discard", "/quarantine/discard", "/quarantine/replay")
    for path in (*paths, "/alerts/close", "/alerts/resend", "/incidents/resolve", "/incidents/comment"):
        for form in ({"id": "1"}, {"all": "99"}, {"id": "1", "token": "0" * 64}):
            assert requests.post(desk.open + path, data=form, timeout=30).status_code == 401
            wrong = requests.post(desk.open + path, data=form, auth=("ann", "guess"), timeout=30)
            assert wrong.status_code == 401
            assert requests.post(desk.url + path, data=form, timeout=30).status_code == 403
    assert list(dead_letters(desk.station)) == ["prod:web-1"]


def test_page_without_users_has_no_actions(browser, station, picky, started):
    """There are no buttons, and requests of such buttons are rejected."""
    desk = Desk(station, started, guarded=False)
    browser.look(f"{desk.url}/dead-letters")
    assert "'status' unknown is not for us" in browser.text
    assert "basic_auth_users" in browser.text
    assert not browser.all("main button")
    assert requests.post(f"{desk.url}/dead-letters/discard", data={"all": "99"}, timeout=30).status_code == 403
    assert list(dead_letters(station)) == ["prod:web-1"]


@pytest.fixture
def elsewhere(tmp_path):
    """Serve a folder as another site."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield folder, f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_cross_site_requests_are_rejected(browser, desk, elsewhere):
    """Even from a signed-in browser with a valid token."""
    folder, url = elsewhere
    browser.look(f"{desk.url}/dead-letters")
    token = browser.all("input[name=token]")[0].get_attribute("value")
    (folder / "index.html").write_text(
        f'<form method="post" action="{desk.open}/dead-letters/discard"><input name="all" value="99">'
        f'<input name="token" value="{token}"><button>You have won</button></form>'
    )
    browser.look(url)
    browser.press("You have won")
    assert browser.shows("Nothing was changed")
    assert "another site" in browser.text
    assert list(dead_letters(desk.station)) == ["prod:web-1"]


def test_operator_page_is_accessible(browser, axe, desk):
    """In each look axe-core finds nothing, with sections open or closed; nothing overflows the window."""
    paths = (
        "/",
        "/alerts",
        "/incidents",
        "/incident?source=panda&id=i-1",
        "/waiting",
        "/dead-letters",
        "/quarantine",
        "/deliveries",
        "/alert?key=prod:web-1",
        "/alert?key=prod:web-2",
        "/alert",
    )
    until("the silence of web-2 is shown", lambda: "CHG-7" in requests.get(f"{desk.url}{paths[-2]}", timeout=30).text)
    for path, look in product(paths, LOOKS):
        browser.look(desk.url + path, look[0], dark=look[1])
        browser.unfold()
        assert (path, look, browser.audit(axe), browser.overhang) == (path, look, [], 0)


def health(**changes):
    usual = {
        "collector": "vigilmon", "account": "prod", "success": True, "last_success": 900.0, "duration": 1.0,
        "truncated": False, "series": 12, "requests": {}, "rate_limit_remaining": 30.0, "budget_used_ratio": 0.25,
        "oldest_value": 890.0, "first_poll_ended": True, "last_error": "", "last_error_at": None, "next_poll": 1010.0,
        "paused_until": None, "paused_reason": "", "counting_since": 800.0,
    }  # fmt: skip
    return Health(**(usual | changes))


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_exporter_page_is_accessible(browser, axe, tmp_path, width, dark):
    """The same for the exporter's page."""
    healths = [
        health(),
        health(
            account=HOSTILE,
            success=False,
            last_error=f"timeout: {'long-word' * 30}",
            last_error_at=990.0,
            problems=(f"/x: timeout: {'long-word' * 30}",),
        ),
        health(account="edge", paused_until=1060.0, paused_reason="rate_limited", truncated=True, last_success=None),
        health(account="new", success=None, next_poll=None),
    ]
    figures = [Figure("45 monitors"), Figure(f"3 down: {HOSTILE}, {'long-name' * 30}", bad=True)]
    (tmp_path / "page.html").write_text(landing_page([(each, figures) for each in healths], 1000.0))
    browser.look(f"file://{tmp_path}/page.html", width, dark=dark)
    assert (browser.audit(axe), browser.overhang) == ([], 0)


def test_browser_reads_the_complete_metrics_page(browser, started, tmp_path):
    """The compressed page is as complete as the uncompressed one."""
    (tmp_path / "exporter.yml").write_text(
        "targets: [{collector: vigilmon, account: prod, base_url: 'http://127.0.0.1:9', token: x}]\n"
    )
    program = started(exporter(tmp_path, f"127.0.0.1:{free_port()}"))

    def the_same():
        browser.look(f"{program.url}/metrics")
        plain = requests.get(f"{program.url}/metrics", headers={"Accept-Encoding": "identity"}, timeout=10).text
        return plain and names(browser.text) == names(plain)

    def names(page):
        return [line.split("{")[0].split(" ")[0] for line in page.splitlines() if not line.startswith("#")]

    until("the page is whole", the_same)
