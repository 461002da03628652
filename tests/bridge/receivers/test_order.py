"""Vendors' messages in any order, repeated, by clocks that are hours off: the newest by the vendor's own time holds."""

import json
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.notification import Notification
from bridge.receivers.contract import sender, translate
from tests.store import Store

NOW = 1_795_200_000.0
NUMBERS = count(1)
patient = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
skews = st.sampled_from([0, -10_800, 10_800, -86_400, 86_400])


@pytest.fixture(scope="module")
def outbox(tmp_path_factory):
    opened = Store(f"sqlite:///{tmp_path_factory.mktemp('order')}/bridge.db")
    yield opened
    opened.close()


class Sender:
    """One vendor that sends to one outbox, a minute between two messages."""

    def __init__(self, outbox, receiver):
        self.outbox, self.now, self.key = outbox, NOW, ""
        self.settings = sender(receiver).Settings(receiver=receiver, source="s", app_key="app")
        self.mapping = self.settings.mapping

    def send(self, body):
        """Return how many events follow."""
        self.now += 60.0
        (alert,) = translate(body, self.settings, self.now).alerts
        notification = Notification(receiver="r", source="s", alerts=(alert,), mapping=self.mapping)
        self.key = alert.key
        (outcome,) = self.outbox.ingest.accept([notification], self.now)
        return outcome.queued

    def shown(self):
        """Deliver all, and return what BigPanda shows in the end; events come in order, none from the future."""
        events = []
        while claimed := self.outbox.queue.claim(100, self.now, 60.0):
            events += [json.loads(one.body) for one in claimed if one.key == self.key]
            self.outbox.queue.record(claimed, "accepted", now=self.now)
        stamps = [event["timestamp"] for event in events]
        assert stamps == sorted(set(stamps))
        assert max(stamps) <= self.now
        return events[-1]


def written(moment):
    return datetime.fromtimestamp(moment, UTC).isoformat()


def monitor_webhook(number, kind, minute, skew):
    """Return Vigilmon's webhook about a monitor; the time of an escalation is the start of its incident."""
    moment = written(NOW - 86_400 + 60 * minute + skew)
    body = {"event": f"monitor_{kind}", "monitor": {"id": number, "name": "svc"}, "region": f"r{minute}"}
    if kind == "escalation":
        return body | {"incident_started_at": moment, "down_minutes": 30}
    return body | {"checked_at": moment, "error": None}


states = st.lists(st.tuples(st.sampled_from(["down", "up", "escalation"]), st.integers(0, 12)), min_size=1, max_size=12)


@pytest.mark.slow
@patient
@given(states=states, skew=skews)
def test_newest_state_of_a_monitor_wins(outbox, states, skew):
    """In any order of down, up and escalation; an up wins within the same second."""
    sender, number = Sender(outbox, "vigilmon"), next(NUMBERS)
    messages = [monitor_webhook(number, kind, minute, skew) for kind, minute in states]
    for message in messages:
        sender.send(message)
    firing, up = (max((m for kind, m in states if (kind == "up") is wanted), default=-1) for wanted in (False, True))
    assert sender.shown()["status"] == ("critical" if firing > up else "ok")
    assert [sender.send(message) for message in messages] == [0] * len(messages)


def test_escalation_of_an_incident_that_began_before_the_check_is_sent(outbox):
    """At once, and only once; not if that incident has ended."""
    sender, number = Sender(outbox, "vigilmon"), next(NUMBERS)
    first, again = monitor_webhook(number, "down", 5, 0), monitor_webhook(number, "down", 9, 0)
    late, escalation = monitor_webhook(number, "escalation", 2, 0), monitor_webhook(number, "escalation", 4, 0)
    assert [sender.send(body) for body in (first, escalation, escalation, first)] == [1, 1, 0, 0]
    assert sender.shown()["down_minutes"] == "30"
    assert sender.send(monitor_webhook(number, "up", 6, 0)) == 1
    assert [sender.send(body) for body in (escalation, again, escalation, late)] == [0, 1, 0, 0]


def test_escalation_without_its_minutes_is_one(outbox):
    """It is more urgent than the outage, and does not wait as a changed text does."""
    settings, escalation = Sender(outbox, "vigilmon").settings, monitor_webhook(1, "escalation", 6, 0)
    (alert,) = translate(escalation | {"down_minutes": None}, settings, NOW).alerts
    assert alert.level == 1


def test_minutes_of_an_escalation_do_not_reach_another_second(outbox):
    """However many: an up in the second in which the incident began came after it."""
    settings = Sender(outbox, "vigilmon").settings
    long = monitor_webhook(1, "escalation", 6, 0) | {"down_minutes": 10**9}
    bodies = (monitor_webhook(1, "down", 6, 0), long, monitor_webhook(1, "up", 6, 0), monitor_webhook(1, "down", 6, 1))
    times = [translate(body, settings, NOW).alerts[0].at for body in bodies]
    assert times == sorted(set(times))


