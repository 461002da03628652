"""The operator's page: everything is shown, escaped; only who has credentials and a token changes anything."""

import re
from html.parser import HTMLParser

import pytest

from bridge.config import read
from bridge.domain.alert import Alert
from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from bridge.errors import Unavailable
from bridge.metrics import Metrics
from bridge.outbox.status import Circuit, OutboxStatus
from bridge.web.application import Works, create_app
from bridge.web.operator_page import Insight, blueprint
from bridge.web.queue_history import Trend
from tests.store import Store

WATCHDOG = Alert(receiver="alertmanager", source="prod", key="prod:w", name="Watchdog", firing=True, starts_at=0.0)
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


class World:
    """An outbox, what is told of it, and who has which secret."""

    def __init__(self, folder):
        self.outbox = Store(f"sqlite:///{folder}/bridge.db")
        self.config = read(CONFIG)
        self.metrics = Metrics()
        self.heard, self.secrets, self.woken = {}, {"ann": "hash-of-ann", "bob": "hash-of-bob"}, []
        self.down = False
        self.trend = Trend(lambda: (3, not self.down), lambda: NOW)
        insight = Insight(
            database=self.outbox.database,
            metrics=self.metrics,
            trend=self.trend,
            config=lambda: self.config,
            destination=lambda: "bp",
            mapping_of=lambda receiver, source: self.mapping if source == "prod" else None,
            heard=lambda: self.heard,
            secret_of=self.secrets.get,
            wake=lambda: self.woken.append(1),
            clock=lambda: NOW,
        )
        app = create_app(Works(metrics=self.metrics, ready=lambda: True), [blueprint(insight)])
        self.client = app.test_client()
        self.mapping = self.config.receivers[0].mapping

    def tell(self, name="a", /, *, now=NOW - 100, interval=0.0, source="prod", **more):
        alert = Alert(
            **{
                "receiver": "alertmanager",
                "source": source,
                "key": f"{source}:{name}",
                "name": "Down",
                "firing": True,
                "severity": "critical",
                "labels": {"alertname": "Down", "host": f"web-{name}"},
                "starts_at": now,
            }
            | more
        )
        self.outbox.ingest.accept(
            [
                Notification(
                    receiver="alertmanager",
                    source=source,
                    alerts=(alert,),
                    mapping=self.mapping,
                    update_interval=interval,
                )
            ],
            now,
        )

    def bury(self, name="a", reason="400: no", /, **more):
        self.tell(name, **more)
        (claimed,) = [one for one in self.outbox.queue.claim(100, "me", NOW - 90, 0.0) if one.key.endswith(f":{name}")]
        self.outbox.queue.bury(claimed, reason, NOW - 80)
        return claimed.id

    def share(self, number, *, now=NOW - 100, **more):
        told = {"active": True, "status": "critical", "keys": ("prod:a",), "updated_at": now, "started_at": NOW - 450}
        told |= {"link": f"https://bigpanda.example/{number}", "digest": f"{now}"}
        incident = Incident(id=number, **(told | more))
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
def test_every_page_says_how_a_browser_must_treat_it(world, path):
    """No script, no frame, no other site's content; nothing is stored."""
    answer = world.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_bridge_says_so(world, path):
    """Each page reads well when there is nothing to show."""
    page = world.page(path)
    assert "<table" not in page or path == "/"
    assert '<html lang="en">' in page


def test_open_alerts_are_shown_and_found(world):
    """With status, name, key, labels, where from, since when; and whether they are doubtful."""
    world.tell("a")
    world.tell("b", severity="warning")
    page = world.page("/")
    for told in ("critical", "prod:a", "host=web-a", "alertmanager / prod", "1m 40s ago", "2023-11-14 22:11:40Z"):
        assert told in page
    found = world.page("/alerts?q=host=WEB-B")
    assert "prod:b" in found
    assert "prod:a" not in found
    assert "No open alert matches “nothing”" in world.page("/alerts?q=nothing")


def test_a_doubtful_alert_is_marked(world):
    """It fired before its last resolution."""
    world.tell("a", now=NOW - 100)
    world.tell("a", now=NOW - 50, firing=False, starts_at=NOW - 100, ends_at=NOW - 50)
    world.tell("a", now=NOW - 40, starts_at=NOW - 100)
    assert "possibly stale" in world.page("/alerts")


def test_long_lists_come_in_pages(world):
    """A hundred rows each; the first page of all says where the rest is."""
    for number in range(0, 130, 1):
        world.tell(f"n{number:03}", starts_at=NOW - number)
    assert ">All open alerts<" in world.page("/")
    first, second = world.page("/alerts"), world.page("/alerts?page=2")
    assert (first.count('<th role="rowheader"'), second.count('<th role="rowheader"')) == (100, 30)
    assert "Next page" in first
    assert "Page before" in second
    for odd in ("0", "-1", "x", "²", "99999999999999999999"):
        assert world.get(f"/alerts?page={odd}").status_code == 200


