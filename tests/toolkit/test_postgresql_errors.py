"""Reasons of PostgreSQL's errors, in both programs."""

import pytest

from exporter.toolkit.postgresql_errors import reason


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'connection to server at "db", port 5432 failed: FATAL:  sorry, too many clients already',
            "no free connection",
        ),
        ('connection failed: root certificate file "/s3cret.pem" does not exist', "TLS: certificate"),
        ("connection failed: FATAL:  the database system is starting up", "starting up"),
        ("connection failed: session is read-only", "read-only"),
        ('could not translate host name "s3cret" to address: could not resolve', "name not found"),
        ("SSL connection has been closed unexpectedly", "not reached"),
        ("server does not support SSL, but SSL was required", "TLS"),
        ("s3cret", "not reached"),
    ],
)
def test_reason_of_a_connection_that_fails(message, expected):
    """It has no code, and its message may contain parts of the URL."""
    assert reason(OSError(message)) == expected
