"""The reconciler against a real outbox, on both databases, and Alertmanagers that say what a test wants."""

import json
import logging
import threading
import time
from dataclasses import replace

import pytest

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unanswered, Unavailable
from bridge.metrics import Metrics
from bridge.outbox.alerts import Alerts
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Role
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.alertmanager_client import Listed, Peer, Silence
from bridge.reconcile.expiry import expired
from bridge.reconcile.reconciler import Reconciler, unquoted
from bridge.web.operations import correct
from exporter.toolkit.periodic import Clock

T0 = 1_700_000_000.0


def settings(**reconcile):
    return Settings(
        receiver="alertmanager",
        source="prod",
        watchdog={"alertname": "Watchdog"},
        reconcile={"urls": ["http://am-1", "http://am-2"], "receiver": "bigpanda", **reconcile},
    )


SETTINGS = settings()
MAPPING = SETTINGS.mapping


def alert(name="a", *, firing=True, severity="critical", at=T0, receiver="alertmanager"):
    return Alert(
        receiver=receiver,
        source="prod",
        key=f"prod:{name}",
        name=name,
        firing=firing,
        severity=severity,
        labels={"alertname": name},
        starts_at=at,
        ends_at=None if firing else at,
    )


def listed(name, state="active", receivers=("bigpanda",), silenced_by=(), **more):
    return Listed(
        silenced_by=silenced_by,
        alert=alert(name, **more),
        active=state == "active",
        suppressed=state == "suppressed",
        receivers=frozenset(receivers),
    )


def peer(*found, started=T0 - 3600, **more):
    return Peer(started=started, settling=more.pop("settling", False), listed=found, **more)


class Alertmanagers:
    """Answer the same until changed; `asked` is called at each poll."""

    def __init__(self):
        self.says = [peer(), peer()]
        self.asked = lambda: None
        self.questions = 0
        self.mutes = frozenset()
        self.silenced = {}

    def silences(self):
        if isinstance(self.silenced, Unanswered):
            raise self.silenced
        return self.silenced

    def ask(self, now, names):
        del now
        self.names = names
        self.questions += 1
        self.asked()
        return self.says

    def muted(self, names, now):
        del names, now
        if isinstance(self.mutes, Unanswered):
            raise self.mutes
        return self.mutes

    def close(self):
        self.says = []


class Bench:
    """A reconciler, its outbox, its Alertmanagers and its clock."""

    def __init__(self, outbox):
        self.outbox = outbox
        self.now = T0 + 100
        self.alertmanagers = Alertmanagers()
        self.metrics = Metrics()
        self.woken = 0
        self.reconciler = self.make(SETTINGS)

    def make(self, with_settings):
        return Reconciler(
            Outbox(self.outbox.database, self.wake),
            with_settings,
            self.metrics,
            api=self.alertmanagers,
            clock=Clock(lambda: self.now, lambda: self.now),
        )

    def wake(self):
        self.woken += 1

    def webhook(self, *alerts, name=""):
        batch = [
            Notification(receiver=found.receiver, source="prod", alerts=(found,), mapping=MAPPING, receiver_name=name)
            for found in alerts
        ]
        return self.outbox.ingest.accept(batch, self.now)

    def turn(self, times=1):
        for _ in range(times):
            self.now += 60
            self.reconciler.turn()

    def open(self):
        return sorted(found.key for found in self.outbox.alerts.open_alerts("prod"))

    def counted(self, action):
        return self.metrics.registry.get_sample_value(
            "vendorwatch_bridge_reconciled_alerts_total", {"source": "prod", "action": action}
        )


@pytest.fixture
def bench(outbox):
    return Bench(outbox)


def test_unlisted_alert_is_resolved_after_two_polls(bench, caplog):
    """As of now, under the same identifier; counted, and logged with the reason."""
    bench.webhook(alert("gone"), alert("there"))
    bench.alertmanagers.says = [peer(listed("there")), peer(listed("there"))]
    bench.turn()
    assert bench.open() == ["prod:gone", "prod:there"]
    bench.turn()
    assert bench.open() == ["prod:there"]
    assert (bench.counted("closed"), bench.counted("opened"), bench.woken) == (1, 0, 1)
    assert "closed prod:gone (gone): unknown to every Alertmanager in two consecutive polls" in caplog.text
    claimed = bench.outbox.queue.claim(10, bench.now, 60)
    bench.outbox.queue.record(claimed, "accepted", now=bench.now)
    (event,) = [json.loads(claim.body) for claim in bench.outbox.queue.claim(10, bench.now, 60)]
    assert event["incident_identifier"] == "prod:gone"
    assert (event["status"], event["timestamp"]) == ("ok", int(bench.now))
    bench.turn(3)
    assert bench.counted("closed") == 1