@patient
@given(states=states, tries=st.integers(2, 4))
def test_vendors_retries_make_no_event(outbox, states, tries):
    """Each message in order, several times: as many events as without the repeats."""
    once, often, number = Sender(outbox, "vigilmon"), Sender(outbox, "vigilmon"), next(NUMBERS)
    other = next(NUMBERS)
    for kind, minute in states:
        alone = once.send(monitor_webhook(number, kind, minute, 0))
        assert [often.send(monitor_webhook(other, kind, minute, 0)) for _ in range(tries)] == [alone] + [0] * (
            tries - 1
        )


@patient
@given(states=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 30)), min_size=1, max_size=8), skew=skews)
def test_newest_date_of_a_certificate_wins(outbox, states, skew):
    """A later expiry date is newer; of the same date, fewer days left."""
    sender, number = Sender(outbox, "vigilmon"), next(NUMBERS)
    messages = [
        {
            "event": "ssl.expiring",
            "monitor_url": f"https://host{number}.example.com",
            "days_remaining": days,
            "expires_at": written(NOW + renewed * 86_400 + skew),
        }
        for renewed, days in states
    ]
    for message in messages:
        sender.send(message)
    _, fewest = max((renewed, -days) for renewed, days in states)
    shown = sender.shown()
    assert (shown["days_remaining"], shown["status"]) == (str(-fewest), "critical" if -fewest <= 7 else "warning")
    assert [sender.send(message) for message in messages] == [0] * len(messages)


def occurrence(number, *, firing, minute, skew):
    """Return what ThousandEyes says of an alert that began ten minutes before it ended."""
    start = NOW - 86_400 + 600 * minute + skew
    alert = {"alertId": f"id-{number}", "ruleName": "r", "testName": f"t{minute}", "dateStart": written(start)[:19]}
    event = "TRIGGER" if firing else "CLEAR"
    ended = {} if firing else {"dateEnd": written(start + 300)[:19]}
    return {"eventType": f"ALERT_NOTIFICATION_{event}", "eventId": str(number), "alert": alert | ended}


@patient
@given(states=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=8), skew=skews)
def test_newest_state_of_an_occurrence_wins(outbox, states, skew):
    """A trigger after its own clear opens nothing; a later one does."""
    sender, number = Sender(outbox, "thousandeyes"), next(NUMBERS)
    messages = [occurrence(number, firing=firing, minute=minute, skew=skew) for firing, minute in states]
    for message in messages:
        sender.send(message)
    last = max((minute, not firing) for firing, minute in states)
    assert sender.shown()["status"] == ("ok" if last[1] else "warning")
    assert [sender.send(message) for message in messages] == [0] * len(messages)


def test_repeat_of_a_trigger_with_the_second_of_its_clear_opens_nothing(outbox):
    """It came before: the vendor repeats a webhook until it is answered."""
    sender, number = Sender(outbox, "thousandeyes"), next(NUMBERS)
    trigger, clear = (occurrence(number, firing=firing, minute=0, skew=0) for firing in (True, False))
    clear["alert"]["dateEnd"] = clear["alert"]["dateStart"]
    later = occurrence(number, firing=True, minute=0, skew=1)
    assert [sender.send(body) for body in (trigger, clear, trigger, later)] == [1, 1, 0, 1]


@pytest.mark.parametrize("zones", [("BST", "BST"), ("CST", "CDT"), ("IST", "IST"), ("GMT", "BST")], ids="-".join)
def test_repeat_of_a_trigger_opens_nothing_in_a_zone_that_several_countries_use(outbox, zones):
    """Its dates still order the states of one alert: it stayed open for good, as no other clear follows."""
    sender, number = Sender(outbox, "thousandeyes"), next(NUMBERS)
    trigger, clear, later = (occurrence(number, firing=firing, minute=minute, skew=0) for firing, minute in
                             ((True, 0), (False, 0), (True, 1)))  # fmt: skip
    for body, zone in ((trigger, zones[0]), (clear, zones[0]), (later, zones[1])):
        alert = body["alert"]
        alert["dateStartZoned"] = f"{alert.pop('dateStart').replace('T', ' ')} {zone}"
        if "dateEnd" in alert:
            alert["dateEndZoned"] = f"{alert.pop('dateEnd').replace('T', ' ')} {zones[1]}"
    assert [sender.send(body) for body in (trigger, clear, trigger, later)] == [1, 1, 0, 1]
