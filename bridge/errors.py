"""The errors of the bridge, by kind.

    BridgeError
    ├── Unreadable              a webhook's body, or one alert in it, that can never be read
    ├── Unavailable             the outbox cannot be used now: busy, full, read-only, gone
    ├── Unanswered              an Alertmanager at `url` gave no usable response
    └── DeliveryError           BigPanda did not accept; `fault`: whose fault it is, `reason`: the word for the log
        ├── Unreached           transient     no connection, no answer in time, or it broke
        ├── Overloaded          transient     408, 425, 429, 5xx; `retry_after` if BigPanda gives one
        ├── Rejected            event         400, 409, 413, 422: an event in this batch will never be accepted
        └── Stopped             destination   401, 403, 404, 410: nothing will be accepted until someone fixes it

No message contains a token, a header or a body.
"""

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose fault a failed delivery is; it alone decides what happens next."""

    TRANSIENT = "transient"
    EVENT = "event"
    DESTINATION = "destination"


class BridgeError(Exception):
    """Root of all errors that this program raises on purpose."""


class Unreadable(BridgeError):
    """A body, or one alert in it, that can never be read; the message names the member."""


class Unavailable(BridgeError):
    """The outbox cannot be used now; the same request may succeed later."""


class Unanswered(BridgeError):
    """The Alertmanager at `url` gave no usable response; the message says why."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url


class DeliveryError(BridgeError):
    """BigPanda did not accept a request."""

    fault: ClassVar[Fault]

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Unreached(DeliveryError):
    """No connection, no response in time, or it broke: BigPanda may or may not have accepted."""

    fault = Fault.TRANSIENT


class Overloaded(DeliveryError):
    """408, 425, 429 or 5xx: retry later; `retry_after` holds the seconds that BigPanda asked for, or None."""

    fault = Fault.TRANSIENT


class Rejected(DeliveryError):
    """400, 409, 413 or 422: an event in this batch will never be accepted as it is."""

    fault = Fault.EVENT


class Stopped(DeliveryError):
    """401, 403, 404 or 410: the destination itself is wrong; nothing will be accepted until someone fixes it."""

    fault = Fault.DESTINATION
