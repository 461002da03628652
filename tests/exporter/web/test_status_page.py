"""The page for people."""

import base64
import hashlib
import re

import pytest

from exporter.metrics.health import Health
from exporter.web.status_page import CONTENT_POLICY, page, span

HEALTH = Health(
    collector="vigilmon",
    account="prod",
    success=True,
    last_success=900.0,
    duration=1.0,
    truncated=False,
    series=12,
    requests={},
    rate_limit_remaining=30.0,
    budget_used_ratio=0.25,
    oldest_value=890.0,
    first_poll_ended=True,
    last_error="",
    last_error_at=None,
    next_poll=1010.0,
    paused_until=None,
    paused_reason="",
)


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


def test_a_browser_takes_the_style_and_nothing_else():
    """The policy names the hash of what the page holds."""
    (style,) = re.findall("<style>(.*?)</style>", page([(HEALTH, [])], 1000.0), re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY


def test_a_reader_who_does_not_see_it_hears_a_table():
    """Landmarks, a heading, a caption, headers of rows and columns; what a colour says is a word too."""
    shown = page([(HEALTH, [])], 1000.0)
    for told in (
        '<html lang="en">',
        "<main>",
        "<h1>",
        "<caption>1 polled",
        'scope="col"',
        'scope="row"',
        ">up to date<",
    ):
        assert told in shown
    assert "As of 1970-01-01 00:16:40Z" in shown


def test_no_target_is_no_empty_table():
    """It says so."""
    shown = page([], 1000.0)
    assert "No target is configured" in shown
    assert "<table" not in shown


def test_one_of_several_exporters_says_so():
    """Also when there is no target for it, which is no mistake of the configuration."""
    assert "<p>This exporter: shard 2 of 3.</p>" in page([(HEALTH, [])], 1000.0, ["shard 2 of 3"])
    assert "This exporter" not in page([(HEALTH, [])], 1000.0)
    assert "No target is for this exporter: others have them." in page([], 1000.0, ["shard 2 of 3"])