def test_incidents_tell_who_snoozed_them_and_until_when(world):
    """What is open comes first, with its alerts; a snooze says its end, or that it has none, or that it is over."""
    world.share("closed", active=False)
    world.share("plain", now=NOW - 60)
    world.share("slept", now=NOW - 70, snoozed=True, snoozed_until=NOW + 3600, who="ann", environment="edge")
    world.share("endless", now=NOW - 80, snoozed=True)
    world.share("woken", now=NOW - 90, snoozed=True, snoozed_until=NOW - 60)
    page = world.page("/incidents")
    assert re.findall(r">(closed|plain|slept|endless|woken)</a>", page) == [
        "plain", "slept", "endless", "woken", "closed",
    ]  # fmt: skip
    for told in (
        "5 as BigPanda told of them last",
        'href="https://bigpanda.example/slept"',
        "<small>panda, edge</small>",
        "for 1h 0m",
        "until <time",
        "without an end",
        "over <small>since",
        "<div>ann</div>",
        'href="alert?key=prod%3Aa"',
    ):
        assert told in page
    assert "Incidents</h2>" in world.page("/")


def test_an_incident_that_was_resolved_while_its_alert_fires_says_so(world):
    """As long as it fires; afterwards only that it was so."""
    world.tell("a", now=NOW - 500)
    world.share("1", now=NOW - 400)
    world.share("1", now=NOW - 300, active=False)
    assert "resolved by hand while 1 of its alerts still fires" in world.page("/incidents")
    world.tell("a", now=NOW - 50, firing=False, ends_at=NOW - 50)
    page = world.page("/incidents")
    assert "still fires" not in page
    assert "resolved by hand before its alerts were over" in page


def test_incidents_come_in_pages(world):
    """A hundred at once, as everything else."""
    for number in range(105):
        world.share(f"n{number:03}")
    first, second = world.page("/incidents"), world.page("/incidents?page=2")
    assert (first.count('<th role="rowheader"'), second.count('<th role="rowheader"')) == (100, 5)
    assert "Next page" in first
    assert ">All incidents<" in world.page("/")


def test_what_bigpanda_says_of_an_incident_is_shown_and_not_run(world):
    """Whoever may name an incident or a person there runs nothing here; a link leads nowhere but to a site."""
    world.share(HOSTILE, who=HOSTILE, environment=HOSTILE, keys=(HOSTILE,), link="javascript:alert(1)", snoozed=True)
    page = world.page("/incidents")
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4


def test_why_each_event_waits_is_told(world):
    """Under way, behind an earlier one, held, tried before, in its turn."""
    world.tell("sent")
    world.outbox.queue.record(accepted=world.outbox.queue.claim(1, "me", NOW - 90, 10), now=NOW - 90)
    world.tell("sent", annotations={"summary": "new"}, interval=900.0)
    world.tell("tried")
    world.outbox.queue.postpone(world.outbox.queue.claim(1, "me", NOW - 90, 10), NOW + 60, "503: busy")
    world.tell("tried", now=NOW - 20, firing=False, ends_at=NOW - 20)
    world.tell("going")
    world.outbox.queue.claim(1, "me", NOW, 1000)
    world.tell("due")
    page = world.page("/waiting")
    for told in (
        "held for the receiver&#39;s update_interval; next try in",
        "tried once: 503: busy; next try in 1m 0s",
        "waits for an earlier event of the same alert",
        "is being sent now",
        "due, in its turn",
    ):
        assert told in page


def test_a_closed_gate_is_told_first(world):
    """Why, since when, when it is tried again; and each event says that it waits for that."""
    world.tell("a")
    world.outbox.status.set_circuit("bp", Circuit(up=False, failures=3, not_before=NOW + 75, reason="401: <who>"))
    world.down = True
    world.trend.turn()
    page = world.page("/")
    assert "BigPanda takes nothing, seen since" in page
    assert "Reason: 401: &lt;who&gt;. Failed 3 times in a row; next try in 1m 15s" in page
    assert "BigPanda takes nothing now; next try in 1m 15s" in page


def test_deliveries_tell_bigpandas_answer(world):
    """Accepted, known already, replaced, refused; and how long it took."""
    world.tell("a")
    world.outbox.queue.record(accepted=world.outbox.queue.claim(1, "me", NOW - 90, 10), now=NOW - 60)
    world.tell("b")
    world.outbox.queue.record(duplicate=world.outbox.queue.claim(1, "me", NOW - 90, 10), now=NOW - 50)
    world.bury("c", "422: no")
    page = world.page("/deliveries")
    for told in ("BigPanda accepted it", "BigPanda had it already", "dead letter: 422: no", ">40s<"):
        assert told in page


