"""Queries of the operator's page: paged, ordered, searched, truncated, and by key."""

import pytest
from sqlalchemy import text, update

from bridge.domain.alert import UnreadableAlert
from bridge.domain.event import EventMapping, Status
from bridge.domain.notification import Notification
from bridge.outbox.repository import SHOWN, PageRequest
from bridge.outbox.schema import events
from tests.bridge.alerts import alert_at

T0 = 1_700_000_000.0
MAPPING = EventMapping(
    app_key="app", statuses={"critical": Status.CRITICAL, "warning": Status.WARNING}, primary_property=()
)
ALL = PageRequest(100)


def alert(name, *, firing=True, severity="warning", starts_at=T0, text="", **labels):
    members = {"labels": {"alertname": "Down", **labels}, "annotations": {"description": text}}
    ends_at = None if firing else T0 + 50
    return alert_at(starts_at, name, firing=firing, severity=severity, ends_at=ends_at, **members)


def accept(outbox, *alerts, now=T0, interval=0.0, unreadable=()):
    outbox.ingest.accept(
        [
            Notification(
                receiver="alertmanager",
                source="prod",
                alerts=alerts,
                mapping=MAPPING,
                update_interval=interval,
                unreadable=unreadable,
            )
        ],
        now,
    )


def keys_of(page):
    return [row.key.removeprefix("prod:") for row in page.rows]


def test_open_alerts_are_paged_most_urgent_first(outbox):
    """Critical before warning, the youngest first within; resolved alerts are left out."""
    accept(
        outbox,
        alert("old"),
        alert("new", starts_at=T0 + 5),
        alert("bad", severity="critical"),
        alert("over", firing=False),
    )
    page = outbox.alerts.page([], ALL)
    assert (keys_of(page), page.total) == (["bad", "new", "old"], 3)
    part = outbox.alerts.page([], PageRequest(1, 1))
    assert (keys_of(part), part.total) == (["new"], 3)
    assert [row.starts_at for row in part.rows] == [T0 + 5]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["PROD:A"], ["a"]),
        (["down"], ["a", "b", "c"]),
        (["instance=Web-1"], ["a"]),
        (["web", "eu"], ["a"]),
        (["web-1", "nowhere"], []),
        (["ÜBER"], ["b"]),
        (['say="hi"'], ["c"]),
        (["100%"], ["c"]),
        (["1_0"], []),
        (["labels"], []),
        (["secret-text"], []),
        (["back\\slash"], ["c"]),
    ],
)
def test_open_alerts_are_found_by_key_name_and_labels(outbox, words, found):
    """In any case; all words must match; nothing else of the alert, and no wildcards."""
    accept(
        outbox,
        alert("a", instance="web-1", region="eu"),
        alert("b", team="über", text="secret-text"),
        alert("c", say='"hi"', load="100%", path="back\\slash"),
    )
    page = outbox.alerts.page(words, ALL)
    assert (keys_of(page), page.total) == (found, len(found))


def test_search_is_paged(outbox):
    """With the total number."""
    accept(outbox, *(alert(f"n{number}", instance=f"web-{number % 2}") for number in range(10)))
    page = outbox.alerts.page(["web-1"], PageRequest(2, 2))
    assert (keys_of(page), page.total) == (["n5", "n7"], 5)


def test_search_does_not_match_the_stored_structure(outbox):
    """The structure of what is stored is no hit."""
    accept(outbox, alert("x", a="b"))
    assert [outbox.alerts.page([word], ALL).total for word in ("a=b", "A=B", "a=bc", "starts_at")] == [1, 1, 0, 0]


def test_queue_has_the_reason_for_each_event(outbox):
    """In the order of sending: in flight, behind an earlier event of its key, held, retried later."""
    accept(outbox, alert("a", severity="critical"), alert("b"))
    outbox.queue.claim(1, T0, 1e9)
    accept(outbox, alert("a", firing=False), now=T0 + 1)
    rows = {(row.key, row.kind): row for row in outbox.events.queued(ALL, T0 + 2).rows}
    assert list(rows) == [("prod:a", "open"), ("prod:a", "resolve"), ("prod:b", "open")]
    first, second, third = rows.values()
    assert (first.in_flight, first.behind) == (True, False)
    assert (second.in_flight, second.behind) == (False, True)
    assert (third.in_flight, third.behind, third.held) == (False, False, False)
    page = outbox.events.queued(PageRequest(1, 1), T0 + 2)
    assert ([row.kind for row in page.rows], page.total) == (["resolve"], 3)


def test_an_update_that_was_never_tried_is_held(outbox):
    """Until its interval is over."""
    accept(outbox, alert("a"))
    outbox.queue.record(outbox.queue.claim(1, T0, 10), "accepted", now=T0)
    accept(outbox, alert("a", text="changed"), now=T0 + 10, interval=900.0)
    (held,) = outbox.events.queued(ALL, T0 + 11).rows
    assert held.held
    assert held.not_before > T0 + 11


def test_finished_events_are_listed_newest_first(outbox):
    """With a flag for further rows, without counting a month of history."""
    accept(outbox, *(alert(f"n{number}") for number in range(3)))
    for number in range(3):
        outbox.queue.record(outbox.queue.claim(1, T0, 10), "accepted", now=T0 + number)
    page = outbox.events.closed(PageRequest(2), T0)
    assert (keys_of(page), page.total) == (["n2", "n1"], 3)
    assert keys_of(outbox.events.closed(PageRequest(2, 2), T0)) == ["n0"]
    assert {row.reason for row in page.rows} == {"accepted"}


