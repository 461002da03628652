"""Why a request to a vendor got no usable response. No message contains a URL's query, a header or a body: secrets."""

from typing import ClassVar


class PollError(Exception):
    """A request to a vendor got no usable response; `reason` is the `outcome` label."""

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
