"""Why a poll failed: the errors of HTTP, and those that a vendor's status means. `reason` is the `outcome` label.

No message contains a URL's query, a header or a body, because these may hold secrets.
"""

from exporter.toolkit.http_errors import ClientError, ConnectFailed, HttpError, Malformed, TimedOut, TlsFailed

__all__ = (
    "ClientError", "ConnectFailed", "Malformed", "PollError", "RateLimited", "Refused", "ServerError", "TimedOut",
    "TlsFailed",
)  # fmt: skip

PollError = HttpError
"""A request to a vendor got no usable response."""


class Refused(PollError):
    """401 or 403: the vendor rejects the credentials, or denies access."""

    reason = "auth"


class Unavailable(PollError):
    """The vendor may say when it takes requests again: `retry_after` holds the seconds, or None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Unavailable):
    """429."""

    reason = "rate_limited"


class ServerError(Unavailable):
    """5xx: the vendor is having problems."""

    reason = "server_error"
