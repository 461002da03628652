"""The page for people."""

import base64
import hashlib
import re
from dataclasses import replace

from exporter.web.status_page import CONTENT_POLICY, page
from tests.exporter.health import HEALTH

VIGILMON = replace(HEALTH, collector="vigilmon", series=12, rate_limit_remaining=30.0, oldest_value=890.0)


def test_a_browser_takes_the_style_and_nothing_else():
    """The policy names the hash of what the page holds."""
    (style,) = re.findall("<style>(.*?)</style>", page([(VIGILMON, [])], 1000.0), re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY


def test_a_reader_who_does_not_see_it_hears_a_table():
    """Landmarks, a heading, a caption, headers of rows and columns; what a colour says is a word too."""
    shown = page([(VIGILMON, [])], 1000.0)
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
    assert "<p>This exporter: shard 2 of 3.</p>" in page([(VIGILMON, [])], 1000.0, ["shard 2 of 3"])
    assert "This exporter" not in page([(VIGILMON, [])], 1000.0)
    assert "No target is assigned to this exporter." in page([], 1000.0, ["shard 2 of 3"])
