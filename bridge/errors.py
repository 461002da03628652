"""The errors of the bridge, by kind. No message contains a token, a header or a body."""

from exporter.toolkit.periodic import Paused


class Unreadable(Exception):
    """A webhook's body, or one alert in it, that can never be read; the message names the member."""


class Unavailable(Paused):
    """The outbox cannot be used now: busy, full, read-only, gone. The same request may succeed later."""


class Unanswered(Exception):
    """The Alertmanager at `url` gave no usable response; the message says why."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url


class DeliveryError(Exception):
    """A request was not accepted: its class decides what is next. `retry_after`: seconds that the response asks for."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Transient(DeliveryError):
    """408, 425, 429, 5xx: retry later. Without a status (no connection or answer) it may have been accepted."""


class Rejected(DeliveryError):
    """400, 409, 413, 422: an event in this batch will never be accepted as it is."""


class Stopped(DeliveryError):
    """401, 403, 404, 410 and others: the destination is wrong, and accepts nothing until someone fixes it."""
