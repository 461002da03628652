"""The operator's page: everything is shown, escaped; only who has credentials and a token changes anything."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from types import SimpleNamespace

import pytest

from bridge.config import read
from bridge.delivery.confirmation import ConfirmationStatus
from bridge.delivery.confirmation_diff import Diagnostic
from bridge.domain.incident import ForeignAlert, Incident, RelatedChange
from bridge.domain.notification import Notification
from bridge.errors import Rejected, Unavailable
from bridge.outbox.confirmations import Confirmations
from bridge.outbox.outbox import Outbox
from bridge.outbox.repository import Page, PageRequest
from bridge.outbox.status import Circuit, OutboxStatus
from bridge.reconcile.alertmanager_client import Silence
from bridge.reconcile.reconciler import ReconcilerStatus
from bridge.web.actions import Actions
from bridge.web.application import create_app
from bridge.web.current import ReceiverStatus, WatchdogStatus
from bridge.web.formatting import OUTCOMES
from bridge.web.operator_page import OperatorPage
from exporter.toolkit.periodic import Clock
from tests.bridge.alerts import alert_at
from tests.store import Store

NOW = 1_700_000_000.0
TOKEN = "bp-token-1"
CONFIG = {
    "database": "sqlite:////nowhere.db",
    "bigpanda": {"app_key": "app", "token": TOKEN},
    "receivers": [
        {
            "receiver": "alertmanager",
            "source": "prod",
            "bearer_token": "am-token-1",
            "reconcile": {"urls": ["http://127.0.0.1:1"]},
            "watchdog": {},
        },
        {"receiver": "vigilmon", "source": "uptime", "secret": "vm-secret-1"},
    ],
}
HOSTILE = '</td><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}\''


class Panda:
    """The Incidents API, as the page sees it."""

    def __init__(self, error=None):
        self.calls, self.closed, self.error = [], 0, error

    def resolve(self, incident, comment):
        self._note("resolve", incident.id, comment)

    def comment(self, incident, comment):
        self._note("comment", incident.id, comment)

    def close(self):
        self.closed += 1

    def _note(self, *call):
        if self.error:
            raise self.error
        self.calls.append(call)


class World:
    """A store, what is configured, what the page shows of both, and who has which password."""

    def __init__(self, folder):
        self.outbox = Store(f"sqlite:///{folder}/bridge.db")
        self.statuses, self.silences, self.refused_silences, self.confirmation = [], {}, {}, None
        self.passwords, self.woken = {"ann": "hash-of-ann", "bob": "hash-of-bob"}, []
        self.panda = None
        current, waking = lambda: self, Outbox(self.outbox.database, lambda: self.woken.append(1))
        page = OperatorPage(self.outbox, current, self.passwords.get, clock=Clock(lambda: NOW))
        actions = Actions(waking, current, self.passwords.get, clock=Clock(lambda: NOW))
        self.client = create_app([page.blueprint(), actions.blueprint()]).test_client()
        self.mapping = self.config.receivers[0].mapping

    @property
    def config(self):
        return read(CONFIG | ({"incidents": {"api_key": "incidents-key-1"}} if self.panda else {}))

    def receivers(self, _outbox):
        return self.statuses

    def incidents_client(self):
        return self.panda

    def ingest(self, name="a", /, *, now=NOW - 100, interval=0.0, source="prod", **more):
        found = {"alerts": (alert_at(now, name, source=source, **more),), "update_interval": interval}
        notification = Notification(receiver="alertmanager", source=source, mapping=self.mapping, **found)
        self.outbox.ingest.accept([notification], now)

    def bury(self, name="a", reason="400: no", /, **more):
        self.ingest(name, **more)
        (claimed,) = [one for one in self.outbox.queue.claim(100, NOW - 90, 0.0) if one.key.endswith(f":{name}")]
        self.outbox.queue.bury(claimed, reason, NOW - 80)
        return claimed.id

    def share(self, number, *, now=NOW - 100, **more):
        members = {
            "active": True,
            "status": "critical",
            "keys": ("prod:a",),
            "updated_at": now,
            "started_at": NOW - 450,
        }
        members |= {"link": f"https://bigpanda.example/{number}", "digest": f"{now}"}
        incident = Incident(id=number, **(members | more))
        notification = Notification(
            receiver="bigpanda", source="panda", alerts=(), mapping=self.mapping, incidents=(incident,)
        )
        self.outbox.ingest.accept([notification], now)

    def get(self, path="/", user=None):
        return self.client.get(path, environ_overrides={"REMOTE_USER": user} if user else {})

    def page(self, path="/", user=None):
        answer = self.get(path, user)
        assert answer.status_code == 200
        return answer.text

    def token(self, user="ann"):
        return re.search('name="token" value="([0-9a-f]+)"', self.page("/dead-letters", user))[1]

    def token_of(self, path, user="ann"):
        return re.search('name="token" value="([0-9a-f]+)"', self.page(path, user))[1]

    def press(self, path, user="ann", headers=None, **form):
        environ = {"REMOTE_USER": user} if user else {}
        return self.client.post(path, data=form, environ_overrides=environ, headers=headers or {})

    def dead(self):
        return [letter.id for letter in self.outbox.dead_letters.oldest()]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.outbox.close()


PAGES = ("/", "/alerts", "/incidents", "/waiting", "/dead-letters", "/quarantine", "/deliveries")


@pytest.mark.parametrize("path", [*PAGES, "/alert?key=x"])
def test_pages_have_security_headers(world, path):
    """No scripts, frames or other sites' content."""
    answer = world.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "<script" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_empty_pages_have_a_text(world, path):
    """Each page reads well when there is nothing to show."""
    page = world.page(path)
    assert "<table" not in page or path == "/"
    assert '<html lang="en">' in page


