import pytest

from exporter.collectors.contract import Get, Reason
from exporter.errors import ClientError, Malformed, RateLimited, Refused, ServerError, TimedOut
from exporter.polling.scheduler import Deferral, choose, defer, settle

NOW = 1_800_000_000.0


def ask(name, reason=Reason.OLDEST, due=NOW - 10, every=60.0):
    return Get(endpoint="/x", reason=reason, due=due, every=every, path=name)


@pytest.mark.parametrize(
    ("asks", "chosen"),
    [
        ([], None),
        ([ask("a", due=NOW + 1)], None),
        ([ask("a", due=NOW)], "a"),
        ([ask("old", due=0.0), ask("changed", Reason.CHANGED), ask("status", Reason.STATUS, due=NOW)], "status"),
        ([ask("old", due=0.0), ask("changed", Reason.CHANGED)], "changed"),
        ([ask("old"), ask("status", Reason.STATUS, due=NOW + 1)], "old"),
        ([ask("a", due=NOW - 10), ask("b", due=NOW - 11)], "b"),
        ([ask("slow", due=NOW - 60, every=600), ask("fast", due=NOW - 20, every=60)], "fast"),  # 0.1 and 0.33 intervals
        ([ask("first"), ask("second")], "first"),
    ],
)
def test_the_most_urgent_is_chosen(asks, chosen):
    """By reason, then by how many of its own intervals it is overdue, then as listed."""
    choice = choose(asks, NOW, frozenset(), {})
    assert (choice.ask.path if choice.ask else None) == chosen


def test_what_is_in_flight_or_put_off_is_passed_over():
    """The rotation goes on beside them."""
    asks = [ask("flying"), ask("failed"), ask("well", due=NOW)]
    put_off = {("failed",): Deferral(NOW + 30, 1, "/x", "timeout")}
    assert choose(asks, NOW, {("flying",)}, put_off).ask.path == "well"


def test_what_failed_is_overdue_only_from_when_it_was_put_off_to():
    """What was never told would come first for ever, and what fails always would leave no turn to the others."""
    asks = [ask("fails", Reason.STATUS, due=0.0), ask("never", Reason.STATUS, due=0.0), ask("well", Reason.STATUS)]
    put_off = {("fails",): Deferral(NOW - 5, 3, "/x", "server_error")}
    assert choose(asks, NOW, frozenset(), put_off).ask.path == "never"
    assert choose([asks[0], asks[2]], NOW, frozenset(), put_off).ask.path == "well"


@pytest.mark.parametrize(
    ("asks", "next_due"),
    [
        ([], None),
        ([ask("a", due=NOW + 5), ask("b", due=NOW + 3)], NOW + 3),
        ([ask("failed"), ask("b", due=NOW + 99)], NOW + 30),
        ([ask("flying")], None),
        ([ask("a", due=NOW + 5), ask("now")], NOW),
    ],
)
def test_the_next_due_moment_is_told(asks, next_due):
    """Deferrals count, what is in flight does not: its end is an event of its own."""
    put_off = {("failed",): Deferral(NOW + 30, 1, "/x", "timeout")}
    assert choose(asks, NOW, {("flying",)}, put_off).next_due == next_due


@pytest.mark.parametrize(
    ("reason", "every", "error", "seconds"),
    [
        (Reason.OLDEST, 300, ClientError("404"), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
        (Reason.OLDEST, 300, Malformed("no"), [5, 10, 20, 40, 80, 160, 320]),
        (Reason.OLDEST, 300, Refused("403"), [300, 600, 900, 900]),
        (Reason.OLDEST, 30, ServerError("503"), [5, 10, 20, 30, 30]),
        (Reason.OLDEST, 9000, TimedOut("late"), [5, 10, 20, 40, 80, 160, 300, 300]),
        (Reason.STATUS, 300, ServerError("503"), [5, 10, 20, 40, 60, 60]),
        (Reason.STATUS, 1, ClientError("404"), [5, 5, 5]),
        (Reason.STATUS, 60, Refused("403"), [300, 600, 900, 900]),  # one environment that the token may not see
        (Reason.OLDEST, 60, RateLimited("429"), [0, 0]),  # the whole target is paused instead
    ],
)
def test_an_ask_that_fails_is_put_off_for_longer_each_time(reason, every, error, seconds):
    """A status for a minute at most, what is refused for minutes, what is wrong by itself up to an hour."""
    deferral, waits = None, []
    for _ in seconds:
        deferral = defer(deferral, ask("a", reason, every=every), error, NOW)
        waits.append(deferral.not_before - NOW)
    assert waits == seconds
    assert (deferral.failures, deferral.reason) == (len(seconds), error.reason)


def test_deferrals_of_what_is_wanted_no_more_are_forgotten():
    """An hour after it might have been asked again."""
    kept, gone = Deferral(NOW - 10, 1, "/x", "timeout"), Deferral(NOW - 3601, 1, "/x", "timeout")
    assert settle({("kept",): kept, ("gone",): gone}, NOW) == {("kept",): kept}
