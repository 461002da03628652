from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.rate_budget import Budget, doubled
from exporter.toolkit.http_errors import (
    ClientError,
    ConnectFailed,
    Malformed,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)

NOW = 1_800_000_000.0


def paused_until(budget, now):
    pause = budget.paused(now)
    return pause.until if pause else None


def paused_reason(budget, now):
    pause = budget.paused(now)
    return pause.reason if pause else ""


def greedy(rate, seconds, lag=0.0):
    """Spend whatever may be spent, each request `lag` seconds after it was allowed; return the times."""
    budget, now, times = Budget.start(rate, NOW), NOW, []
    while now < NOW + seconds:
        wait = budget.wait(now)
        if wait > 0:
            now += max(wait, 0.001)
            continue
        budget = budget.spend(now)
        times.append(now)
        now += lag
    return times


@given(
    rate=st.floats(0.5, 300),
    gaps=st.lists(st.floats(0, 30) | st.floats(0, 0.3), min_size=1, max_size=150),
)
def test_no_minute_or_second_has_more_requests_than_the_rate(rate, gaps):
    """However the requests arrive, any 60 s have at most `rate` of them (at least one), any second its share or two."""
    budget, now, times = Budget.start(rate, NOW), NOW, []
    for gap in gaps:
        now += gap
        if budget.wait(now) <= 0:
            budget = budget.spend(now)
            times.append(now)
    assert_within(rate, times)


def assert_within(rate, times):
    """Check that no minute and no second has more of these requests than a budget of `rate` allows."""
    for most, seconds in ((max(1, int(rate)), 60), (max(2, ceil(rate / 60)), 1)):
        fullest = max((place + 1 - bisect_right(times, at - seconds) for place, at in enumerate(times)), default=0)
        assert fullest <= most


@given(
    rate=st.floats(60, 300),
    late=st.lists(st.tuples(st.floats(0, 0.2), st.floats(0, 0.2), st.booleans()), min_size=1, max_size=150),
)
def test_limit_holds_where_the_vendor_counts(rate, late):
    """When a request arrives there, after more or less of the time until its response, which may be a failure."""
    budget, now, arrived = Budget.start(rate, NOW), NOW, []
    for there, back, failed in late:
        now += budget.wait(now)
        budget = budget.spend(now)
        arrived.append(now + there)
        now += there + back
        budget = budget.failed(Malformed("body"), now) if failed else budget.answered({}, now)
    assert_within(rate, arrived)


@pytest.mark.parametrize("rate", [1.0, 5.0, 55.0, 240.0])
def test_whole_rate_can_be_spent(rate):
    """With constant demand the whole rate is used over ten minutes, even if each request takes a while."""
    assert len(greedy(rate, 600)) >= rate * 10
    assert len(greedy(rate, 600, lag=0.5 * 60 / rate)) >= rate * 10 - 1


def test_new_budget_has_no_burst():
    """It allows one request; the second waits."""
    budget = Budget.start(60, NOW)
    assert budget.wait(NOW) == 0.0
    assert budget.spend(NOW).wait(NOW) == pytest.approx(1.0)


def test_an_idle_budget_saves_a_small_burst():
    """After an idle hour 55 a minute allow two requests at once, and no more."""
    budget = Budget.start(55, NOW)
    later = NOW + 3600
    spent = budget.spend(later).spend(later)
    assert budget.spend(later).wait(later) == 0.0
    assert spent.wait(later) > 1


def test_a_clock_that_is_corrected_does_not_stop_the_polling():
    """Half a minute back: the bucket is refilled from then on. More than a minute back: test_target_state.py.

    A second back is no correction: the request of just now still counts.
    """
    budget, back = Budget.start(20, NOW).spend(NOW), NOW - 30
    assert (budget.wait(NOW - 1), budget.wait(NOW - 1.1)) == (pytest.approx(3.0), 0)
    assert budget.wait(back) == 0
    assert budget.spend(back).wait(back) == pytest.approx(3.0)


def test_used_ratio_is_the_last_minutes_share_of_the_rate():
    """Requests older than a minute do not count."""
    budget = Budget.start(10, NOW).spend(NOW).spend(NOW + 30).spend(NOW + 50)
    assert budget.used_ratio(NOW + 50) == pytest.approx(0.3)
    assert budget.used_ratio(NOW + 70) == pytest.approx(0.2)
    assert budget.used_ratio(NOW + 500) == 0