def test_open_alerts_are_shown_and_found(world):
    """With status, name, key, labels, source and start; possibly stale ones are marked."""
    world.ingest("a")
    world.ingest("b", severity="warning")
    page = world.page("/")
    for text in (
        "prod: 1 critical, 1 warning",
        "prod:a",
        "host=web-a",
        "alertmanager / prod",
        "1m 40s ago",
        "2023-11-14 22:11:40Z",
    ):
        assert text in page
    found = world.page("/alerts?q=host=WEB-B")
    assert "prod:b" in found
    assert "prod:a" not in found
    assert "No open alert matches “nothing”" in world.page("/alerts?q=nothing")


def test_overview_has_the_beginning_of_each_list(world):
    """Ten rows, five of those with bodies; the noisiest alerts have no list of their own."""
    for number in range(11):
        world.ingest(f"n{number}")
        world.share(f"i{number}")
    world.outbox.queue.record(world.outbox.queue.claim(100, NOW - 90, 10), "accepted", now=NOW - 60)
    for number in range(6):
        world.bury(f"dead{number}")
        world.outbox.set_aside("vigilmon", "uptime", "odd", "{", NOW)
    for number in range(11):
        world.ingest(f"n{number}", now=NOW - 50, annotations={"summary": "new"})
    _, *sections = world.page("/").split('<section aria-labelledby="')
    rows = {one.partition('"')[0]: one.count('<tr role="row"') + one.count("Reason:") for one in sections}
    assert rows == {
        "alerts": 11,
        "incidents": 11,
        "queue": 11,
        "dead-letters": 5,
        "quarantine": 5,
        "receivers": 1,
        "noisiest": 11,
        "deliveries": 11,
    }  # fmt: skip  a table has a row of names


def test_unconfirmed_events_are_shown(world):
    """With a notice, BigPanda's diagnostics, and the reason why they are not confirmed now."""
    world.ingest("a")
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "accepted", now=NOW - 60)
    assert "Confirmation by BigPanda" not in world.page("/")
    looked = Confirmations(world.outbox.database, world.config.destination)
    looked.record(confirmed=[], missed=[], resend=looked.to_confirm(NOW, NOW - 100), until=NOW)
    diagnostic = Diagnostic(id="7", level="error", message="alert 1: no host")
    status = ConfirmationStatus(looked_at=NOW - 60, unconfirmed=1, diagnostics=(diagnostic,))
    world.confirmation = SimpleNamespace(status=status)
    page = world.page("/")
    for text in ("1 unconfirmed event</strong>", "Last checked 1m 0s ago", "queued again", "alert 1: no host"):
        assert text in page
    world.confirmation = SimpleNamespace(status=replace(status, problem="403: forbidden"))
    assert "BigPanda does not confirm events: 403: forbidden" in world.page("/")


def test_possibly_stale_alert_is_marked(world):
    """It started before its last resolution."""
    world.ingest("a", now=NOW - 100)
    world.ingest("a", now=NOW - 50, firing=False, starts_at=NOW - 100, ends_at=NOW - 50)
    world.ingest("a", now=NOW - 40, starts_at=NOW - 100)
    assert "possibly stale" in world.page("/alerts")


def test_long_lists_are_paged(world):
    """A hundred rows each; the overview links to the rest."""
    for number in range(0, 130, 1):
        world.ingest(f"n{number:03}", starts_at=NOW - number)
    assert ">All open alerts<" in world.page("/")
    first, second = world.page("/alerts"), world.page("/alerts?page=2")
    assert (first.count('<th role="rowheader"'), second.count('<th role="rowheader"')) == (100, 30)
    assert "Next page" in first
    assert "Previous page" in second
    past = world.page("/alerts?page=3")  # as when a list becomes shorter while its page is followed
    assert all(words in past for words in ("Previous page", "the list has become shorter"))
    assert "No open alerts" not in past
    for odd in ("0", "-1", "x", "²", "99999999999999999999"):
        assert world.get(f"/alerts?page={odd}").status_code == 200


