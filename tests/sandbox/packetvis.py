"""PacketVis: notifications with a warning window. The path and the names of key and organization are not published."""

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.sandbox.exchange import Reply, Request, Routes, answer
from tests.sandbox.limits import Limits
from tests.sandbox.moments import zulu_milliseconds
from tests.sandbox.settings import PacketVis as PacketVisSettings

TEAPOT = 418


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing the vendor noticed; `severity` 1 (low) to 4 (critical), `created_at` epoch seconds."""

    id: str
    type: str
    severity: int
    summary: str
    created_at: float
    service: str = "bgp"
    dispatched: bool = True

    def described(self) -> dict[str, Any]:
        """As the API writes it."""
        page = hashlib.sha1(self.id.encode(), usedforsecurity=False).hexdigest()
        return {
            "service": self.service,
            "type": self.type,
            "summary": self.summary,
            "url": f"https://packetvis.com/bgp/event/{self.id}/{page}",
            "id": self.id,
            "data": f"https://api.packetvis.com/v1/bgp/events/{self.id}",
            "dispatched": self.dispatched,
            "createdAt": zulu_milliseconds(self.created_at),
            "severity": self.severity,
        }


class PacketVisState:
    """Thread-safe. Notifications stay listed however old they are."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.lock = threading.RLock()
        self.notifications: list[Notification] = []

    def clear(self) -> None:
        """Nothing was noticed."""
        with self.lock:
            self.notifications.clear()

    def notify(
        self,
        type: str = "hijack",  # noqa: A002  the vendor's name for it
        severity: int = 4,
        summary: str = "The prefix 192.0.2.0/24 is announced by AS64511 instead of AS64500.",
        age: float = 0,
    ) -> str:
        """List a notification that was created `age` seconds ago; its id."""
        unique = uuid.uuid4()
        number = f"{hashlib.md5(unique.bytes, usedforsecurity=False).hexdigest()}-{unique}"
        with self.lock:
            self.notifications.append(Notification(number, type, severity, summary, self._clock() - age))
        return number

    def withdraw(self, id: str) -> None:  # noqa: A002  the vendor's name for it
        """Take a notification off the list."""
        with self.lock:
            if not any(n.id == id for n in self.notifications):
                raise LookupError(f"no notification {id}")
            self.notifications = [n for n in self.notifications if n.id != id]


class PacketVisApi:
    """One GET whose query holds the credentials."""

    def __init__(
        self, state: PacketVisState, settings: PacketVisSettings, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._state, self._settings, self._limits, self._clock = state, settings, limits, clock
        self._routes = Routes()
        self._routes.add("GET", "/v1/notifications", self._notifications)

    @property
    def base_path(self) -> str:
        """The whole of the wizard's URL after the host."""
        return f"/packetvis/v1/notifications?key={self._settings.key}&org={self._settings.org}"

    def template(self, path: str) -> str:
        """Give the path, when it is known."""
        return self._routes.template(path)

    def unauthorized(self) -> Reply:
        """Give the refusal of a key; its shape is not documented."""
        return answer(401, {"error": "Invalid API key"})

    def answer(self, request: Request) -> Reply:
        """Key, limit, route."""
        if (request.query.get("key"), request.query.get("org")) != (self._settings.key, self._settings.org):
            return self.unauthorized()
        if not self._limits.take("packetvis", self._clock(), self._settings.per_minute).allowed:
            return answer(429, {"error": "Too many requests"})
        found = self._routes.find(request)
        return answer(found, {"error": "Not found"}) if isinstance(found, int) else found()

    def _notifications(self, request: Request) -> Reply:
        try:
            severity, minutes = _whole(request.query, "severity", 1, range(1, 5)), _whole(request.query, "warning", 10)
        except ValueError as wrong:
            return answer(400, {"error": str(wrong)})
        types = {name for name in request.query.get("types", "").split(",") if name}
        with self._state.lock:
            listed = [n for n in self._state.notifications if n.severity >= severity and (not types or n.type in types)]
        listed.sort(key=lambda n: n.created_at, reverse=True)
        warning = any(n.created_at > self._clock() - minutes * 60 for n in listed)
        use_status = request.query.get("status") == "true"
        content = {
            "data": {"notifications": [n.described() for n in listed], "warning": warning},
            "metadata": {"useStatusCode": use_status, "warningMinutes": minutes},
        }
        return answer(TEAPOT if use_status and warning else 200, content)


def _whole(query: Mapping[str, str], name: str, default: int, allowed: range = range(1, 10**6)) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) not in allowed:
        raise ValueError(f"{name} must be a whole number from {allowed[0]} to {allowed[-1]}")
    return int(text)
