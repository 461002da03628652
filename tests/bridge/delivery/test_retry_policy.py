import pytest

from bridge.delivery.retry_policy import ceiling, retry_at
from bridge.errors import Stopped, Transient

NOW = 1000.0


@pytest.mark.parametrize(
    ("error", "failures", "chance", "at"),
    [
        # full jitter: chance * min(60, 1 * 2^(failures - 1))
        (Transient("hung"), 1, 0.5, NOW + 0.5),  # 0.5 * 1
        (Transient("hung"), 4, 0.5, NOW + 4.0),  # 0.5 * 8
        (Transient("hung"), 7, 0.5, NOW + 30.0),  # 0.5 * min(60, 64)
        (Transient("hung"), 10**9, 0.5, NOW + 30.0),  # for ever, without overflow
        (Transient("hung"), 1, 0.0, NOW + 0.1),  # never at once
        (Transient("503", status=503), 3, 0.25, NOW + 1.0),  # 0.25 * 4
        # Retry-After is a lower bound, and at most an hour
        (Transient("429", status=429, retry_after=7.0), 1, 0.9, NOW + 7.0),
        (Transient("429", status=429, retry_after=2.0), 7, 0.5, NOW + 30.0),
        (Transient("429", status=429, retry_after=1e9), 1, 0.5, NOW + 3600.0),
        # the destination's fault: 60 * (0.95 + 0.1 * chance), whatever the count
        (Stopped("401", status=401), 1, 0.5, NOW + 60.0),
        (Stopped("403", status=403), 999, 0.0, NOW + 57.0),
        (Stopped("404", status=404), 1, 0.5, NOW + 60.0),
    ],
)
def test_retry_depends_on_the_kind_of_error(error, failures, chance, at):
    """The count of failures only lengthens a pause."""
    assert retry_at(error, failures, NOW, chance) == at


def test_pauses_double_up_to_a_minute():
    """The longest pause is 1, 2, 4 … seconds, and never more than 60."""
    assert [ceiling(failures) for failures in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