@pytest.mark.parametrize(
    ("error", "headers", "failures", "pause"),
    [
        (RateLimited("429", 17), {}, 1, 17),
        (RateLimited("429", 17), {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}, 1, 17),
        (RateLimited("429", 0), {}, 1, 1),  # not a loop, whatever the vendor says
        (RateLimited("429", 1e9), {}, 1, 3600),
        (RateLimited("429"), {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}, 1, 40),
        (RateLimited("429"), {"x-organization-rate-limit-remaining": "0",
                              "x-organization-rate-limit-reset": str(int(NOW) + 25)}, 1, 25),
        (RateLimited("429"), {}, 1, 60),
        (RateLimited("429"), {}, 2, 120),
        (RateLimited("429"), {}, 9, 900),
        (Refused("401"), {}, 1, 30),  # a stray one is asked again before anything is withdrawn
        (Refused("401"), {}, 2, 300),
        (Refused("401"), {}, 3, 600),
        (Refused("401"), {}, 4, 900),
        (Refused("401"), {}, 50, 900),
        (ServerError("503"), {}, 1, 0),
        (ServerError("503"), {}, 2, 0),
        (ServerError("503", 60), {}, 2, 0),  # nor does it pause the others if an endpoint fails alone
        (TimedOut("late"), {}, 3, 1),
        (ConnectFailed("gone"), {}, 4, 2),
        (TlsFailed("expired"), {}, 20, 30),
        (ClientError("404"), {}, 20, 0),
        (Malformed("no JSON"), {}, 20, 0),
    ],
)  # fmt: skip
def test_pause_depends_on_the_failure(error, headers, failures, pause):
    """Retry-After, else the reset, else a growing time; a failure of a single request pauses nothing."""
    budget = Budget.start(60, NOW)
    for _ in range(failures):
        budget = budget.failed(error, NOW, headers)
    until = paused_until(budget, NOW)
    assert (until or NOW) - NOW == pytest.approx(pause)
    assert paused_reason(budget, NOW) == (error.reason if pause else "")
    assert paused_until(budget, NOW + pause) is None
    if pause:
        assert budget.wait(NOW) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("reset", "date", "seconds"),
    [
        ("40", None, 40),  # seconds from now need no clock
        ("3000", None, 3000),
        (str(int(NOW) + 25), None, 25),
        (str(int(NOW) + 3625), "+3600", 25),  # the vendor's clock is an hour ahead, and its Date says so
        (str(int(NOW) - 3575), "-3600", 25),
        (f"{(int(NOW) + 3625) * 1000}", "+3600", 25),
        ("date +3625", "+3600", 25),
        (str(int(NOW) + 3625), None, 60),  # nobody says how its clock goes: limits are per minute
        (str(int(NOW) + 3625), "0", 60),
        (str(int(NOW) + 25), "+3600", 60),  # past by its own clock: the pause of a limit that does not say how long
    ],
)
def test_reset_is_relative_to_the_vendors_clock(reset, date, seconds):
    """It is compared with the response's Date header, and capped at the limit's window."""
    if reset.startswith("date"):
        reset = format_datetime(datetime.fromtimestamp(NOW + float(reset.removeprefix("date ")), UTC), usegmt=True)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    if date is not None:
        headers["date"] = format_datetime(datetime.fromtimestamp(NOW + float(date), UTC), usegmt=True)
    budget = Budget.start(60, NOW).failed(RateLimited("429"), NOW, headers)
    assert paused_until(budget, NOW) - NOW == pytest.approx(seconds)


def test_pause_after_rejected_credentials_grows_only_by_rejections():
    """Other failures do not count, and a successful response starts from the first pause again."""
    budget = Budget.start(60, NOW).failed(ServerError("503"), NOW).failed(ServerError("503"), NOW)
    assert paused_until(budget.failed(Refused("401"), NOW), NOW) == NOW + 30
    again = budget.failed(Refused("401"), NOW).answered({}, NOW).failed(Refused("401"), NOW)
    assert paused_until(again, NOW) == NOW + 30


def test_hours_of_failures_do_not_overflow():
    """A vendor that is down for a weekend is asked again all the time."""
    assert [doubled((1.0, 30.0), times) for times in (-1, 0, 1, 4, 5, 100_000)] == [1.0, 1.0, 2.0, 16.0, 30.0, 30.0]


def test_successful_response_resets_the_pause():
    """After it the next 429 pauses for 60 s again."""
    budget = Budget.start(60, NOW).failed(RateLimited("429"), NOW).failed(RateLimited("429"), NOW)
    budget = budget.answered({}, NOW).failed(RateLimited("429"), NOW)
    assert paused_until(budget, NOW) == NOW + 60


@pytest.mark.parametrize("again", [Budget.credentials_changed, lambda budget: budget.at_rate(60)])
def test_changed_credentials_and_a_restart_end_the_pause(again):
    """The pause after a 429 stays."""
    refused = Budget.start(60, NOW).failed(Refused("401"), NOW)
    limited = Budget.start(60, NOW).failed(RateLimited("429"), NOW)
    assert paused_until(again(refused), NOW) is None
    assert paused_until(again(refused).failed(Refused("401"), NOW), NOW) == NOW + 30  # the new ones' first
    twice = again(refused.failed(Refused("401"), NOW))
    assert paused_until(twice.failed(TimedOut("late"), NOW), NOW) is None
    assert paused_until(again(limited), NOW) == NOW + 60


def test_restart_at_a_lower_rate_keeps_the_spent_budget():
    """The requests of the last minute still count."""
    budget = Budget.start(60, NOW)
    for second in range(10):
        budget = budget.spend(NOW + second)
    assert budget.at_rate(5).wait(NOW + 20) == pytest.approx(45)


