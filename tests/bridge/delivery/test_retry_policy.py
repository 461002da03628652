import pytest

from bridge.delivery.retry_policy import DeadLetter, Pause, RetryAt, Split, ceiling, decide
from bridge.errors import Overloaded, Rejected, Stopped, Unreached

NOW = 1000.0


@pytest.mark.parametrize(
    ("error", "events", "failures", "chance", "decision"),
    [
        # full jitter: chance * min(60, 1 * 2^(failures - 1))
        (Unreached("hung"), 9, 1, 0.5, RetryAt(NOW + 0.5)),  # 0.5 * 1
        (Unreached("hung"), 9, 4, 0.5, RetryAt(NOW + 4.0)),  # 0.5 * 8
        (Unreached("hung"), 9, 7, 0.5, RetryAt(NOW + 30.0)),  # 0.5 * min(60, 64)
        (Unreached("hung"), 9, 10**9, 0.5, RetryAt(NOW + 30.0)),  # for ever, without overflow
        (Unreached("hung"), 1, 1, 0.0, RetryAt(NOW + 0.1)),  # never at once
        (Overloaded("503", status=503), 1, 3, 0.25, RetryAt(NOW + 1.0)),  # 0.25 * 4
        # Retry-After is a lower bound, and at most an hour
        (Overloaded("429", status=429, retry_after=7.0), 1, 1, 0.9, RetryAt(NOW + 7.0)),
        (Overloaded("429", status=429, retry_after=2.0), 1, 7, 0.5, RetryAt(NOW + 30.0)),
        (Overloaded("429", status=429, retry_after=1e9), 1, 1, 0.5, RetryAt(NOW + 3600.0)),
        # an event's fault: halves, until the bad one stands alone
        (Rejected("bad", status=400), 2, 1, 0.5, Split()),
        (Rejected("bad", status=413), 100, 50, 0.5, Split()),
        (Rejected("status is missing", status=400), 1, 1, 0.5, DeadLetter("status is missing")),
        (Rejected("bad", status=422), 1, 10**6, 0.5, DeadLetter("bad")),
        # the destination's fault: 60 * (0.95 + 0.1 * chance), whatever the count, one event or many
        (Stopped("401", status=401), 1, 1, 0.5, Pause(NOW + 60.0)),
        (Stopped("403", status=403), 100, 999, 0.0, Pause(NOW + 57.0)),
        (Stopped("404", status=404), 100, 1, 0.5, Pause(NOW + 60.0)),
    ],
)
def test_the_kind_of_error_decides(error, events, failures, chance, decision):
    """What happens next follows from whose fault it is; a count only lengthens a pause."""
    assert decide(error, events=events, failures=failures, now=NOW, chance=chance) == decision


def test_pauses_double_up_to_a_minute():
    """The longest pause is 1, 2, 4 … seconds, and never more than 60."""
    assert [ceiling(failures) for failures in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