def test_incidents_show_who_snoozed_them_and_until_when(world):
    """Open ones first, with their alerts; a snooze shows its end, no end, or that it is over."""
    world.share("closed", active=False)
    world.share("plain", now=NOW - 60)
    world.share("slept", now=NOW - 70, snoozed=True, snoozed_until=NOW + 3600, environment="edge",
                details={"snoozed_by": "ann"})  # fmt: skip
    world.share("endless", now=NOW - 80, snoozed=True)
    world.share("woken", now=NOW - 90, snoozed=True, snoozed_until=NOW - 60)
    page = world.page("/incidents")
    assert re.findall(r">(closed|plain|slept|endless|woken)</a>", page) == [
        "plain", "slept", "endless", "woken", "closed",
    ]  # fmt: skip
    for text in (
        "5 as BigPanda last reported them",
        'href="incident?source=panda&amp;id=slept"',
        "<small>panda, edge</small>",
        "for 1h 0m",
        "until <time",
        "without an end",
        "over <small>since",
        "by ann",
        'href="alert?key=prod%3Aa"',
    ):
        assert text in page
    assert "Incidents</h2>" in world.page("/")


def test_incident_resolved_while_its_alert_fires_is_marked(world):
    """As long as it fires; afterwards as past."""
    world.ingest("a", now=NOW - 500)
    world.share("1", now=NOW - 400)
    world.share("1", now=NOW - 300, active=False)
    assert "resolved manually while 1 of its alerts still fires" in world.page("/incidents")
    world.ingest("a", now=NOW - 50, firing=False, ends_at=NOW - 50)
    page = world.page("/incidents")
    assert "still fires" not in page
    assert "resolved manually before its alerts were resolved" in page


def test_critical_incidents_come_first(world):
    """Then the other open ones, and those that are closed last, however recently."""
    world.share("late-warning", status="warning")
    world.share("old-critical", now=NOW - 900)
    world.share("closed-critical", active=False)
    page = world.page("/incidents")
    assert page.index(">old-critical<") < page.index(">late-warning<") < page.index(">closed-critical<")


def test_incidents_are_paged(world):
    """A hundred per page."""
    for number in range(105):
        world.share(f"n{number:03}")
    first, second = world.page("/incidents"), world.page("/incidents?page=2")
    assert (first.count('<th role="rowheader"'), second.count('<th role="rowheader"')) == (100, 5)
    assert "Next page" in first
    assert ">All incidents<" in world.page("/")


def test_text_of_incidents_is_escaped(world):
    """Names from BigPanda are never markup; a link is only http or https."""
    world.share(
        HOSTILE,
        details={"assignee": HOSTILE, "snoozed_by": HOSTILE},
        environment=HOSTILE,
        keys=(HOSTILE,),
        link="javascript:alert(1)",
        snoozed=True,
    )
    page = world.page("/incidents")
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4


def test_queued_events_have_a_reason(world):
    """In flight, behind an earlier one, held, retried later, in its turn, also of a process that is gone."""
    world.ingest("sent")
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "accepted", now=NOW - 90)
    world.ingest("sent", annotations={"summary": "new"}, interval=900.0)
    world.ingest("tried")
    world.outbox.queue.postpone(world.outbox.queue.claim(1, NOW - 90, 10), NOW + 60, "503: busy")
    world.ingest("tried", now=NOW - 20, firing=False, ends_at=NOW - 20)
    world.ingest("going")
    world.outbox.queue.claim(1, NOW, 1000)
    world.ingest("lost")
    world.outbox.queue.claim(1, NOW - 90, 10)
    world.ingest("due")
    page = world.page("/waiting")
    for text in (
        "held by the receiver&#39;s update_interval; next try in",
        "tried once: 503: busy; next try in 1m 0s",
        "waiting for an earlier event of the same alert",
        "being sent now",
        "due, tried once</div>",
        "due</div>",
    ):
        assert page.count(text) == 1


def test_outage_is_shown_first(world):
    """The reason and the next attempt; each queued event refers to it."""
    world.ingest("a")
    circuit = Circuit(up=False, failures=3, not_before=NOW + 75, reason="401: <who>")
    world.outbox.status.set_destination(world.config.destination, circuit)
    page = world.page("/")
    assert "Needs attention" in page
    assert "BigPanda unavailable:" in page
    assert "401: &lt;who&gt;. Failed 3 times in a row. Next try in 1m 15s." in page
    assert "BigPanda is unavailable; next try in 1m 15s" in page


