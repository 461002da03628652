"""What is remembered of the last hour."""

import time

from bridge.errors import Unavailable
from bridge.web.queue_history import Trend


def test_the_queue_is_remembered_and_since_when_bigpanda_is_down():
    """The first look that finds it down counts; up again, nothing does."""
    looks = iter([(1, True), (2, False), (3, False), (4, True)])
    times = iter([10.0, 20.0, 30.0, 40.0])
    trend = Trend(lambda: next(looks), lambda: next(times))
    since = []
    for _ in range(4):
        trend.turn()
        since.append(trend.down_since)
    assert trend.samples == [(10.0, 1), (20.0, 2), (30.0, 3), (40.0, 4)]
    assert since == [None, 20.0, 20.0, None]


def test_a_database_that_cannot_be_read_leaves_a_gap():
    """The next look goes on."""
    answers = iter([(1, True), Unavailable("locked"), (2, True)])

    def look():
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    trend = Trend(look)
    for _ in range(3):
        trend.turn()
    assert [count for _, count in trend.samples] == [1, 2]


def test_an_hour_is_kept():
    """Memory has a bound."""
    trend = Trend(lambda: (0, True), iter(range(1000)).__next__)
    for _ in range(1000):
        trend.turn()
    assert (len(trend.samples), trend.samples[0][0]) == (240, 760)


def test_it_looks_once_at_the_start_and_ends():
    """And a second stop finds nothing to do."""
    trend = Trend(lambda: (5, True))
    trend.start()
    end = time.monotonic() + 30
    while not trend.samples and time.monotonic() < end:
        time.sleep(0.01)
    trend.stop()
    assert [count for _, count in trend.samples] == [5]
