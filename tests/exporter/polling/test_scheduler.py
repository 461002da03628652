import pytest

from exporter.collectors.contract import Get, Reason
from exporter.polling.scheduler import Backoff, back_off, choose
from exporter.toolkit.http_errors import ClientError, Malformed, RateLimited, Refused, ServerError, TimedOut

NOW = 1_800_000_000.0


def request(name, reason=Reason.OLDEST, due=NOW - 10, every=60.0):
    return Get(endpoint="/x", reason=reason, due=due, every=every, path=name)


@pytest.mark.parametrize(
    ("requests", "chosen"),
    [
        ([], None),
        ([request("a", due=NOW + 1)], None),
        ([request("a", due=NOW)], "a"),
        (
            [request("old", due=0.0), request("changed", Reason.CHANGED), request("status", Reason.STATUS, due=NOW)],
            "status",
        ),
        ([request("old", due=0.0), request("changed", Reason.CHANGED)], "changed"),
        ([request("old"), request("status", Reason.STATUS, due=NOW + 1)], "old"),
        ([request("a", due=NOW - 10), request("b", due=NOW - 11)], "b"),
        (
            [request("slow", due=NOW - 60, every=600), request("fast", due=NOW - 20, every=60)],
            "fast",
        ),  # 0.1 and 0.33 intervals
        ([request("first"), request("second")], "first"),
    ],
)
def test_most_urgent_request_is_chosen(requests, chosen):
    """By reason, then by overdue intervals, then in the given order."""
    request, _ = choose(requests, NOW, {})
    assert (request.path if request else None) == chosen


def test_requests_in_backoff_are_skipped():
    """The rotation continues with the others."""
    requests = [request("failed"), request("well", due=NOW)]
    put_off = {("failed",): Backoff(NOW + 30, 1, "/x", "timeout")}
    assert choose(requests, NOW, put_off)[0].path == "well"


def test_failed_request_is_overdue_from_the_end_of_its_backoff():
    """Otherwise a request that always fails would leave no turn to the others."""
    requests = [
        request("fails", Reason.STATUS, due=0.0),
        request("never", Reason.STATUS, due=0.0),
        request("well", Reason.STATUS),
    ]
    put_off = {("fails",): Backoff(NOW - 5, 3, "/x", "server_error")}
    assert choose(requests, NOW, put_off)[0].path == "never"
    assert choose([requests[0], requests[2]], NOW, put_off)[0].path == "well"


@pytest.mark.parametrize(
    ("requests", "next_due"),
    [
        ([], None),
        ([request("a", due=NOW + 5), request("b", due=NOW + 3)], NOW + 3),
        ([request("failed"), request("b", due=NOW + 99)], NOW + 30),
        ([request("failed", due=NOW + 60)], NOW + 60),
        ([request("a", due=NOW + 5), request("now")], NOW),
    ],
)
def test_next_due_time(requests, next_due):
    """Backoff counts."""
    put_off = {("failed",): Backoff(NOW + 30, 1, "/x", "timeout")}
    assert choose(requests, NOW, put_off)[1] == next_due


@pytest.mark.parametrize(
    ("reason", "every", "error", "seconds"),
    [
        (Reason.OLDEST, 300, ClientError("404"), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
        (Reason.OLDEST, 300, Malformed("no"), [5, 10, 20, 40, 80, 160, 320]),
        (Reason.OLDEST, 300, Refused("403"), [30, 300, 600, 900, 900]),
        (Reason.OLDEST, 30, ServerError("503"), [5, 10, 20, 30, 30]),
        (Reason.OLDEST, 9000, TimedOut("late"), [5, 10, 20, 40, 80, 160, 300, 300]),
        (Reason.STATUS, 300, ServerError("503"), [5, 10, 20, 40, 60, 60]),
        (Reason.STATUS, 300, ServerError("503", 30), [30, 30, 30, 40]),
        (Reason.OLDEST, 300, ServerError("503", 3600), [120, 120]),  # the data would be withdrawn
        (Reason.STATUS, 1, ClientError("404"), [5, 5, 5]),
        (Reason.STATUS, 60, Refused("403"), [30, 300, 600, 900, 900]),  # one environment that the token may not see
        (Reason.OLDEST, 60, RateLimited("429"), [0, 0]),  # the whole target is paused instead
    ],
)
def test_backoff_grows_with_each_failure(reason, every, error, seconds):
    """Up to a minute for statuses, minutes for rejected ones, and an hour for requests that are wrong."""
    backoff, waits = None, []
    for at in range(len(seconds)):
        backoff = back_off(backoff, request("a", reason, every=every), error, NOW + at)
        waits.append(backoff.not_before - NOW - at)
    assert waits == seconds
    assert (backoff.failures, backoff.reason, backoff.failing_since) == (len(seconds), error.reason, NOW)