@pytest.mark.parametrize(("rate", "unseen"), [(55.0, 2.0), (55 / 3, 2.0), (2.75, 2.0), (55.0, 20.0)])
def test_unreported_requests_count_as_sent_after_a_kill(rate, unseen):
    """With the requests sent but not stored, no 60 s have more than the rate."""
    budget, now, sent = Budget.start(rate, NOW), NOW, []
    stored = budget
    while now < NOW + 70:
        now += max(budget.wait(now), 0.001)
        if budget.wait(now) <= 0:
            budget = budget.spend(now)
            stored = budget if now <= NOW + 70 - unseen else stored
            sent.append(now)
    successor, ended = stored.inherited(now, unseen), now
    assert successor.wait(now) > 0
    while now < ended + 120:
        now += max(successor.wait(now), 0.001)
        if successor.wait(now) <= 0:
            successor = successor.spend(now)
            sent.append(now)
    assert max(sum(at - 60 < other <= at for other in sent) for at in sent) <= max(1, int(rate))
    assert len([at for at in sent if at > ended]) >= int(rate)


def test_clean_stop_leaves_no_unreported_requests():
    """A restart by an operator is not slowed down; afterwards requests are unreported until stored."""
    spent = Budget.start(60, NOW).spend(NOW)
    settled = replace(spent, settled=True)
    assert settled.inherited(NOW + 1, 10.0) == spent
    assert spent.inherited(NOW + 60.5, 10.0) == spent
    assert spent.inherited(NOW + 1, 10.0).wait(NOW + 1) == pytest.approx(1.0)
    assert not Budget.start(60, NOW).inherited(NOW, 10.0).settled
    assert replace(Budget.start(60, NOW), settled=False).inherited(NOW, 10.0).wait(NOW) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("headers", "remaining", "limit", "paused_for"),
    [
        ({}, None, None, None),
        ({"x-organization-rate-limit-limit": "240", "x-organization-rate-limit-remaining": "100",
          "x-organization-rate-limit-reset": str(int(NOW) + 30)}, 100, 240, None),
        ({"x-organization-rate-limit-limit": "240", "x-organization-rate-limit-remaining": "23",
          "x-organization-rate-limit-reset": str(int(NOW) + 30)}, 23, 240, 30),
        ({"x-organization-rate-limit-limit": "240", "x-organization-rate-limit-remaining": "24"}, 24, 240, None),
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "5"}, 5, 60, None),  # 55 of 60 leave 5 by themselves
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "4"}, 4, 60, 60),
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 0, 60, 12),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "9", "ratelimit-reset": "7"}, 9, 100, 7),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(NOW + 8) * 1000)}, 0, None, 8),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "Fri, 15 Jan 2027 08:00:09 GMT"}, 0, None, 9),
        ({"x-ratelimit-remaining": "many", "x-ratelimit-limit": ""}, None, None, None),
        # A gateway's beside the vendor's: the one that is reached first.
        ({"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "900", "x-ratelimit-reset": "3000",
          "ratelimit-limit": "60", "ratelimit-remaining": "0", "ratelimit-reset": "20"}, 0, 60, 20),
        ({"x-organization-rate-limit-remaining": "9", "x-ratelimit-limit": "0", "x-ratelimit-remaining": "0",
          "x-rate-limit-remaining": "-1"}, 9, None, None),
        ({"x-ratelimit-limit": "0", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}, None, None, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 0, None, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30000"}, 0, None, 3600),  # perhaps milliseconds
        ({"x-ratelimit-remaining": "-1"}, None, None, None),
        # Of an hour's limit some are left: asked again each minute, or the data would be withdrawn meanwhile.
        ({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "1800"}, 1, 5000, 60),
        ({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800"}, 0, 5000, 1800),
    ],
)  # fmt: skip
def test_rate_headers_are_read_leniently(headers, remaining, limit, paused_for):
    """Epoch seconds, milliseconds, seconds from now, a date or nothing; a reserve is left to other clients."""
    budget = Budget.start(55, NOW).answered(headers, NOW)
    assert (budget.remaining, budget.limit) == (remaining, limit)
    until = paused_until(budget, NOW)
    assert (until and until - NOW) == (None if paused_for is None else pytest.approx(paused_for))
    assert paused_reason(budget, NOW) == ("" if paused_for is None else "reserve")


def test_rate_headers_do_not_outlive_their_response():
    """A gateway or a cache may leave them out: one response with nothing left would slow down all later ones."""
    headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}
    told = Budget.start(55, NOW).answered(headers, NOW)
    after = told.answered({}, NOW + 60)
    assert (after.remaining, paused_until(after, NOW + 60)) == (None, None)
    assert told.failed(TimedOut("late"), NOW + 60).remaining is None
    late = Budget.start(55, NOW).spend(NOW).answered({"x-ratelimit-remaining": "0"}, NOW + 70)
    assert paused_until(late, NOW + 70) == NOW + 71  # its own request has left the window; no loop, all the same
    assert paused_until(told.failed(RateLimited("429"), NOW + 10), NOW + 10) == NOW + 70
