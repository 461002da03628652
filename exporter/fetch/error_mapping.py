"""What an attempt to ask came to: an error of HTTP's transport or a status → the kind of error it is. Pure."""

import contextlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from exporter.collectors.contract import Get, Response
from exporter.errors import (
    ClientError,
    ConnectFailed,
    Malformed,
    PollError,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)
from exporter.toolkit import http_errors
from exporter.toolkit.http_errors import HttpError

KINDS: Final[Mapping[type[HttpError], type[PollError]]] = {
    http_errors.RequestTimedOut: TimedOut,
    http_errors.ConnectionFailed: ConnectFailed,
    http_errors.TlsFailed: TlsFailed,
    http_errors.InvalidRequest: ClientError,
    http_errors.InvalidResponse: Malformed,
}
"""What an error below HTTP means for a poll."""
UNCERTAIN: Final = 60.0
"""Seconds; the most that is waited for a date that cannot be compared with the vendor's own clock."""


def check(request: Get, response: Response) -> None:
    """Raise the PollError that the response's status means; 200 and `request.expected_statuses` are answers."""
    status = response.status
    if status == 200 or status in request.expected_statuses:  # noqa: PLR2004  the status everybody knows
        return
    if status in (401, 403):
        raise Refused(f"{status}: the vendor does not accept the credentials")
    if status == 429:  # noqa: PLR2004  see above
        raise RateLimited("429: too many requests", _retry_after(response))
    if 500 <= status <= 599:  # noqa: PLR2004  see above
        raise ServerError(f"{status}")
    if 300 <= status <= 399:  # noqa: PLR2004  see above
        raise ClientError(f"{status}: redirects are not followed")
    if 400 <= status <= 499:  # noqa: PLR2004  see above
        raise ClientError(f"{status}")
    raise Malformed(f"status {status}")


def _retry_after(response: Response) -> float | None:
    """Return the seconds that the vendor asks for. A date is of its clock, and compared with its own `Date`."""
    text = response.headers.get("retry-after", "").strip()
    if text[:1].isdigit():
        with contextlib.suppress(ValueError):
            return float(text)
    moment, vendors_now = http_date(text), http_date(response.headers.get("date", ""))
    if moment is None:
        return None
    if vendors_now is None:
        # Only our own clock to compare with: whichever of them is wrong, limits are per minute.
        return min(max(0.0, moment - response.at), UNCERTAIN)
    return max(0.0, moment - vendors_now)


def http_date(text: str) -> float | None:
    """Return a date of a header in epoch seconds; None for anything else."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