def test_alert_listed_by_one_peer_stays_open(bench):
    """A suppressed one too."""
    bench.webhook(alert("a"), alert("b"))
    bench.alertmanagers.says = [peer(listed("a", "suppressed")), peer(listed("b", receivers=["other"]))]
    bench.turn(4)
    assert bench.open() == ["prod:a", "prod:b"]


@pytest.mark.parametrize(
    "says",
    [
        [peer(listed("x")), Unanswered("http://am-2", "answered 503")],
        [peer(listed("x")), peer(started=T0 + 300)],
        [peer(listed("x"), settling=True), peer()],
    ],
    ids=["unanswered", "young", "settling"],
)
def test_blocker_keeps_alerts_open_and_is_logged_once(bench, says, caplog):
    """Nothing is resolved while an Alertmanager may lack alerts."""
    bench.webhook(alert("a"))
    bench.alertmanagers.says = says
    bench.turn(4)
    assert bench.open() == ["prod:a", "prod:x"]
    assert caplog.text.count("Not closing unlisted alerts of prod") == 1


def test_suddenly_empty_list_must_be_confirmed(bench):
    """The first empty list after a non-empty one does not count; the next two do. An incomplete one is none."""
    bench.webhook(alert("a"))
    for says in ([peer(listed("a")), peer()], [peer(), Unanswered("http://am-2", "answered 503")]):
        bench.alertmanagers.says = says
        bench.turn()
    bench.alertmanagers.says = [peer(), peer()]
    bench.turn(2)
    assert bench.open() == ["prod:a"]
    bench.turn()
    assert bench.open() == []


def test_failed_poll_restarts_the_count(bench):
    """Two consecutive polls must succeed."""
    bench.webhook(alert("a"))
    whole = [peer(listed("x", receivers=["other"])), peer()]
    for says in (whole, [whole[0], Unanswered("http://am-2", "no answer in time")], whole):
        bench.alertmanagers.says = says
        bench.turn()
    assert bench.open() == ["prod:a"]
    bench.turn()
    assert bench.open() == []


@pytest.mark.parametrize("read", ["open_alerts", "of_alerts"])
def test_failed_database_restarts_the_count(bench, monkeypatch, read):
    """The poll before it is forgotten."""
    bench.webhook(alert("a"))
    bench.turn()

    def busy(_alerts, _wanted):
        raise Unavailable("database: busy")

    with monkeypatch.context() as patched:
        patched.setattr(Alerts, read, busy)
        with pytest.raises(Unavailable):
            bench.turn()
    bench.turn()
    assert bench.open() == ["prod:a"]
    bench.turn()
    assert bench.open() == []


@pytest.mark.parametrize(
    ("change", "left"),
    [(alert("a", at=T0 + 150), ["prod:a"]), (alert("a", firing=False, at=T0 + 150), [])],
    ids=["fires again", "resolved"],
)
def test_webhook_during_a_poll_wins(bench, change, left):
    """An alert that fires again meanwhile is not resolved."""
    bench.webhook(alert("a"))
    bench.turn()
    bench.alertmanagers.asked = lambda: bench.webhook(change)
    bench.turn()
    assert bench.open() == left
    assert bench.counted("closed") == 0


def test_only_this_receivers_alerts_are_closed(bench):
    """Not those of another sender with this source, nor the watchdog's alert."""
    bench.webhook(alert("monitor:5", receiver="vigilmon"), alert("watchdog"), alert("a"))
    bench.turn(3)
    assert bench.open() == ["prod:monitor:5", "prod:watchdog"]


