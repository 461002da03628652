"""The recorded requests: counts for tests of rate limits. Credentials are kept only as a hash."""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.exchange import Request


def fingerprint(secret: str) -> str:
    """Twelve hex digits that distinguish credentials without revealing them."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


@dataclass(slots=True)
class _Vendor:
    count: int = 0
    paths: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    credentials: Counter[str] = field(default_factory=Counter)
    open_now: int = 0
    peak_open: int = 0
    peak_per_minute: int = 0
    minute: deque[float] = field(default_factory=deque)

    def described(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "paths": dict(self.paths),
            "rate_limited": self.statuses["429"],
            "statuses": dict(self.statuses),
            "methods": dict(self.methods),
            "not_get": self.count - self.methods["GET"],
            "authorization": dict(self.credentials),
            "faults": dict(self.faults),
            "open_now": self.open_now,
            "peak_open": self.peak_open,
            "peak_per_minute": self.peak_per_minute,
        }


class Traffic:
    """Per vendor: how many requests, to which path templates, with what outcome."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._vendors: dict[str, _Vendor] = {}

    def arrived(self, vendor: str, template: str, request: Request) -> None:
        """Note a request before anything is done about it."""
        now = self._clock()
        secret = request.headers.get("authorization") or request.query.get("key") or request.query.get("access_token")
        with self._lock:
            seen = self._vendors.setdefault(vendor, _Vendor())
            seen.count += 1
            seen.paths[template] += 1
            seen.methods[request.method] += 1
            seen.credentials[fingerprint(secret) if secret else "none"] += 1
            seen.open_now += 1
            seen.peak_open = max(seen.peak_open, seen.open_now)
            seen.minute.append(now)
            while seen.minute[0] <= now - 60:
                seen.minute.popleft()
            seen.peak_per_minute = max(seen.peak_per_minute, len(seen.minute))

    def ended(self, vendor: str, status: int | None, fault: str | None) -> None:
        """Note how it ended; no status when nothing was answered."""
        with self._lock:
            seen = self._vendors.setdefault(vendor, _Vendor())
            seen.open_now = max(0, seen.open_now - 1)
            seen.statuses[str(status or "none")] += 1
            if fault:
                seen.faults[fault] += 1

    def described(self) -> dict[str, Any]:
        """Tell what `GET /control/requests` answers."""
        with self._lock:
            return {vendor: seen.described() for vendor, seen in self._vendors.items()}

    def forget(self) -> None:
        """Count from zero."""
        with self._lock:
            self._vendors.clear()