def test_page_without_problems_has_one_line(world):
    """An operator at three in the morning reads one line."""
    assert "Nothing needs attention." in world.page("/")
    world.bury("a")
    page = world.page("/")
    assert "Nothing needs attention." not in page
    assert "1 dead letter</strong>" in page


def test_exhausted_share_quota_needs_attention(world):
    """BigPanda shares nothing more."""
    world.statuses = [ReceiverStatus(receiver="bigpanda", source="panda", last=None)]
    for second, left in enumerate((1.0, 0.0)):
        world.share("i", now=NOW - 100 + second, quota=left)
        assert ("Share quota of panda used up" in world.page("/")) is (left == 0)


def test_deliveries_show_bigpandas_response(world):
    """Accepted, duplicate, superseded, rejected; with the latency."""
    world.ingest("a")
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "accepted", now=NOW - 60)
    world.ingest("b")
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "duplicate", now=NOW - 50)
    world.bury("c", "422: no")
    page = world.page("/deliveries")
    for text in ("BigPanda accepted it", "BigPanda had it already", "dead letter: 422: no", ">40s<"):
        assert text in page


def test_alert_page_shows_its_history(world):
    """From the webhook to BigPanda's response, each event with its body; an unknown key is 404."""
    links = {"generator_url": "http://prom.example.com/g", "odd_url": "javascript:alert(1)"}
    world.ingest("a", links=links)
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "accepted", now=NOW - 60)
    world.ingest("a", now=NOW - 30, firing=False, ends_at=NOW - 30, links=links)
    page = world.page("/alert?key=prod:a")
    for text in (
        "Webhook accepted",
        "BigPanda accepted it",
        "it is resolved",
        "&#34;incident_identifier&#34;: &#34;prod:a&#34;",
        'href="http://prom.example.com/g"',
    ):
        assert text in page
    assert 'href="javascript' not in page
    assert re.search(r">ok</span> since 30s ago", page)
    assert world.get("/alert?key=prod:nobody").status_code == 404
    assert world.get("/alert").status_code == 404


def test_receivers_show_last_webhook_reconciler_and_watchdogs(world):
    """Unknown values are not shown as fine."""
    reconciler = ReconcilerStatus(since=NOW - 5, unanswered="http://am-2:9093: timeout", interval=60.0)
    silent = WatchdogStatus(name="Watchdog", heard_at=None, silent=False)
    prod = ReceiverStatus(receiver="alertmanager", source="prod", last=None, reconciler=reconciler, watchdogs=(silent,))
    world.statuses = [prod, ReceiverStatus(receiver="vigilmon", source="uptime", last=None)]
    page = world.page("/")
    for text in ("none yet", "no answer yet", "http://am-2:9093: timeout", "Watchdog was never received"):
        assert text in page
    assert ">ok<" not in page
    world.statuses = [
        replace(
            prod,
            last=NOW - 5,
            reconciler=replace(reconciler, last_success=NOW - 10, corrections=2),
            watchdogs=(replace(silent, heard_at=NOW - 7),),
        )
    ]
    page = world.page("/")
    for text in ("5s ago", "10s ago", "corrections: 2", "Watchdog received 7s ago"):
        assert text in page
    world.statuses = [
        replace(
            prod,
            reconciler=replace(reconciler, last_success=NOW - 1000),
            watchdogs=(replace(silent, heard_at=NOW - 900, silent=True),),
        )
    ]
    page = world.page("/")
    assert "late: Alertmanager last answered 16m 40s ago" in page
    assert "Watchdog is silent" in page