@pytest.mark.parametrize(
    "found",
    [
        listed("x", "suppressed"),
        listed("x", "unprocessed"),
        listed("x", receivers=["other"]),
        listed("x", receivers=[]),
        listed("Watchdog"),
        listed("x", severity="none"),
    ],
    ids=["suppressed", "unprocessed", "another's", "nobody's", "the heartbeat", "not sent"],
)
def test_only_alerts_for_this_receiver_are_opened(bench, found):
    """Firing, unsuppressed, routed to us, with a severity that is sent."""
    bench.alertmanagers.says = [peer(found), peer()]
    bench.turn(3)
    assert (bench.open(), bench.counted("opened")) == ([], 0)


def test_alert_suppressed_by_one_peer_is_not_opened(bench):
    """A silence may not have reached every peer."""
    bench.alertmanagers.says = [peer(listed("x")), peer(listed("x", "suppressed"))]
    bench.turn(3)
    assert bench.open() == []


def test_missed_alert_is_opened_after_two_polls(bench, caplog):
    """With labels, severity and time from the API; counted, and logged once with the reason."""
    bench.alertmanagers.says = [peer(listed("x", severity="warning")), Unanswered("http://am-2", "answered 503")]
    bench.turn()
    assert bench.open() == []
    bench.turn(3)
    assert [(found.key, found.status) for found in bench.outbox.alerts.open_alerts("prod")] == [("prod:x", "warning")]
    assert (bench.counted("opened"), bench.woken) == (1, 1)
    assert "opened prod:x (x): active in Alertmanager in two consecutive polls, but never reported" in caplog.text


def test_alert_muted_by_a_time_interval_is_not_opened(bench, caplog):
    """Nor is any while the muting is unknown; ended alerts are still resolved."""
    bench.alertmanagers.says = [peer(listed("x"), listed("y")), peer()]
    bench.alertmanagers.mutes = Unanswered("http://am-1", "answered 503")
    bench.webhook(alert("gone"))
    bench.turn(3)
    assert (bench.open(), bench.counted("closed")) == ([], 1)
    assert caplog.text.count("Not opening missed alerts of prod: Alertmanager http://am-1: answered 503") == 1
    bench.alertmanagers.mutes = frozenset({"prod:y"})
    bench.reconciler.fetch()
    bench.turn(2)
    assert bench.open() == ["prod:x"]


def test_nothing_is_opened_while_mutes_stay_hidden(bench, caplog):
    """Alertmanager before 0.28 with time intervals: an alert muted by night would be opened by night."""
    bench.webhook(alert("gone"))
    bench.alertmanagers.says = [peer(listed("x"), mutes_lag=float("inf"))]
    bench.turn(3)
    bench.reconciler.fetch()
    assert (bench.open(), bench.counted("closed")) == ([], 1)
    assert caplog.text.count("Not opening missed alerts of prod: Alertmanager before 0.28 does not show") == 1


def test_open_missed_false_never_opens(bench):
    """It still resolves."""
    bench.reconciler = bench.make(settings(open_missed=False))
    bench.webhook(alert("gone"))
    bench.alertmanagers.says = [peer(listed("x")), peer()]
    bench.turn(2)
    bench.reconciler.fetch()
    assert bench.open() == []


def test_wrongly_resolved_alert_is_opened_again(bench):
    """Resolved here, active at Alertmanager."""
    bench.webhook(alert("x"))
    bench.webhook(alert("x", firing=False))
    bench.alertmanagers.says = [peer(listed("x")), peer(listed("x"))]
    bench.turn(2)
    assert bench.open() == ["prod:x"]


@pytest.mark.parametrize(("name", "opened"), [("", []), (r"big\.panda", ["prod:x"]), ("other", [])])
def test_receiver_name_is_learned_from_webhooks(bench, name, opened):
    """Before the first one nothing is opened, but alerts are resolved."""
    bench.reconciler = bench.make(settings(receiver=None))
    bench.webhook(alert("gone"), name=name)
    bench.alertmanagers.says = [peer(listed("x", receivers=["big.panda"])), peer()]
    bench.turn(2)
    assert bench.open() == opened


