"""PostgreSQL's errors in words that reveal nothing of the URL, whose parts libpq's messages may contain."""

from typing import Final

_STATES: Final = {
    "28": "refused: user or password", "3D": "no such database", "42501": "permission denied", "53100": "disk full",
    "53300": "no free connection", "55P03": "busy", "40P01": "busy", "40001": "busy", "57014": "busy",
    "57P03": "starting up", "57P05": "idle for too long", "25P03": "idle for too long", "25006": "read-only",
    "42P01": "gone", "42703": "of another version, which a restart migrates",
}  # fmt: skip
"""By code, or its class."""
_WORDS: Final = (
    ("certificate", "TLS: certificate"),
    ("authentication failed", "refused: user or password"),
    ("no password supplied", "refused: no password"),
    ("does not exist", "no such database or user"),
    ("read-only", "read-only"),
    ("too many", "no free connection"),
    ("remaining connection slots", "no free connection"),
    ("startup parameter", "behind a pooler that does not ignore options"),
    ("SSL connection has been closed", "not reached"),
    ("SSL", "TLS"),
    ("timeout", "timeout"),
    ("refused", "connection refused"),
    ("resolve", "name not found"),
    ("starting up", "starting up"),
)
"""By message, for a connection that fails: it has no code."""
_CONNECTION: Final = ("", "08", "53", "57")
"""Classes of errors that mean it is unreachable."""


def known(error: object) -> bool:
    """Return whether the code of an error has a reason of its own."""
    return (getattr(error, "sqlstate", None) or "") in _STATES


def reason(error: object) -> str:
    """Return the reason of an error of psycopg."""
    state = getattr(error, "sqlstate", None) or ""
    said = "" if state else str(error)
    found = _STATES.get(state) or _STATES.get(state[:2]) or next((word for part, word in _WORDS if part in said), "")
    return found or ("not reached" if state[:2] in _CONNECTION else "failed")
