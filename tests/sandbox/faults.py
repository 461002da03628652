"""Faults on request: what goes wrong, for whom, where, how often and how long."""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("hang", "status", "reset", "lose_answer", "slow", "garbage", "truncate", "redirect", "refuse_credentials")


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong.

    `vendor` "*" is every vendor; `path` a prefix below the vendor's; `containing` a text in the request's body;
    `count` how many requests it strikes and `duration` for how many seconds (both unlimited when None). `seconds`:
    how long a hang lasts (None: until the client gives up), or over how long a slow body is spread.
    """

    vendor: str
    kind: str
    path: str = "/"
    method: str | None = None
    containing: str = ""
    count: int | None = None
    duration: float | None = None
    seconds: float | None = None
    code: int = 503
    retry_after: int | str | None = None
    to: str = "/elsewhere"
    id: int = 0
    until: float = float("inf")

    def __post_init__(self) -> None:
        """Refuse what could never strike."""
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")

    def strikes(self, vendor: str, path: str, method: str, body: bytes, now: float) -> bool:
        """Whether this request is one of those it is meant for."""
        return (
            self.vendor in ("*", vendor)
            and path.startswith(self.path)
            and self.method in (None, method)
            and self.containing.encode() in body
            and (self.count is None or self.count > 0)
            and now < self.until
        )


class Faults:
    """The faults that are set. The oldest that fits a request strikes it; only one does."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: list[Fault] = []

    def set(self, vendor: str, kind: str, **how: Any) -> int:
        """Set one and get its number. Raises ValueError or TypeError when it is not a fault."""
        fault = Fault(vendor, kind, **how)
        with self._lock:
            fault.id = next(self._ids)
            if fault.duration is not None:
                fault.until = self._clock() + fault.duration
            self._faults.append(fault)
        return fault.id

    def clear(self, vendor: str | None = None, number: int | None = None) -> int:
        """Take away one by number, those of a vendor, or all; how many there were."""
        with self._lock:
            kept = [
                fault
                for fault in self._faults
                if (number is not None and fault.id != number) or (vendor is not None and fault.vendor != vendor)
            ]
            gone = len(self._faults) - len(kept)
            self._faults = kept
        return gone

    def strike(self, vendor: str, path: str, method: str, body: bytes = b"") -> Fault | None:
        """Give the fault that strikes this request; its count goes down by one."""
        now = self._clock()
        with self._lock:
            fault = next((fault for fault in self._faults if fault.strikes(vendor, path, method, body, now)), None)
            if fault and fault.count is not None:
                fault.count -= 1
        return fault

    def standing(self, number: int) -> bool:
        """Whether a fault is still set, spent or not."""
        with self._lock:
            return any(fault.id == number for fault in self._faults)

    def described(self) -> list[Mapping[str, Any]]:
        """Tell what `GET /control/faults` answers."""
        with self._lock:
            return [{name: value for name, value in asdict(f).items() if name != "until"} for f in self._faults]