def test_receiver_that_lost_its_webhook_opens_nothing(bench):
    """The route that once sent everything to us now leads to a chat; a peer with the former configuration counts."""
    bench.reconciler = bench.make(settings(receiver=None))
    bench.webhook(alert("a"), name="default")
    found, senders = listed("chat", receivers=["default"]), frozenset({"critical"})
    bench.alertmanagers.says = [peer(found, listed("a"), senders=senders), peer(senders=senders)]
    bench.turn(3)
    assert bench.open() == ["prod:a"]
    assert bench.alertmanagers.names == {"default"}
    bench.alertmanagers.says[1] = peer()
    bench.turn(2)
    assert bench.open() == ["prod:a", "prod:chat"]


@pytest.mark.parametrize(("changes", "closes"), [({}, False), ({"firing": False}, True), ({"heard": 400}, True)])
def test_alertmanagers_without_the_watchdog_that_arrives_close_nothing(bench, caplog, changes, closes):
    """It reaches us through another Alertmanager, such as the one of which this is a copy."""
    bench.webhook(alert("gone"))
    bench.now += 120 - changes.get("heard", 0)
    beat = replace(alert("Watchdog"), firing=changes.get("firing", True))
    bench.outbox.ingest.accept([SETTINGS.notification(heartbeats=(beat,))], bench.now)
    bench.now += changes.get("heard", 0)
    bench.alertmanagers.says = [peer(listed("other")), peer()]
    bench.turn(2)
    assert bench.open() == (["prod:other"] if closes else ["prod:gone", "prod:other"])
    unclosed = "Not closing unlisted alerts of prod: no Alertmanager lists the watchdog that arrives"
    assert (unclosed in caplog.text) is not closes
    bench.alertmanagers.says = [peer(listed("other")), peer(listed("Watchdog"))]
    bench.turn(2)
    assert bench.open() == ["prod:other"]


def test_a_quoted_name_is_read_as_it_was_written():
    r"""Go's regexp.QuoteMeta puts a backslash before each of \.+*?()|[]{}^$."""
    assert unquoted(r"a\.b\\c\+\(d\)") == r"a.b\c+(d)"
    assert unquoted("plain-name_1") == "plain-name_1"


def test_truncated_alerts_are_fetched_at_once(bench, caplog):
    """After a wake two polls in a row are enough to open, never to resolve."""
    bench.webhook(alert("gone"))
    bench.alertmanagers.says = [peer(listed("x")), peer(listed("y"))]
    bench.reconciler.fetch()
    assert bench.open() == ["prod:gone", "prod:x", "prod:y"]
    assert bench.alertmanagers.questions == 2
    assert "opened prod:x (x): active in Alertmanager, left out of a truncated webhook" in caplog.text
    bench.reconciler.fetch()
    assert (bench.counted("opened"), bench.counted("closed")) == (2, 0)


def test_truncated_alert_by_a_clock_ahead_of_ours_is_fetched_at_once(bench):
    """A start in the future is one of just now."""
    bench.alertmanagers.says = [peer(listed("x", at=bench.now + 2)), peer()]
    bench.reconciler.fetch()
    assert bench.open() == ["prod:x"]


def test_truncated_webhooks_are_followed_by_one_fetch_a_second(bench):
    """Of two requests each, the first at once; the polls go on at their interval."""
    assert (bench.reconciler.tick(), bench.alertmanagers.questions) == (60.0, 1)
    bench.reconciler.wake()
    assert (bench.reconciler.tick(), bench.alertmanagers.questions) == (60.0, 3)
    bench.reconciler.wake()
    assert (bench.reconciler.tick(), bench.alertmanagers.questions) == (1.0, 3)
    bench.now += 1
    assert (bench.reconciler.tick(), bench.alertmanagers.questions) == (59.0, 5)
    bench.now += 1
    assert (bench.reconciler.tick(), bench.alertmanagers.questions) == (58.0, 5)


def test_listed_alert_does_not_expire(bench):
    """However rarely Alertmanager repeats it."""
    bench.reconciler = bench.make(SETTINGS.model_copy(update={"resolve_after": 3600.0}))
    bench.webhook(alert("a"), alert("gone"))
    bench.alertmanagers.says = [peer(listed("a")), peer()]
    bench.turn()
    assert bench.outbox.alerts.heard_at(["prod:a", "prod:gone"]) == {"prod:a": bench.now}


