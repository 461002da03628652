import pytest

from bridge.delivery.rate_limiter import RateLimiter


def run(limiter, seconds, batch, took=0.0, now=0.0):
    """Send as fast as the limiter allows until `seconds`; return each request's time and size."""
    sent = []
    while now < seconds:
        wait = limiter.wait(now)
        if wait > 0:
            now += wait + 1e-6
            continue
        events = min(batch, limiter.allowance())
        sent.append((now, events))
        limiter.sent(events, now, now + took)
        now += took
    return sent


@pytest.mark.parametrize("per_minute", [1, 7, 60, 300, 1000, 6000])
@pytest.mark.parametrize("took", [0.0, 0.02, 1.7])
def test_no_minute_has_more_events_than_allowed(per_minute, took):
    """In an alert storm any 60 seconds have at most the allowed number, and nearly that many."""
    sent = run(RateLimiter(per_minute), 300.0, 1000, took)
    for start, _ in sent:
        assert sum(count for at, count in sent if start <= at < start + 60) <= per_minute
    burst = max(1, per_minute / 240)
    assert sum(count for _, count in sent) >= 0.95 * 5 * max(per_minute - burst, per_minute / 2)


def test_idle_limiter_allows_a_small_burst():
    """After an hour, a quarter of a second's worth is sent at once, not more."""
    limiter = RateLimiter(6000)
    assert limiter.wait(3600.0) == 0
    assert limiter.allowance() == 25  # 6000 / 60 * 0.25


def test_at_least_one_event_is_allowed():
    """However low the limit is."""
    limiter = RateLimiter(10)
    assert limiter.wait(0.0) == 0
    assert limiter.allowance() == 1


def test_request_waits_for_as_many_events_as_it_has_but_for_no_more_than_a_burst():
    """Parts of a claim may be smaller or, after a slow response, larger; or larger than a limit lowered since."""
    limiter = RateLimiter(6000)
    limiter.sent(25, 0.0, 0.0)
    assert limiter.wait(0.02, 1) == 0 < limiter.wait(0.02, 25)
    assert limiter.wait(0.3, 1000) == 0
    full = RateLimiter(6000)
    full.sent(5990, 0.0, 60.0)
    assert full.wait(61.0, 10) == 0 < full.wait(61.0, 25) == 59
    lowered = RateLimiter(10)
    lowered.sent(1, 0.0, 0.0)
    assert lowered.wait(59.0, 50) == 1


def test_asking_twice_earns_nothing():
    """A loop that is woken often sends no faster."""
    limiter = RateLimiter(6000)
    limiter.sent(25, 0.0, 0.0)
    assert limiter.wait(0.1) == limiter.wait(0.1) > 0


def test_slow_response_allows_a_larger_request():
    """While a request takes 2 seconds, 2 seconds' worth accumulates."""
    limiter = RateLimiter(6000)
    limiter.sent(25, 0.0, 2.0)
    assert limiter.wait(2.0) == 0
    assert limiter.allowance() == 199  # 2 s * (6000 - 25) / 60
    limiter.sent(390, 2.0, 4.0)
    assert limiter.wait(4.0) > 0  # earned once


def test_no_minute_after_a_slow_response_has_more_events_than_allowed():
    """What half a minute has accumulated is not sent on top of the next minute's."""
    limiter = RateLimiter(6000)
    limiter.sent(25, 0.0, 30.0)
    sent = [(30.0, 25), *run(limiter, 150.0, 1000, now=30.0)]
    assert sent[1] == (30.0, 1000)
    for start, _ in sent:
        assert sum(count for at, count in sent if start <= at < start + 60) <= 6000
