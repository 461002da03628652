import time

import pytest

from exporter.toolkit.lenient import flag_of, number_of, reports_failure, retry_after, time_of

DAY = "Thu, 01 Jan 1970"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        ("2", 2.0),
        (-3, -3.0),
        (True, None),
        ("x", None),
        (None, None),
        (10**400, None),
        (float("nan"), None),
    ],
)
def test_a_number_may_be_text(value, expected):
    """Databases export numbers as text; an invalid one, or one beyond any count and time, counts as missing."""
    assert number_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (0, False),
        ("1", True),
        (" False ", False),
        ("no", None),
        (2, None),
        (1.0, True),
        (0.0, False),
        (0.5, None),
        (None, None),
    ],
)
def test_a_boolean_may_be_a_number_or_text(value, expected):
    """As PHP and MySQL write them; anything else counts as missing."""
    assert flag_of(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        (500_000_000_000, 500_000_000.0),
        ("2026-01-01T00:00:00", 1767225600.0),
        ("2026-01-01T01:00:00+01:00", 1767225600.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 1767225600.0),
        ("Thursday, 99", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        (1767225600, 1767225600.0),
        ("1767225600", 1767225600.0),
        (1767225600000, 1767225600.0),
        (1e300, None),
        (-1, None),
        ("yesterday", None),
        (5, None),
        (1_795_199_000, 1_795_199_000.0),
        (1_795_199_000_500, 1_795_199_000.5),
        ("1795199000", 1_795_199_000.0),
        ("2026-11-20T18:23:20", 1_795_199_000.0),
        ("2026-11-20 19:23:20+01:00", 1_795_199_000.0),
        (True, None),
        (1e14, None),
        ("2026-11-20 06:30:00 EST", None),
        ("2026-11-20 06:30:00 UTC", 1_795_156_200.0),
        ("9999-12-31T23:59:59Z", 253_402_300_799.0),
        ("9999-12-31T23:59:59-10:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("Thu, 01 Jan 2026 00:00:00 GMT" + " " * 60, None),
    ],
)
def test_a_time_is_read_in_every_form_that_is_written(value, expected, monkeypatch):
    """Seconds, milliseconds, either as text, and dates, in UTC without a zone; none that cannot be written in UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert time_of(value) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"retry-after": " 17 "}, 17.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "7, 300"}, 300.0),
        ({"retry-after": "7, soon"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1x"}, None),
        ({"retry-after": f"{DAY} 00:17:10 GMT"}, 30.0),
        ({"retry-after": f"{DAY} 00:00:00 GMT"}, 0.0),
        ({"retry-after": f"{DAY} 01:16:40 GMT"}, 60.0),
        ({"retry-after": f"{DAY} 01:16:40 GMT", "date": f"{DAY} 00:16:40 GMT"}, 3600.0),
        ({"retry-after": f"{DAY} 00:17:10 GMT", "date": f"{DAY} 01:16:40 GMT"}, 0.0),
        ({"retry-after": "1795176030", "date": "Fri, 20 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "1795176030000", "date": "Fri, 20 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "1795176030"}, 60.0),
        ({"retry-after": "9" * 400}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(headers, wanted):
    """Without that clock at most a minute; of several numbers the largest; any other value counts as missing."""
    assert retry_after(headers, 1000.0) == wanted


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ({}, False),
        ({"success": True, "errors": [], "error": None, "status": "ok", "code": 200}, False),
        ({"success": False}, True),
        ({"ok": "false"}, True),
        ({"errors": ["no"]}, True),
        ({"error": "no"}, True),
        ({"status": "error"}, True),
        ({"status": 400}, True),
        ({"statusCode": "503"}, True),
        ({"code": "400"}, True),
        ({"code": None, "status_code": 399}, False),
    ],
)
def test_an_answer_may_deny_its_success(answer, failed):
    """By a flag, by errors or by a status, any of them."""
    assert reports_failure(answer) is failed
