"""The page for people."""

import base64
import hashlib
import re
from dataclasses import replace

from exporter.web.pages import CONTENT_POLICY, landing_page
from tests.exporter.health import HEALTH

VIGILMON = replace(HEALTH, collector="vigilmon", series=12, rate_limit_remaining=30.0, oldest_value=890.0)


def test_content_security_policy_allows_only_the_style():
    """The policy has the hash of the page's style."""
    (style,) = re.findall("<style>(.*?)</style>", landing_page([(VIGILMON, [])], 1000.0), re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY


def test_status_page_is_readable_by_screen_readers():
    """Landmarks, a heading, a caption and table headers; each colour has a word."""
    shown = landing_page([(VIGILMON, [])], 1000.0)
    for text in (
        '<html lang="en">',
        "<main>",
        "<h1>",
        "<caption>1 polled",
        'scope="col"',
        'scope="row"',
        ">up to date<",
    ):
        assert text in shown
    assert "As of 1970-01-01 00:16:40Z" in shown


def test_target_without_data_is_failing_also_while_it_is_paused():
    """As in `vendorwatch_poll_success`; a pause with valid data, as after one 429, is no failure yet."""
    paused = replace(VIGILMON, paused_until=1294.0, paused_reason="auth")
    assert ">paused</span>" in landing_page([(paused, [])], 1000.0)
    failing = landing_page([(replace(paused, success=False), [])], 1000.0)
    assert '<span class="state bad">failing</span>' in failing
    assert "<small>paused: auth, for 4m 54s</small>" in failing


def test_page_without_targets_has_a_text():
    """There is no empty table."""
    shown = landing_page([], 1000.0)
    assert "No target is configured" in shown
    assert "<table" not in shown


def test_page_of_a_shard_names_the_shard():
    """Also without targets, which is no error of the configuration."""
    assert "<p>This exporter: shard 2 of 3.</p>" in landing_page([(VIGILMON, [])], 1000.0, ["shard 2 of 3"])
    assert "This exporter" not in landing_page([(VIGILMON, [])], 1000.0)
    assert "No target is assigned to this exporter." in landing_page([], 1000.0, ["shard 2 of 3"])