def test_the_page_of_one_alert_tells_its_story(world):
    """From the webhook to BigPanda's answer, each event with its body; what nobody knows is 404."""
    links = {"generator_url": "http://prom.example.com/g", "odd_url": "javascript:alert(1)"}
    world.tell("a", links=links)
    world.outbox.queue.record(accepted=world.outbox.queue.claim(1, "me", NOW - 90, 10), now=NOW - 60)
    world.tell("a", now=NOW - 30, firing=False, ends_at=NOW - 30, links=links)
    page = world.page("/alert?key=prod:a")
    for told in (
        "Webhook accepted",
        "BigPanda accepted it",
        "it is resolved",
        "&#34;incident_identifier&#34;: &#34;prod:a&#34;",
        'href="http://prom.example.com/g"',
    ):
        assert told in page
    assert 'href="javascript' not in page
    assert re.search(r">ok</span> since 30s ago", page)
    assert world.get("/alert?key=prod:nobody").status_code == 404
    assert world.get("/alert").status_code == 404


def test_receivers_tell_when_they_were_heard_and_how_their_care_goes(world):
    """Last notification, reconciler, watchdog; what is not known is not told as fine."""
    page = world.page("/")
    assert "none yet" in page
    assert "has no answer yet" in page
    assert "Watchdog was never heard" in page
    assert ">well<" not in page
    world.heard["alertmanager", "prod"] = NOW - 5
    world.metrics.reconcile_success.labels("prod").set(NOW - 10)
    world.metrics.reconciled.labels("prod", "closed").inc(2)
    world.outbox.ingest.accept(
        [Notification(receiver="alertmanager", source="prod", mapping=world.mapping, heartbeats=(WATCHDOG,))],
        NOW - 7,
    )
    page = world.page("/")
    for told in ("5s ago", "10s ago", "corrected: 2", "heard 7s ago"):
        assert told in page
    world.metrics.reconcile_success.labels("prod").set(NOW - 1000)
    world.metrics.watchdog_silent.labels("prod").set(1)
    page = world.page("/")
    assert "late: Alertmanager last answered 16m 40s ago" in page
    assert "Watchdog is silent" in page


def test_the_queue_over_time_is_drawn(world):
    """As a line and in words, once there are two points."""
    world.trend.turn()
    assert "<svg" not in world.page("/")
    world.trend.turn()
    page = world.page("/")
    assert "<polyline" in page
    assert "3 now, at most 3" in page


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
def test_what_others_wrote_is_never_markup(world, path):
    """Keys, names, labels, annotations, reasons, bodies, searches: all of it is text."""
    world.tell(
        HOSTILE, name=HOSTILE, labels={HOSTILE: HOSTILE}, annotations={HOSTILE: HOSTILE}, links={HOSTILE: HOSTILE}
    )
    world.bury("dead", HOSTILE, labels={HOSTILE: HOSTILE})
    world.outbox.quarantine.add("vigilmon", "uptime", HOSTILE, HOSTILE, NOW)
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


def test_bodies_are_cut(world):
    """A megabyte of nonsense does not make the page unusable."""
    world.outbox.quarantine.add("vigilmon", "uptime", "odd", "x" * 900_000, NOW)
    page = world.page("/quarantine")
    assert len(page) < 50_000
    assert "cut here" in page


def test_no_secret_is_on_any_page(world):
    """Neither a credential nor a hash of one."""
    world.bury("a")
    for path in PAGES:
        page = world.page(path, "ann")
        for secret in (TOKEN, "am-token-1", "vm-secret-1", "hash-of-ann"):
            assert secret not in page


def test_without_credentials_there_are_no_buttons(world):
    """The page says what to do instead."""
    world.bury("a")
    page = world.page("/dead-letters")
    assert 'value="1"' not in page
    assert "<button>Search" not in page
    assert "basic_auth_users" in page
    assert "vendorwatch-bridge dead-letters" in page
    assert "Requeue<" in world.page("/dead-letters", "ann")


ACTS = ("/dead-letters/requeue", "/dead-letters/discard", "/quarantine/discard")


