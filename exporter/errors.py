"""Everything that can go wrong, by kind.

    ExporterError
    └── PollError               we asked, and got no usable answer; `reason` is the `outcome` label
        ├── TimedOut            timeout        no whole answer within the target's `timeout`
        ├── ConnectFailed       connect        no connection, or it broke
        ├── TlsFailed           tls            the vendor's certificate is not to be trusted
        ├── Refused             auth           401 or 403: the credentials are not accepted
        ├── RateLimited         rate_limited   429; `retry_after` when the vendor says it
        ├── ClientError         client_error   any other 4xx, or a redirect: it would carry the token away
        ├── ServerError         server_error   5xx
        └── Malformed           malformed      an answer that is not what the contract promises

A message never holds a URL's query, a header or a body: those are where secrets live.
"""

from typing import ClassVar


class ExporterError(Exception):
    """Root of all errors that this program raises on purpose."""


class PollError(ExporterError):
    """We asked a vendor and got no usable answer."""

    reason: ClassVar[str]


class TimedOut(PollError):
    """No whole answer arrived within the target's `timeout`."""

    reason = "timeout"


class ConnectFailed(PollError):
    """No connection could be made, or it broke before the answer was whole."""

    reason = "connect"


class TlsFailed(PollError):
    """The TLS handshake failed: usually a certificate that the trusted roots do not vouch for."""

    reason = "tls"


class Refused(PollError):
    """401 or 403: the vendor does not accept the credentials."""

    reason = "auth"


class RateLimited(PollError):
    """429; `retry_after` holds the seconds the vendor asked for, or None."""

    reason = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientError(PollError):
    """Another 4xx, or a redirect, which is never followed because it would carry the token away."""

    reason = "client_error"


class ServerError(PollError):
    """5xx: the vendor is ill."""

    reason = "server_error"


class Malformed(PollError):
    """The answer is not what the vendor's contract promises; the message names the member."""

    reason = "malformed"