class Parsed(HTMLParser):
    """The elements and attributes of a page, as a browser would see them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("path", [*PAGES, "/alert?key=KEY", "/alerts?q=QUERY", "/alert?key=QUERY"])
def test_untrusted_text_is_escaped(world, path):
    """Keys, names, labels, annotations, reasons, bodies, searches."""
    world.ingest(
        HOSTILE, name=HOSTILE, labels={HOSTILE: HOSTILE}, annotations={HOSTILE: HOSTILE}, links={HOSTILE: HOSTILE}
    )
    world.bury("dead", HOSTILE, labels={HOSTILE: HOSTILE})
    world.outbox.set_aside("vigilmon", "uptime", HOSTILE, HOSTILE, NOW)
    named = {"KEY": f"prod:{HOSTILE}", "QUERY": HOSTILE}
    where, _, word = path.partition("=")
    answer = world.client.get(
        where.split("?")[0],
        query_string={where.split("?")[1]: named[word]} if word else {},
        environ_overrides={"REMOTE_USER": HOSTILE},
    )
    parsed = Parsed(answer.text)
    assert not parsed.tags & {"script", "img", "iframe"}
    assert not {name for name in parsed.attributes if name.startswith("on") or name == "srcdoc"}
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|\b49\b", answer.text)


def test_bodies_are_truncated(world):
    """A megabyte of text does not make the page unusable."""
    world.outbox.set_aside("vigilmon", "uptime", "odd", "x" * 900_000, NOW)
    page = world.page("/quarantine")
    assert len(page) < 50_000
    assert "cut here" in page


def test_no_secret_is_on_any_page(world):
    """Neither a credential nor its hash."""
    world.bury("a")
    for path in PAGES:
        page = world.page(path, "ann")
        for secret in (TOKEN, "am-token-1", "vm-secret-1", "hash-of-ann"):
            assert secret not in page


def test_without_users_there_are_no_buttons(world):
    """The page says what to do instead."""
    world.bury("a")
    page = world.page("/dead-letters")
    assert 'value="1"' not in page
    assert "<button>Search" not in page
    assert "basic_auth_users" in page
    assert "vendorwatch-bridge dead-letters" in page
    assert "Requeue<" in world.page("/dead-letters", "ann")


ACTS = (
    "/dead-letters/requeue", "/dead-letters/discard", "/quarantine/discard", "/quarantine/replay", "/alerts/close",
    "/alerts/resend", "/incidents/resolve", "/incidents/comment",
)  # fmt: skip


@pytest.mark.parametrize(
    ("user", "token", "headers"),
    [
        (None, "", {}),
        (None, "ann's", {}),
        ("ann", "", {}),
        ("ann", "wrong", {}),
        ("ann", "bob's", {}),
        ("nobody", "ann's", {}),
        ("ann", "ann's", {"Sec-Fetch-Site": "cross-site"}),
        ("ann", "ann's", {"Sec-Fetch-Site": "same-site"}),
        ("ann", "ann's", {"Origin": "http://evil.example.com"}),
        ("ann", "ann's", {"Origin": "null"}),
        ("ann", "ann's", {"Origin": "http://["}),
    ],
)
def test_unauthorized_actions_are_403(world, user, token, headers):
    """Without credentials, this user's token, or a form of this site."""
    letter = world.bury("a")
    world.outbox.set_aside("vigilmon", "uptime", "odd", "{}", NOW)
    token = world.token(token.removesuffix("'s")) if token.endswith("'s") else token
    world.panda = Panda()
    world.share("i-1")
    things = ({"id": str(letter)}, {"all": "9999"}, {"key": "prod:a"}, {"source": "panda", "id": "i-1"})
    for path, what in product(ACTS, things):
        answer = world.press(path, user, headers, token=token, **what)
        assert answer.status_code == 403
        assert "Nothing was changed" in answer.text
    assert world.dead() == [letter]
    assert len(world.outbox.quarantine.oldest()) == 1
    assert world.outbox.alerts.states(["prod:a"])["prod:a"].open
    assert not world.woken
    assert not world.panda.calls


def test_proxy_that_replaces_the_host_is_suspected(world, caplog):
    """As nginx does by default: over plain HTTP its users seem to come from another site. It is logged too."""
    world.bury("a")
    answer = world.press("/alerts/close", headers={"Origin": "http://bridge.example"}, token=world.token())
    assert (answer.status_code, "or a proxy does not pass on the Host header" in answer.text) == (403, True)
    assert "Change by ann rejected: the form was submitted from another site" in caplog.text


def test_error_pages_lead_back_to_the_overview(world):
    """With a relative link: a proxy may serve the page below a path of its own."""
    for answer, link in ((world.get("/alert?key=gone"), "./"), (world.press("/alerts/close", token="old"), "../")):
        assert f'<a href="{link}">To the overview</a>' in answer.text


@pytest.mark.parametrize("path", ACTS)
def test_get_of_an_action_is_405(world, path):
    """A link that someone follows is 405."""
    assert world.get(path, "ann").status_code == 405


def test_form_token_is_invalid_after_a_password_change(world):
    """A form made before the change is rejected."""
    letter, token = world.bury("a"), world.token()
    world.passwords["ann"] = "another hash"
    assert world.press("/dead-letters/requeue", token=token, id=str(letter)).status_code == 403
    assert world.dead() == [letter]


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_dead_letter_is_requeued(world, headers):
    """Delivery is woken, and the browser is redirected to the remaining ones."""
    letter, other = world.bury("a"), world.bury("b")
    answer = world.press("/dead-letters/requeue", headers=headers, token=world.token(), id=str(letter))
    assert (answer.status_code, answer.headers["Location"]) == (303, "../dead-letters?queued=1")
    assert world.dead() == [other]
    assert world.woken
    assert "1 queued again" in world.page("/dead-letters?queued=1", "ann")