@pytest.mark.parametrize(("set_back", "turns"), [(0.0, 6), (86_400.0, 7)])
def test_possibly_muted_alert_is_opened_later(bench, set_back, turns):
    """Before 0.35 Alertmanager shows muting only after the group was flushed again; a clock set back starts anew."""
    bench.alertmanagers.says = [peer(listed("x"), mutes_lag=300.0), peer(listed("x"))]
    bench.turn()
    bench.now -= set_back
    bench.turn(turns - 2)
    assert bench.open() == []
    bench.turn()
    assert bench.open() == ["prod:x"]


def test_possibly_muted_truncated_alert_is_not_opened(bench):
    """Only alerts that started long enough ago are fetched."""
    bench.alertmanagers.says = [
        peer(listed("old", at=bench.now - 60), listed("new", at=bench.now - 50), mutes_lag=60.0),
        peer(),
    ]
    bench.reconciler.fetch()
    assert bench.open() == ["prod:old"]


def test_members_of_an_identity_are_reconciled_one_by_one(bench):
    """BigPanda has the worst firing one."""

    def member(name, severity):
        return replace(alert(name, severity=severity), identity="prod:shared")

    both = [member("warn", "warning"), member("crit", "critical")]
    bench.webhook(*both)
    listed = [Listed(alert=one, active=True, suppressed=False, receivers=frozenset({"bigpanda"})) for one in both]
    bench.alertmanagers.says = [peer(*listed), peer()]
    bench.turn(3)
    assert (bench.counted("closed"), bench.counted("opened")) == (0, 0)
    assert [state.status for state in bench.outbox.alerts.open_alerts("prod")] == ["critical"]
    bench.alertmanagers.says = [peer(listed[0]), peer()]
    bench.turn(2)
    assert [(state.key, state.status) for state in bench.outbox.alerts.open_alerts("prod")] == [
        ("prod:shared", "warning")
    ]
    bench.alertmanagers.says = [peer(*listed), peer()]
    bench.turn(2)
    assert (bench.counted("closed"), bench.counted("opened")) == (1, 1)
    assert [state.status for state in bench.outbox.alerts.open_alerts("prod")] == ["critical"]


SILENCE = Silence(by="jo", until="2023-11-15T00:00:00Z", comment="deploying", ends_at=T0 + 6400)
TAGS = {"silenced_by": "jo", "silenced_until": "2023-11-15T00:00:00Z", "silence_comment": "deploying"}


def sent(bench):
    """Return the statuses of all events so far, with the tags of a silence."""
    found = []
    while claimed := bench.outbox.queue.claim(10, bench.now, 60):
        bench.outbox.queue.record(claimed, "accepted", now=bench.now)
        events = [json.loads(one.body) for one in claimed]
        found += [(event["status"], {name: event[name] for name in TAGS if name in event}) for event in events]
    return found


def acknowledging(bench):
    """Let the reconciler acknowledge what is silenced, and one alert be open."""
    bench.reconciler = bench.make(SETTINGS.model_copy(update={"silenced": "acknowledge"}))
    bench.webhook(alert("x"))
    assert sent(bench) == [("critical", {})]
    bench.alertmanagers.silenced = {"s1": SILENCE}


def test_a_silenced_alert_is_acknowledged_until_the_silence_ends(bench, caplog):
    """One event at its start, with user, end and comment; the alert's status again at its end; none in between."""
    caplog.set_level(logging.INFO)
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.turn(3)
    assert sent(bench) == [("acknowledged", TAGS)]
    assert bench.reconciler.silenced == {"prod:x": SILENCE}
    assert "prod:x is silenced until 2023-11-15T00:00:00Z by jo" in caplog.text
    bench.alertmanagers.says = [peer(listed("x")), peer(listed("x"))]
    bench.turn(3)
    assert sent(bench) == [("critical", {})]
    assert "prod:x is no longer silenced" in caplog.text
    gauge = bench.metrics.registry.get_sample_value
    assert gauge("vendorwatch_bridge_silenced_alerts", {"source": "prod"}) == 0
    assert (bench.counted("closed"), bench.counted("opened")) == (0, 0)


