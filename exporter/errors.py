"""Everything that can go wrong, by kind.

    ExporterError
    └── PollError               no usable response; `reason` is the `outcome` label
        ├── TimedOut            timeout        no complete response within the target's `timeout`
        ├── ConnectFailed       connect        no connection, or it broke
        ├── TlsFailed           tls            the vendor's certificate is not trusted
        ├── Refused             auth           401 or 403: the vendor rejects the credentials
        ├── RateLimited         rate_limited   429; `retry_after` if the vendor gives one
        ├── ClientError         client_error   any other 4xx, or a redirect, which would leak the token
        ├── ServerError         server_error   5xx
        └── Malformed           malformed      a response that violates the vendor's contract

No message contains a URL's query, a header or a body, because these may hold secrets.
"""

from typing import ClassVar


class ExporterError(Exception):
    """Root of all errors that this program raises on purpose."""


class PollError(ExporterError):
    """A request to a vendor got no usable response."""

    reason: ClassVar[str]


class TimedOut(PollError):
    """No complete response arrived within the target's `timeout`."""

    reason = "timeout"


class ConnectFailed(PollError):
    """No connection could be made, or it broke before the response was complete."""

    reason = "connect"


class TlsFailed(PollError):
    """The TLS handshake failed, usually because the certificate is not signed by a trusted root."""

    reason = "tls"


class Refused(PollError):
    """401 or 403: the vendor rejects the credentials."""

    reason = "auth"


class RateLimited(PollError):
    """429; `retry_after` holds the seconds that the vendor asked for, or None."""

    reason = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientError(PollError):
    """Another 4xx, or a redirect, which is never followed because it would leak the token."""

    reason = "client_error"


class ServerError(PollError):
    """5xx: the vendor is having problems."""

    reason = "server_error"


class Malformed(PollError):
    """The response violates the vendor's contract; the message names the JSON member."""

    reason = "malformed"