def test_all_dead_letters_are_requeued(world):
    """One whose receiver was removed stays, and is reported."""
    world.bury("a")
    gone = world.bury("b", source="gone")
    answer = world.press("/dead-letters/requeue", token=world.token(), all="1")
    assert answer.headers["Location"] == "../dead-letters?queued=1&unknown=1"
    assert world.dead() == [gone]


def test_dead_letters_are_discarded_alone_or_up_to_the_seen_ones(world, caplog):
    """Newer ones stay; the user is in the log."""
    caplog.set_level("INFO")
    first, second, third, unseen = (world.bury(name) for name in "abcd")
    token = world.token()
    assert world.press("/dead-letters/discard", token=token, id=str(second)).status_code == 303
    assert world.dead() == [first, third, unseen]
    answer = world.press("/dead-letters/discard", token=token, all=str(third))
    assert answer.headers["Location"] == "../dead-letters?discarded=2"
    assert world.dead() == [unseen]
    assert "/dead-letters/discard by ann: 2 discarded" in caplog.text


def test_quarantine_is_discarded_alone_or_up_to_the_seen_ones(world):
    """As dead letters are."""
    for _ in range(3):
        world.outbox.set_aside("vigilmon", "uptime", "odd", "{}", NOW)
    token = re.search('value="([0-9a-f]{64})"', world.page("/quarantine", "ann"))[1]
    world.press("/quarantine/discard", token=token, id="1")
    assert [one.id for one in world.outbox.quarantine.oldest()] == [2, 3]
    assert world.press("/quarantine/discard", token=token, all="2").headers["Location"] == "../quarantine?discarded=1"
    assert [one.id for one in world.outbox.quarantine.oldest()] == [3]


@pytest.mark.parametrize("odd", ["x", "-1", "1; DROP TABLE events", "9" * 19, ""])
def test_invalid_ids_change_nothing(world, odd):
    """An id must be the number of a dead letter."""
    letter = world.bury("a")
    answer = world.press("/dead-letters/discard", token=world.token(), id=odd, all=odd)
    assert answer.headers["Location"] == "../dead-letters?discarded=0"
    assert world.dead() == [letter]


@pytest.mark.parametrize("path", ["/alerts/close", "/incidents/comment"])
def test_form_with_a_nul_is_a_bad_request(world, path):
    """PostgreSQL would fail on it."""
    world.bury("a")
    answer = world.press(path, token=world.token(), key="a\0b", source="a\0b", id="i")
    assert (answer.status_code, answer.text) == (400, "the form contains a NUL character\n")


def test_every_outcome_of_an_action_has_its_words(world):
    """Those in the URL to which the button leads."""
    of_a_button = (
        "queued", "superseded", "unknown", "discarded", "closed", "resent", "unchanged", "replayed", "unreadable",
        "resolved", "commented",
    )  # fmt: skip
    page = world.page(f"/alerts?{'&'.join(f'{name}=7' for name in of_a_button)}")
    assert all(f"7 {OUTCOMES[name]}" in page for name in of_a_button)


def test_result_message_has_only_numbers_from_the_url(world):
    """No text of the URL appears on the page."""
    page = world.page("/dead-letters?queued=%3Cb%3E&discarded=12&done=x")
    assert "12 discarded" in page
    assert "queued again" not in page


def test_auto_refresh_is_optional(world):
    """The page reloads if requested, and keeps the search."""
    assert "Refresh" not in world.get("/alerts?q=x").headers
    assert "?q=x&amp;follow=1" in world.page("/alerts?q=x")
    followed = world.get("/alerts?q=x&follow=1")
    assert followed.headers["Refresh"] == "15"
    assert 'href="?q=x"' in followed.text


def test_unreadable_database_is_503(world, monkeypatch):
    """With one line."""

    def gone(*_):
        raise Unavailable("the database is locked")

    monkeypatch.setattr(OutboxStatus, "counts", gone)
    answer = world.get("/")
    assert answer.status_code == 503
    assert "the database is locked" in answer.text