def test_alert_that_ends_under_its_silence_is_resolved(bench):
    """Without the silence's tags."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced, listed("y", receivers=["other"]))]
    bench.turn(2)
    assert sent(bench) == [("acknowledged", TAGS)]
    bench.alertmanagers.says = [peer(), peer(listed("y", receivers=["other"]))]
    bench.turn(2)
    assert sent(bench) == [("ok", {})]


@pytest.mark.parametrize("who", ["operator", "expiry"])
def test_silenced_alert_that_another_resolves_loses_the_silences_tags(bench, who):
    """Whoever closes it: BigPanda would show a resolved alert as silenced."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.turn(2)
    assert sent(bench) == [("acknowledged", TAGS)]
    states = bench.outbox.alerts.open_alerts("prod")
    if who == "operator":
        correct(bench.outbox, "closed", states, {("alertmanager", "prod"): SETTINGS}, bench.now)
    else:
        ends = expired(states, SETTINGS.model_copy(update={"resolve_after": 60.0}), bench.now + 3600, {}, [])
        list(bench.outbox.correct((SETTINGS.correction(*one) for one in ends), bench.now))
    assert sent(bench) == [("ok", {})]


def test_a_webhook_ends_the_acknowledgement(bench):
    """Alertmanager does not notify about silenced alerts."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.turn()
    assert [status for status, _ in sent(bench)] == ["acknowledged"]
    bench.now += 2
    bench.webhook(alert("x", severity="warning"))
    assert [status for status, _ in sent(bench)] == ["warning"]


@pytest.mark.parametrize(
    "says",
    [
        [peer(listed("x")), Unanswered("http://am-2", "answered 503")],
        [peer(listed("x")), peer(listed("x", "suppressed", silenced_by=("s1",)))],
        [peer(listed("x", "unprocessed")), peer()],
        [peer(listed("x", "suppressed")), peer()],
    ],
    ids=["one does not answer", "one silences it", "not looked at yet", "inhibited"],
)
def test_acknowledgement_ends_only_when_all_alertmanagers_agree(bench, says):
    """A missing peer may still silence it; so may one that lists it as neither active nor silenced."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.turn()
    bench.alertmanagers.says = says
    bench.turn(2)
    assert sent(bench) == [("acknowledged", TAGS)]


def test_unknown_silences_change_nothing(bench, caplog):
    """If an Alertmanager lists alerts but not silences; logged once."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.alertmanagers.silenced = Unanswered("http://am-1", "answered 403")
    bench.turn(3)
    assert sent(bench) == []
    assert caplog.text.count("Silences of prod unknown: Alertmanager http://am-1: answered 403") == 1


def test_snooze_of_bigpanda_is_not_reported_back(bench):
    """Its silence is shown; beside an operator's own, the operator's is reported, although the snooze ends later."""
    acknowledging(bench)
    snooze = replace(SILENCE, by="vendorwatch-bridge", ends_at=SILENCE.ends_at + 60)
    bench.alertmanagers.silenced = {"s1": SILENCE, "s2": snooze}
    for ids, news in ((["s2"], []), (["s1", "s2"], [("acknowledged", TAGS)]), (["s2", "s1"], [])):
        silenced = listed("x", "suppressed", silenced_by=ids)
        bench.alertmanagers.says = [peer(silenced), peer(silenced)]
        bench.turn(2)
        assert (sent(bench), bench.reconciler.silenced) == (news, {"prod:x": snooze})


def test_silenced_keep_only_shows_silences(bench):
    """On the page and in the metric; an acknowledged alert gets its status back."""
    acknowledging(bench)
    silenced = listed("x", "suppressed", silenced_by=("s1",))
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.turn()
    assert sent(bench) == [("acknowledged", TAGS)]
    bench.reconciler.stop()
    bench.reconciler.run()
    bench.alertmanagers.says = [peer(silenced), peer(silenced)]
    bench.reconciler = bench.make(SETTINGS)
    bench.turn(3)
    assert bench.reconciler.silenced == {"prod:x": SILENCE}
    assert sent(bench) == [("critical", {})]
    gauge = bench.metrics.registry.get_sample_value
    assert gauge("vendorwatch_bridge_silenced_alerts", {"source": "prod"}) == 1


def test_another_replica_takes_over_when_the_lease_ends(bench):
    """Two intervals and a little after the last tick of a dead replica."""
    if bench.outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    first, second = bench.reconciler, bench.make(SETTINGS)
    first.turn()
    asked, started = bench.alertmanagers.questions, bench.now
    while bench.alertmanagers.questions == asked:
        bench.now += 1
        second.turn()
    assert bench.now - started == pytest.approx(125, abs=1)


def test_only_one_replica_polls(bench):
    """Another one takes over after the release, and starts its count."""
    first, second = bench.reconciler, bench.make(SETTINGS)
    bench.webhook(alert("a"))
    first.turn()
    second.turn()
    second.turn()
    assert (bench.alertmanagers.questions, bench.open()) == (1, ["prod:a"])
    first._role.close()
    assert (first.status.since, second.status.since) == (bench.now, None)
    second.turn()
    first.turn()
    assert (first.status.since, first.status.last_success, second.status.since) == (None, None, bench.now)
    assert bench.open() == ["prod:a"]
    second.turn()
    assert bench.open() == []


def test_only_the_replica_that_polls_shows_silences(bench):
    """On its page and in its metrics; the other one's would be those of long ago."""
    first, metrics, bench.metrics = bench.reconciler, bench.metrics, Metrics()
    second = bench.make(SETTINGS)
    bench.webhook(alert("x"))
    bench.alertmanagers.silenced = {"s1": SILENCE}
    bench.alertmanagers.says = [peer(listed("x", "suppressed", silenced_by=("s1",)))]
    first.turn()
    first._role.close()
    second.turn()
    first.turn()
    assert (first.silenced, second.silenced) == ({}, {"prod:x": SILENCE})
    gauges = [of.registry.get_sample_value for of in (metrics, bench.metrics)]
    assert [gauge("vendorwatch_bridge_silenced_alerts", {"source": "prod"}) for gauge in gauges] == [None, 1]


