"""The format and encoding of a page for a client."""

import pytest

from exporter.toolkit.exposition import unit_of, wants_gzip, wants_openmetrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain", False),
        ("text/plain;version=0.0.4", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.5,text/plain;q=0.3", True),
        ("text/plain;q=0.3,application/openmetrics-text;q=0.5", True),
        ("application/openmetrics-text,text/plain", True),
        ("text/plain,application/openmetrics-text", False),
        ("application/openmetrics-text;q=0,text/plain;q=0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=high", False),
        ('Application/OpenMetrics-Text; Version="1.0.0"; Q=1', True),
        ("image/png", False),
        ("application/json", False),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", False),
        ("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", False),
        (",;,=;q", False),
    ],
)
def test_format_follows_the_accept_header(accept, openmetrics):
    """By q value, equal ones in their order; text if no format is accepted."""
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip", True),
        ("br", False),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity;q=0.5", True),
    ],
)
def test_gzip_follows_accept_encoding(accept_encoding, packed):
    """Unless the client prefers the uncompressed page."""
    assert wants_gzip(accept_encoding) is packed


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("vendorwatch_poll_duration_seconds", "seconds"),
        ("thousandeyes_test_loss_ratio", "ratio"),
        ("vigilmon_certificate_expiry_days", "days"),
        ("vigilmon_monitor_up", ""),
        ("seconds", "seconds"),
    ],
)
def test_unit_is_the_end_of_the_name(name, unit):
    """Of those that our metrics have; any other last word is no unit."""
    assert unit_of(name) == unit