def test_alert_is_closed_on_its_page(world, caplog):
    """BigPanda gets a resolution, delivery is woken once, and the user is in the log."""
    caplog.set_level("INFO")
    for repeated in (NOW - 100, NOW - 50):  # by its sender's own times
        world.ingest("a", at=repeated)
    assert "Close<" in world.page("/alert?key=prod:a", "ann")
    assert "Close<" not in world.page("/alert?key=prod:a")
    token = world.token_of("/alert?key=prod:a")
    answer = world.press("/alerts/close", token=token, key="prod:a")
    assert (answer.status_code, answer.headers["Location"]) == (303, "../alerts?closed=1")
    assert not world.outbox.alerts.states(["prod:a"])["prod:a"].open
    assert "/alerts/close by ann: 1 closed (prod:a)" in caplog.text
    assert "1 closed" in world.page("/alerts?closed=1", "ann")
    again = world.press("/alerts/close", token=token, key="prod:a")
    assert again.headers["Location"] == "../alerts?unchanged=1"


def test_alert_is_resent_on_its_page(world):
    """A firing alert is queued again with a later time."""
    world.ingest("a")
    world.outbox.queue.record(world.outbox.queue.claim(1, NOW - 90, 10), "accepted", now=NOW - 60)
    token = world.token_of("/alert?key=prod:a")
    assert world.press("/alerts/resend", token=token, key="prod:a").headers["Location"] == "../alerts?resent=1"
    (queued,) = world.outbox.events.queued(PageRequest(9), NOW).rows
    assert (queued.status, queued.key) == ("critical", "prod:a")
    assert "it was resent" in world.page("/alert?key=prod:a")
    assert world.press("/alerts/resend", token=token, key="prod:nobody").headers["Location"] == "../alerts?resent=0"


READABLE = '{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "fingerprint": "f1"}]}'


def test_a_quarantined_webhook_is_replayed(world):
    """It leaves the quarantine if it is readable now, even if it says nothing; the rest is kept and reported."""
    world.outbox.set_aside("alertmanager", "prod", "odd", READABLE, NOW - 50)
    world.outbox.set_aside("alertmanager", "prod", "odd", "{", NOW - 50)
    world.outbox.set_aside("alertmanager", "gone", "odd", READABLE, NOW - 50)
    world.outbox.set_aside("vigilmon", "uptime", "odd", '{"event": "test"}', NOW - 50)
    token = world.token_of("/quarantine")
    assert world.press("/quarantine/replay", token=token, id="1").headers["Location"] == "../quarantine?replayed=1"
    assert world.outbox.alerts.states(["prod:f1"])["prod:f1"].open
    answer = world.press("/quarantine/replay", token=token, all="1")
    assert answer.headers["Location"] == "../quarantine?replayed=1&unreadable=1&unknown=1"
    assert [one.id for one in world.outbox.quarantine.oldest()] == [2, 3]


def test_incident_is_shown_completely(world):
    """Assignee, snoozer, comments, tags, changes, flapping, history, other sources' alerts and ours."""
    world.ingest("a")
    world.share(
        "i-1",
        environment="edge",
        details={
            "assignee": "Ann Lee", "assigner": "Bob", "snoozed_by": "Cleo", "flapping": True,
            "comments": ((NOW - 50, "looking at it"),), "tags": {"priority": "P1"},
            "changes": (RelatedChange(id="C", summary="new switch", link="https://t.example.com/7", certainty="SURE"),),
            "events": ((NOW - 90, "incident#new"),),
            "foreign": (ForeignAlert(id="f", status="warning", source="nagios.est", description="web-3 CPU"),),
        },
        snoozed=True,
        snoozed_until=NOW + 60,
    )  # fmt: skip
    page = world.page("/incident?source=panda&id=i-1", "ann")
    for text in (
        "Ann Lee", "by Bob", "by Cleo", "flapping", "looking at it", "priority", "P1", "new switch", "sure",
        'href="https://t.example.com/7"', "incident#new", "nagios.est", "web-3 CPU", "edge",
        'href="alert?key=prod%3Aa"',
        'href="https://bigpanda.example/i-1"',
        'href="?source=panda&amp;id=i-1&amp;follow=1"',
    ):  # fmt: skip
        assert text in page
    assert world.get("/incident?source=panda&id=nothing").status_code == 404


def test_an_incident_is_resolved_and_commented(world):
    """With the web user's name, because BigPanda shows the key's owner; without a key there is no button."""
    world.share("i-1")
    where = "/incident?source=panda&id=i-1"
    assert "configure <code>incidents</code>" in world.page(where, "ann")
    world.panda = Panda()
    token = world.token_of(where)
    form = {"token": token, "source": "panda", "id": "i-1"}
    answer = world.press("/incidents/resolve", text="", **form)
    assert answer.headers["Location"] == "../incident?source=panda&id=i-1&resolved=1"
    world.press("/incidents/comment", text=" looking " + "x" * 1000, **form)
    assert world.panda.calls == [
        ("resolve", "i-1", "(ann, vendorwatch)"),
        ("comment", "i-1", f"looking {'x' * 992} (ann, vendorwatch)"),
    ]
    assert world.panda.closed == 2
    assert "resolved in BigPanda" in world.page(f"{where}&resolved=1", "ann")


