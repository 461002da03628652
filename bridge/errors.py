"""Everything that can go wrong, by kind.

    BridgeError
    ├── Unreadable              a webhook's body, or one alert in it, that can never be understood
    ├── Unavailable             the outbox cannot take or give anything now: busy, full, read-only, gone
    ├── Unanswered              an Alertmanager gave no answer that counts; `url` names it
    └── DeliveryError           BigPanda did not accept; `fault` says whose fault it is, `reason` is the log's word
        ├── Unreached           transient     no connection, no answer in time, or it broke
        ├── Overloaded          transient     408, 425, 429, 5xx; `retry_after` when BigPanda says it
        ├── Rejected            event         400, 409, 413, 422: something in this batch will never be accepted
        └── Stopped             destination   401, 403, 404, 410: nothing will be accepted until someone mends it

A message never holds a token, a header or a body.
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
    """A body, or one alert in it, that can never be understood; the message names the member."""


class Unavailable(BridgeError):
    """The outbox cannot be used now; the same request may succeed later."""


class Unanswered(BridgeError):
    """The Alertmanager at `url` gave no answer that counts; the message says why."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url


class DeliveryError(BridgeError):
    """BigPanda did not accept what was sent."""

    fault: ClassVar[Fault]

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Unreached(DeliveryError):
    """No connection, no answer in time, or it broke in between: BigPanda may have accepted or not."""

    fault = Fault.TRANSIENT


class Overloaded(DeliveryError):
    """408, 425, 429 or 5xx: try again later; `retry_after` holds the seconds BigPanda asked for, or None."""

    fault = Fault.TRANSIENT


class Rejected(DeliveryError):
    """400, 409, 413 or 422: something in this batch will never be accepted as it is."""

    fault = Fault.EVENT


class Stopped(DeliveryError):
    """401, 403, 404 or 410: the destination itself is wrong; nothing will be accepted until someone mends it."""

    fault = Fault.DESTINATION