def test_many_corrections_are_made_in_batches(bench):
    """A whole lost storm is corrected in one tick."""
    bench.alertmanagers.says = [peer(*(listed(f"x{number}") for number in range(1203))), peer()]
    bench.turn(2)
    assert (len(bench.open()), bench.counted("opened"), bench.woken) == (1203, 1203, 3)


def test_reconciler_health_is_exported(bench):
    """The last complete success, and the number of failures."""
    value = bench.metrics.registry.get_sample_value
    bench.turn()
    asked_at = bench.now
    bench.alertmanagers.says = [Unanswered("http://am-1", "answered 503"), Unanswered("http://am-2", "answered 503")]
    bench.turn(2)
    assert value("vendorwatch_bridge_reconcile_failures_total", {"source": "prod"}) == 4
    assert bench.reconciler.status.unanswered == "http://am-1: answered 503; http://am-2: answered 503"
    assert bench.reconciler.status.failures == 4
    assert value("vendorwatch_bridge_reconcile_last_success_timestamp_seconds", {"source": "prod"}) == asked_at


def test_removed_reconciler_has_no_metric(bench):
    """It must not look stale forever."""
    bench.turn()
    bench.reconciler.stop()
    bench.reconciler.run()
    value = bench.metrics.registry.get_sample_value
    assert value("vendorwatch_bridge_reconcile_last_success_timestamp_seconds", {"source": "prod"}) is None


def test_loop_survives_unexpected_errors_and_stops(bench, caplog):
    """A wake shortens the pause; the role is released."""
    bench.reconciler = bench.make(settings(interval="200ms"))
    failed = threading.Event()

    def fail():
        failed.set()
        raise RuntimeError("unforeseen")

    bench.alertmanagers.asked = fail
    bench.reconciler.start()
    assert failed.wait(30)
    bench.alertmanagers.says = [peer(listed("x")), peer()]
    bench.alertmanagers.asked = lambda: None
    bench.reconciler.wake()
    end = time.monotonic() + 30
    while not bench.open() and time.monotonic() < end:
        time.sleep(0.02)
    bench.reconciler.stop(30)
    assert bench.open() == ["prod:x"]
    assert [record.levelno for record in caplog.records if "unexpectedly" in record.message] == [logging.ERROR]
    assert Role(bench.outbox.database, "reconciler prod", 1.0).lead(bench.now)


def test_a_receiver_without_reconcile_has_no_reconciler(bench):
    """Making one is a programming error."""
    with pytest.raises(ValueError, match="no reconcile section"):
        bench.make(Settings(receiver="alertmanager", source="prod", app_key="app"))