def test_empty_comment_is_not_sent(world, caplog):
    """A browser lets spaces pass."""
    world.share("i-1")
    world.panda = Panda()
    token = world.token_of("/incident?source=panda&id=i-1")
    answer = world.press("/incidents/comment", token=token, source="panda", id="i-1", text="  ")
    assert (answer.status_code, "the comment is empty" in answer.text, world.panda.calls) == (403, True, [])
    assert "Change by ann rejected: the comment is empty" in caplog.text


def test_rejected_incident_action_shows_bigpandas_message(world):
    """And no success."""
    world.share("i-1")
    world.panda = Panda(Rejected("BigPanda answered 409: incident is already resolved"))
    token = world.token_of("/incident?source=panda&id=i-1")
    answer = world.press("/incidents/resolve", token=token, source="panda", id="i-1", text="x")
    assert answer.status_code == 502
    assert "incident is already resolved" in answer.text


def test_silence_shows_user_end_and_comment(world):
    """In the list and on the alert's page, while the alert fires."""
    world.ingest("a")
    world.silences = {"prod:a": Silence(by="ann", until="2023-11-15", comment=HOSTILE, ends_at=NOW + 600)}
    for path in ("/alerts", "/alert?key=prod:a"):
        page = world.page(path)
        assert "silenced</span> by ann until" in page
        assert "2023-11-14 22:23:20Z" in page
        assert "<script" not in page


def test_the_noisiest_alerts_of_the_last_day_are_listed(world):
    """By the number of events; older ones do not count."""
    for name, changes in (("once", 1), ("calm", 2), ("loud", 4)):
        for number in range(changes):
            world.ingest(name, now=NOW - 100 + number, annotations={"summary": str(number)})
            world.outbox.queue.record(world.outbox.queue.claim(9, NOW, 10), "accepted", now=NOW)
    for number in range(3):
        world.ingest("old", now=NOW - 2 * 86400 + number, annotations={"summary": str(number)})
    page = world.page("/")
    noisiest = page[page.index("Noisiest alerts of the last day") :]
    assert re.findall(r"<strong>(\d+)</strong>.*?key=prod%3A(\w+)", noisiest, re.DOTALL) == [
        ("4", "loud"),
        ("2", "calm"),
    ]


def test_direction_marks_and_escapes_are_made_visible(world):
    """A direction mark, a terminal escape, half an emoji."""
    world.ingest("a", name="\u202eevil", labels={"alertname": "x", "odd": "\x1b[31m"})
    world.outbox.set_aside("alertmanager", "prod", "odd", '{"half": "\\ud83d"}', NOW)
    page = world.page("/")
    assert "\\u202eevil" in page
    assert "\u202e" not in page
    assert "\\u001b[31m" in page
    assert "\\ud83d" in world.page("/quarantine")


def test_number_of_search_words_is_limited(world):
    """Each word is searched in every alert: sixty would block everybody else."""
    world.ingest("a")
    words = " ".join(["host=web-a"] * 8 + ["not-there"] * 60)
    assert "prod:a" in world.page(f"/alerts?q={words[:200]}")


def test_rejected_silence_is_shown(world):
    """At the top, at the alert, and at its incident."""
    world.ingest("a")
    world.share("i1")
    world.refused_silences = {"prod:a": f"Alertmanager answered 400: {HOSTILE}"}
    for path in ("/", "/alerts", "/alert?key=prod:a", "/incident?source=panda&id=i1"):
        page = world.client.get(path).text
        assert "snoozed, but not silenced:</span> Alertmanager answered 400" in page
        assert "<script>" not in page
    assert '<a href="alert?key=prod%3Aa">prod:a</a>' in world.client.get("/").text
    world.refused_silences = {}
    assert "not silenced" not in world.client.get("/").text


def test_incomplete_search_is_marked(world, monkeypatch):
    """There may be more results, even if there are none."""
    world.ingest("a")
    assert "Not every open alert was searched" not in world.client.get("/alerts?q=down").text
    monkeypatch.setattr("bridge.outbox.alerts.MOST_SECONDS", -1.0)
    page = world.client.get("/alerts?q=down").text
    assert "Not every open alert was searched" in page
    assert "No open alert matches" not in page
    found = Page(world.outbox.alerts.page([], PageRequest(10)).rows, 1, partial=True)
    monkeypatch.setattr("bridge.outbox.alerts.Alerts.page", lambda *_: found)
    page = world.client.get("/alerts?q=down").text
    assert "1 found, the most urgent first. <strong" in page
    assert "Not every open alert was searched" in page
