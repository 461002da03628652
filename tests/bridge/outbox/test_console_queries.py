"""What the operator's page reads: in pages, in order, found by words, cut, and by key."""

import pytest

from bridge.domain.alert import Alert, SetAside
from bridge.domain.event import Mapping, Status
from bridge.outbox.console_queries import SHOWN, Standing, matches
from bridge.outbox.outbox import Notification, Slice

T0 = 1_700_000_000.0
MAPPING = Mapping(app_key="app", statuses={"critical": Status.CRITICAL, "warning": Status.WARNING}, primary_property=())
ALL = Slice(100)


def alert(name, *, firing=True, severity="warning", starts_at=T0, text="", **labels):
    return Alert(
        receiver="alertmanager",
        source="prod",
        key=f"prod:{name}",
        name="Down",
        firing=firing,
        severity=severity,
        labels={"alertname": "Down", **labels},
        annotations={"description": text},
        starts_at=starts_at,
        ends_at=None if firing else T0 + 50,
    )


def tell(outbox, *alerts, now=T0, interval=0.0, set_aside=()):
    outbox.accept(
        [
            Notification(
                receiver="alertmanager",
                source="prod",
                alerts=alerts,
                mapping=MAPPING,
                update_interval=interval,
                set_aside=set_aside,
            )
        ],
        now,
    )


def keys_of(page):
    return [row.key.removeprefix("prod:") for row in page.rows]


def test_open_alerts_come_in_pages_the_most_urgent_first(outbox):
    """Critical before warning, the youngest first within; what is resolved is not there."""
    tell(
        outbox,
        alert("old"),
        alert("new", starts_at=T0 + 5),
        alert("bad", severity="critical"),
        alert("over", firing=False),
    )
    page = outbox.open_alerts([], ALL)
    assert (keys_of(page), page.total) == (["bad", "new", "old"], 3)
    part = outbox.open_alerts([], Slice(1, 1))
    assert (keys_of(part), part.total) == (["new"], 3)
    assert [row.since for row in part.rows] == [T0 + 5]


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
    """Whatever the case; every word must be there; nothing else of the alert, and no wildcard, finds it."""
    tell(
        outbox,
        alert("a", instance="web-1", region="eu"),
        alert("b", team="über", text="secret-text"),
        alert("c", say='"hi"', load="100%", path="back\\slash"),
    )
    page = outbox.open_alerts(words, ALL)
    assert (keys_of(page), page.total) == (found, len(found))


def test_a_search_comes_in_pages_too(outbox):
    """With how many there are in all."""
    tell(outbox, *(alert(f"n{number}", instance=f"web-{number % 2}") for number in range(10)))
    page = outbox.open_alerts(["web-1"], Slice(2, 2))
    assert (keys_of(page), page.total) == (["n5", "n7"], 5)


def test_words_match_what_the_database_cannot_tell_apart():
    """The structure of what is stored is no hit."""
    one = Standing(key="k", status="warning", doubtful=False, since=T0, updated_at=T0, alert=alert("x", a="b"))
    assert matches(one, ["a=b"])
    assert not matches(one, ["a=bc"])
    assert not matches(one, ["starts_at"])


def test_the_queue_tells_why_each_event_waits(outbox):
    """In the order of sending: under way, behind an earlier one of its key, held, put off."""
    tell(outbox, alert("a", severity="critical"), alert("b"))
    outbox.claim(1, "me", T0, 1e9)
    tell(outbox, alert("a", firing=False), now=T0 + 1)
    rows = {(row.key, row.kind): row for row in outbox.queue(ALL, T0 + 2).rows}
    assert list(rows) == [("prod:a", "open"), ("prod:a", "resolve"), ("prod:b", "open")]
    first, second, third = rows.values()
    assert (first.under_way, first.behind) == (True, False)
    assert (second.under_way, second.behind) == (False, True)
    assert (third.under_way, third.behind, third.held) == (False, False, False)
    page = outbox.queue(Slice(1, 1), T0 + 2)
    assert ([row.kind for row in page.rows], page.total) == (["resolve"], 3)


def test_an_update_that_was_never_tried_is_held(outbox):
    """Until its interval is over."""
    tell(outbox, alert("a"))
    outbox.record(accepted=outbox.claim(1, "me", T0, 10), now=T0)
    tell(outbox, alert("a", text="changed"), now=T0 + 10, interval=900.0)
    (held,) = outbox.queue(ALL, T0 + 11).rows
    assert held.held
    assert held.not_before > T0 + 11


def test_what_is_over_comes_newest_first(outbox):
    """And tells whether more follows, without counting a month of history."""
    tell(outbox, *(alert(f"n{number}") for number in range(3)))
    for number in range(3):
        outbox.record(accepted=outbox.claim(1, "me", T0, 10), now=T0 + number)
    page = outbox.over(Slice(2), T0)
    assert (keys_of(page), page.total) == (["n2", "n1"], 3)
    assert keys_of(outbox.over(Slice(2, 2), T0)) == ["n0"]
    assert {row.reason for row in page.rows} == {"accepted"}


def test_dead_letters_come_in_pages_and_all_that_was_seen_can_be_given_up(outbox):
    """What came since the page was made stays."""
    tell(outbox, *(alert(f"n{number}", text="x" * 100_000) for number in range(3)))
    for one in outbox.claim(3, "me", T0, 10)[:2]:
        outbox.bury(one, "400: no", T0 + 1)
    page = outbox.letters(ALL)
    assert (keys_of(page), page.total) == (["n0", "n1"], 2)
    assert keys_of(outbox.letters(Slice(1, 1))) == ["n1"]
    assert all(len(row.body) <= SHOWN for row in page.rows)
    assert outbox.discard_until(page.rows[0].id, T0 + 2) == 1
    assert keys_of(outbox.letters(ALL)) == ["n1"]


def test_quarantine_comes_in_pages_and_all_that_was_seen_can_be_deleted(outbox):
    """Its bodies are cut as well."""
    for reason in ("first", "second", "third"):
        outbox.quarantine("alertmanager", "prod", reason, "x" * 50_000, T0)
    page = outbox.unread(Slice(2))
    assert ([row.reason for row in page.rows], page.total) == (["first", "second"], 3)
    assert {len(row.body) for row in page.rows} == {SHOWN}
    assert outbox.discard_quarantined_until(page.rows[-1].id) == 2
    assert [row.reason for row in outbox.unread(ALL).rows] == ["third"]


def test_the_story_of_a_key(outbox):
    """How it stands, and its events with BigPanda's answers, the newest first."""
    tell(outbox, alert("a"), alert("other"), set_aside=(SetAside("odd", "{}"),))
    outbox.record(accepted=[one for one in outbox.claim(2, "me", T0, 10) if one.key == "prod:a"], now=T0 + 1)
    tell(outbox, alert("a", firing=False), now=T0 + 60)
    story = outbox.story("prod:a", T0 + 61)
    assert story.standing.status == "ok"
    assert [(step.kind, step.state, step.reason) for step in story.steps] == [
        ("resolve", "waiting", "resolved"),
        ("open", "sent", "accepted"),
    ]
    assert story.total == 2


def test_a_key_that_nobody_knows_has_no_story(outbox):
    """Nothing stands, nothing was sent."""
    story = outbox.story("prod:nobody", T0)
    assert (story.standing, list(story.steps), story.total) == (None, [], 0)