@pytest.mark.parametrize("path", ACTS)
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
    ],
)
def test_a_stranger_changes_nothing(world, path, user, token, headers):
    """403, whatever is missing: credentials, the token of this user, a form of this site."""
    letter = world.bury("a")
    world.outbox.quarantine.add("vigilmon", "uptime", "odd", "{}", NOW)
    token = world.token(token.removesuffix("'s")) if token.endswith("'s") else token
    for what in ({"id": str(letter)}, {"all": "9999"}):
        answer = world.press(path, user, headers, token=token, **what)
        assert answer.status_code == 403
        assert "Nothing was changed" in answer.text
    assert world.dead() == [letter]
    assert len(world.outbox.quarantine.oldest()) == 1
    assert not world.woken


@pytest.mark.parametrize("path", ACTS)
def test_only_a_form_changes_anything(world, path):
    """A link that someone follows is 405."""
    assert world.get(path, "ann").status_code == 405


def test_a_token_ends_with_its_password(world):
    """What was made for the password before is refused."""
    letter, token = world.bury("a"), world.token()
    world.secrets["ann"] = "another hash"
    assert world.press("/dead-letters/requeue", token=token, id=str(letter)).status_code == 403
    assert world.dead() == [letter]


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_dead_letter_is_requeued(world, headers):
    """It waits again, the delivery is woken, and the operator is led back to what is left."""
    letter, other = world.bury("a"), world.bury("b")
    answer = world.press("/dead-letters/requeue", headers=headers, token=world.token(), id=str(letter))
    assert (answer.status_code, answer.headers["Location"]) == (303, "../dead-letters?queued=1")
    assert world.dead() == [other]
    assert world.woken
    assert "1 queued again" in world.page("/dead-letters?queued=1", "ann")


def test_all_are_requeued_and_what_cannot_be_is_told(world):
    """One whose receiver is gone from the file stays dead."""
    world.bury("a")
    gone = world.bury("b", source="gone")
    answer = world.press("/dead-letters/requeue", token=world.token(), all="1")
    assert answer.headers["Location"] == "../dead-letters?queued=1&unknown=1"
    assert world.dead() == [gone]


def test_dead_letters_are_discarded_alone_or_up_to_what_was_seen(world, caplog):
    """What came after the page was made stays; who did it is in the log."""
    caplog.set_level("INFO")
    first, second, third, unseen = (world.bury(name) for name in "abcd")
    token = world.token()
    assert world.press("/dead-letters/discard", token=token, id=str(second)).status_code == 303
    assert world.dead() == [first, third, unseen]
    answer = world.press("/dead-letters/discard", token=token, all=str(third))
    assert answer.headers["Location"] == "../dead-letters?discarded=2"
    assert world.dead() == [unseen]
    assert "/dead-letters/discard by ann: 2 discarded" in caplog.text


def test_quarantine_is_emptied_alone_or_up_to_what_was_seen(world):
    """As dead letters are."""
    for _ in range(3):
        world.outbox.quarantine.add("vigilmon", "uptime", "odd", "{}", NOW)
    token = re.search('value="([0-9a-f]{64})"', world.page("/quarantine", "ann"))[1]
    world.press("/quarantine/discard", token=token, id="1")
    assert [one.id for one in world.outbox.quarantine.oldest()] == [2, 3]
    assert world.press("/quarantine/discard", token=token, all="2").headers["Location"] == "../quarantine?deleted=1"
    assert [one.id for one in world.outbox.quarantine.oldest()] == [3]


@pytest.mark.parametrize("odd", ["x", "-1", "1; DROP TABLE events", "9" * 40, ""])
def test_odd_numbers_change_nothing(world, odd):
    """What is no number of a dead letter is none."""
    letter = world.bury("a")
    answer = world.press("/dead-letters/discard", token=world.token(), id=odd, all=odd)
    assert answer.headers["Location"] == "../dead-letters?discarded=0"
    assert world.dead() == [letter]


def test_what_a_link_claims_to_have_happened_is_numbers_only(world):
    """Nobody's words get onto the page by its address."""
    page = world.page("/dead-letters?queued=%3Cb%3E&discarded=12&done=x")
    assert "12 discarded" in page
    assert "queued again" not in page


def test_following_is_the_readers_choice(world):
    """The page loads itself again where that was asked for, and keeps the search."""
    assert "Refresh" not in world.get("/alerts?q=x").headers
    assert "?q=x&amp;follow=1" in world.page("/alerts?q=x")
    followed = world.get("/alerts?q=x&follow=1")
    assert followed.headers["Refresh"] == "15"
    assert 'href="?q=x"' in followed.text


def test_a_database_that_cannot_be_read_is_told(world, monkeypatch):
    """503 with a word, no trace."""

    def gone(*_):
        raise Unavailable("the database is locked")

    monkeypatch.setattr(OutboxStatus, "counts", gone)
    answer = world.get("/")
    assert answer.status_code == 503
    assert "the database is locked" in answer.text
