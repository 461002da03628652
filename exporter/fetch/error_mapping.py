"""Map HTTP statuses to PollErrors. Pure."""

import contextlib
from email.utils import parsedate_to_datetime
from typing import Final

from exporter.collectors.contract import Get, Response
from exporter.errors import ClientError, Malformed, RateLimited, Refused, ServerError

UNCERTAIN: Final = 60.0
"""Longest wait, in seconds, for a date that cannot be compared with the vendor's own clock."""


def check(request: Get, response: Response) -> None:
    """Raise the PollError for the response's status, unless it is 200 or one of `request.expected_statuses`."""
    status = response.status
    if status == 200 or status in request.expected_statuses:  # noqa: PLR2004  the status everybody knows
        return
    if status in (401, 403):
        raise Refused(f"{status}: the vendor rejects the credentials")
    if status == 429:  # noqa: PLR2004  see above
        raise RateLimited("429: too many requests", _retry_after(response))
    match status // 100:
        case 3:
            raise ClientError(f"{status}: redirects are not followed")
        case 4:
            raise ClientError(f"{status}")
        case 5:
            raise ServerError(f"{status}")
    raise Malformed(f"status {status}")


def _retry_after(response: Response) -> float | None:
    """Return the seconds that the vendor asks to wait. A date is compared with the vendor's own `Date` header."""
    text = response.headers.get("retry-after", "").strip()
    if text[:1].isdigit():
        with contextlib.suppress(ValueError):
            return float(text)
    moment, vendors_now = http_date(text), http_date(response.headers.get("date", ""))
    if moment is None:
        return None
    if vendors_now is None:
        # Without a Date header only our own clock is left: cap the wait in case either clock is wrong.
        return min(max(0.0, moment - response.at), UNCERTAIN)
    return max(0.0, moment - vendors_now)


def http_date(text: str) -> float | None:
    """Parse a header's date to epoch seconds; return None for anything else."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