def test_events_finished_at_once_are_each_listed_once(outbox):
    """Page by page, in one order, though rows move in the table and PostgreSQL plans anew."""
    accept(outbox, *(alert(f"n{number}") for number in range(5)))
    claimed = outbox.queue.claim(5, T0, 10)
    outbox.queue.record([claimed[number] for number in (3, 0, 4, 1, 2)], "accepted", now=T0)
    seen = [outbox.events.closed(PageRequest(1, 0), T0)]
    for offset in range(1, 5):
        with outbox.database.write() as connection:
            connection.execute(update(events).where(events.c.id == claimed[offset].id).values(attempts=offset))
            connection.execute(text("ANALYZE"))
        seen.append(outbox.events.closed(PageRequest(1, offset), T0))
    assert [key for page in seen for key in keys_of(page)] == ["n4", "n3", "n2", "n1", "n0"]


def test_dead_letters_are_paged_and_discarded_up_to_the_seen_ones(outbox):
    """Dead letters newer than the page stay."""
    accept(outbox, *(alert(f"n{number}", text="x" * 100_000) for number in range(3)))
    for one in outbox.queue.claim(3, T0, 10)[:2]:
        outbox.queue.bury(one, "400: no", T0 + 1)
    page = outbox.dead_letters.page(ALL)
    assert (keys_of(page), page.total) == (["n0", "n1"], 2)
    assert keys_of(outbox.dead_letters.page(PageRequest(1, 1))) == ["n1"]
    assert all(len(row.body) <= SHOWN for row in page.rows)
    assert outbox.dead_letters.discard([], T0 + 2, up_to=page.rows[0].id) == 1
    assert keys_of(outbox.dead_letters.page(ALL)) == ["n1"]


def test_quarantine_is_paged_and_discarded_up_to_the_seen_ones(outbox):
    """Its bodies are truncated as well."""
    for reason in ("first", "second", "third"):
        outbox.set_aside("alertmanager", "prod", reason, "x" * 50_000, T0)
    page = outbox.quarantine.page(PageRequest(2))
    assert ([row.reason for row in page.rows], page.total) == (["first", "second"], 3)
    assert {len(row.body) for row in page.rows} == {SHOWN}
    assert outbox.quarantine.discard([], up_to=page.rows[-1].id) == 2
    assert [row.reason for row in outbox.quarantine.page(ALL).rows] == ["third"]


def test_history_of_a_key(outbox):
    """Its state, and its events with BigPanda's responses, the newest first."""
    accept(outbox, alert("a"), alert("other"), unreadable=(UnreadableAlert("odd", "{}"),))
    outbox.queue.record([one for one in outbox.queue.claim(2, T0, 10) if one.key == "prod:a"], "accepted", now=T0 + 1)
    accept(outbox, alert("a", firing=False), now=T0 + 60)
    events = outbox.events.of_alert("prod:a", T0 + 61)
    assert outbox.state("prod:a").status == "ok"
    assert [(event.kind, event.state, event.reason) for event in events.rows] == [
        ("resolve", "waiting", "resolved"),
        ("open", "sent", "accepted"),
    ]
    assert events.total == 2


def test_history_of_a_key_ends_after_a_hundred_events(outbox):
    """The total tells that there are more."""
    for number in range(101):
        accept(outbox, alert("a", firing=number % 2 == 0), now=T0 + number)
    events = outbox.events.of_alert("prod:a", T0 + 200)
    assert (len(events.rows), events.total, events.rows[0].kind) == (100, 101, "open")


def test_an_unknown_alert_has_no_state_and_no_events(outbox):
    """Nothing is known, nothing was sent."""
    events = outbox.events.of_alert("prod:nobody", T0)
    assert (outbox.state("prod:nobody"), list(events.rows), events.total) == (None, [], 0)


def test_a_search_ends_in_time(outbox, monkeypatch):
    """However many words and alerts; an incomplete result is marked."""
    accept(outbox, *(alert(str(number)) for number in range(3)))
    assert not outbox.alerts.page(["down"], ALL).partial
    assert outbox.alerts.page(["down"] * 8 + ["nowhere"], ALL).total == 3
    monkeypatch.setattr("bridge.outbox.alerts.MOST_SECONDS", -1.0)
    page = outbox.alerts.page(["down"], ALL)
    assert (page.partial, list(page.rows)) == (True, [])


def test_quarantine_is_bounded(outbox, monkeypatch):
    """In bodies and in characters: the oldest are deleted; of one webhook the first hundred are kept."""
    accept(outbox, unreadable=tuple(UnreadableAlert(f"odd {number}", "{}") for number in range(250)))
    kept = outbox.quarantine.oldest()
    assert (len(kept), kept[0].reason) == (100, "odd 0")
    assert kept[-1].reason == "odd 99, and 150 more in this webhook that are not kept"
    monkeypatch.setattr("bridge.outbox.quarantine.MOST_ROWS", 3)
    outbox.set_aside("alertmanager", "prod", "one more", "xxxx", T0)
    assert [one.reason for one in outbox.quarantine.oldest()][1:] == [kept[-1].reason, "one more"]
    monkeypatch.setattr("bridge.outbox.quarantine.MOST_CHARACTERS", 7)
    outbox.set_aside("alertmanager", "prod", "two more", "xxxx", T0)
    assert [one.reason for one in outbox.quarantine.oldest()] == ["two more"]
