"""The page for people."""

import pytest

from exporter.landing import span


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (60, "1m 0s"),
        (3599, "59m 59s"),
        (3600, "1h 0m"),
        (86399, "23h 59m"),
        (90000, "1d 1h"),
    ],
)
def test_a_time_span_is_told_in_two_units(seconds, told):
    """The two largest; what lies ahead of the clock is nothing."""
    assert span(seconds) == told
