"""The snapshot of one target: when it is read, and when it is written next.

The leader writes it every few seconds while something changes; followers check for a new one as often. One that cannot
be read, belongs to another target (its base URL changed) or has another format is not used: the next poll fetches
everything again.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import fields, is_dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from exporter.collectors.contract import Collector
from exporter.collectors.settings import TargetSettings
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.target_state import Target, drop_future_state
from exporter.toolkit.config_types import Secret
from exporter.toolkit.logs import Conditions
from exporter.toolkit.threads import in_thread

if TYPE_CHECKING:
    from exporter.polling.postgresql import Database  # its driver is an extra

REST: Final = 10
"""After a write or read, a snapshot rests this many times its duration, so that a big one costs a tenth of one core."""
LONGEST_REST: Final = 30.0
"""Longest rest in seconds: what takes longer than a tenth of it has waited for storage that hangs."""
PATIENCE: Final = 10.0
"""Seconds after which polling goes on without storage that hangs."""
Place: TypeAlias = "Directory | Database | None"
"""Where snapshots are stored; None: nowhere."""
FORMAT: Final = 1
"""Version of the document's format; the knowledge inside is shaped by the collector."""
DEPTH: Final = 3
"""Depth to which a document is written in pieces: its parts, their members, and each monitor, test or prefix."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class _Head(msgspec.Struct):
    """The head of a document, read before its parts."""

    format: Any
    target: Any


class Snapshot:
    """The snapshot of one target, for one thread at a time. A failure is only logged: storage is a convenience."""

    def __init__(self, place: Place, settings: TargetSettings, collector: Collector) -> None:
        self._place = place
        self._settings = settings
        self._collector = collector
        self._name = name(settings)
        self._kinds = {"knowledge": type(collector.start()), "budget": Budget, "success": bool | None}
        """The parts of a target that are stored, with their types; the rest belongs to this process."""
        self._took = 0.0
        self._stamp: Hashable = None
        self._saved: Target | None = None
        self._saved_at = 0.0
        self._hanging: Future[Any] | None = None
        """The last access to the storage that took too long."""
        self._conditions = Conditions(_log)

    @property
    def rest(self) -> float:
        """Return the seconds between two writes, or two checks for a new snapshot."""
        return max(self._place.every if self._place else 0.0, min(REST * self._took, LONGEST_REST))

    def read(self, now: float) -> Target:
        """Return the target as stored, or a new one. Stored data that may still be shown counts as a first round."""
        rate = self._settings.requests_per_minute
        found = self.news(now) or Target(knowledge=self._collector.start(), budget=Budget.start(rate, now))
        is_round = found.knowledge.round_at is not None and self._settings.shows(found.knowledge.as_of, now)
        return replace(found, success=found.success if is_round else None, counting_since=now)

    def news(self, now: float) -> Target | None:
        """Return the target if it was stored again since the last read, else None."""
        if self._place is None:
            return None
        began, stamp = time.monotonic(), self._place.stamp(self._name)
        if stamp == self._stamp:
            return None
        self._stamp, stored, problem, level = stamp, None, "", logging.WARNING
        try:
            content = self._in_time(partial(self._place.read, self._name))
            if content is not None:
                stored = decode(content, fingerprint(self._settings), self._kinds)
                if stored is None:
                    problem, level = "not used: it is of another target or format", logging.INFO
        except OSError as error:
            self._stamp, problem = None, f"cannot be read ({error.strerror})"  # it is tried again
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            problem = f"cannot be used, starting without it ({type(error).__name__})"
        if stored is not None:
            stored["budget"] = stored["budget"].at_rate(self._settings.requests_per_minute)
            found = Target(**stored)
            self._saved = drop_future_state(self._collector, found, now)
            if self._saved is not found:
                problem = "not used: it is from the future, by the clock of this machine"
        self._conditions.report("read", problem and f"Snapshot {self._name} {problem}", level)
        self._took = time.monotonic() - began
        return None if stored is None else self._saved

    def resumed(self, target: Target, now: float) -> Target:
        """Return the target as this exporter polls it from now on. That is stored before the first request."""
        loss_window = max(self._place.loss_window if self._place else 0.0, self.rest)
        return replace(target, budget=target.budget.inherited(now, loss_window))

    def wait(self, target: Target, now: float) -> float:
        """Return the seconds until `target` is to be written; infinity if it is unchanged since the last write."""
        saved = self._saved
        # Parts are immutable, so comparing identities is enough.
        if self._place is None or (
            saved and all(getattr(target, part) is getattr(saved, part) for part in self._kinds)
        ):
            return inf
        return max(0.0, self._saved_at + self.rest - now) if self._saved_at <= now else 0.0

    def write(self, target: Target, now: float) -> None:
        """Store `target`."""
        if self._place is None:
            return
        began, problem = time.monotonic(), ""
        parts = {part: getattr(target, part) for part in self._kinds}
        try:
            document = encode(fingerprint(self._settings), parts)
            self._in_time(partial(self._place.write, self._name, document))
        except (OSError, ValueError, TypeError) as error:
            problem = f"cannot be written ({error.strerror if isinstance(error, OSError) else type(error).__name__})"
        self._conditions.report("write", problem and f"Snapshot {self._name} {problem}")
        self._stamp = self._place.stamp(self._name)  # our own write is no news
        self._saved = None if problem else target  # what could not be written is due again, changed or not
        self._saved_at, self._took = now, time.monotonic() - began

    def _in_time(self, access: Callable[[], T]) -> T:
        """Return the result of `access`. Raises OSError after `PATIENCE`, and while an earlier one still hangs."""
        if self._hanging and not self._hanging.done():
            raise OSError(0, "the storage hangs")
        self._hanging = None
        try:
            outcome = in_thread(f"storage {self._name}", access)
        except RuntimeError:  # the system allows no more threads
            return access()
        wait([outcome], PATIENCE)
        if not outcome.done():
            self._hanging = outcome
            raise OSError(0, "the storage hangs")
        return outcome.result()


def followed(mine: Target, stored: Target) -> Target:
    """Return a follower's target after the leader stored `stored`; this process's own parts are kept."""
    return replace(
        stored,
        # A leader that has just started knows nothing yet: until it does, show our own data.
        knowledge=mine.knowledge if stored.knowledge.as_of is None else stored.knowledge,
        success=mine.success if stored.success is None else stored.success,
        requests=mine.requests,  # each process counts the requests it sends
        counting_since=mine.counting_since,
        probing=mine.probing,  # started while this exporter led
    )


def name(settings: TargetSettings) -> str:
    """Return the name of the target's document, which is safe as the name of a file."""
    unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
    return f"{_UNSAFE.sub('_', f'{settings.collector}-{settings.account}')[:100]}-{unique}"


def fingerprint(settings: TargetSettings) -> str:
    """Return what identifies the account and place of these settings, without a secret: all others may change."""
    url = settings.url() or ""
    if isinstance(url, Secret):  # only the host of a URL that is secret
        url = url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    place = [settings.collector, settings.account, url.rstrip("/")]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]


def decode(content: bytes, target: str, kinds: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the parts, typed as in `kinds`; None if of another target or format. Raises ValueError if unreadable."""
    # Decoded straight into its types: with objects in between, a large account would leave megabytes behind.
    if msgspec.json.decode(content, type=_Head) != _Head(FORMAT, target):
        return None
    document = msgspec.defstruct("Document", [("parts", msgspec.defstruct("Parts", list(kinds.items())))])
    return msgspec.structs.asdict(msgspec.json.decode(content, type=document).parts)  # type: ignore[attr-defined]


def encode(target: str, parts: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the document in pieces: a large account's, made at once, would block every scrape and leave its memory.

    An infinite number is written as null, as unknown: JSON has none.
    """
    yield f'{{"format":{FORMAT},"target":"{target}","parts":'.encode()
    yield from _pieces(parts, DEPTH)
    yield b"}"


def _pieces(value: Any, depth: int) -> Iterator[bytes]:
    members = {each.name: getattr(value, each.name) for each in fields(value)} if is_dataclass(value) else value
    if not depth or not members or not isinstance(members, dict):
        yield msgspec.json.encode(value)
        return
    separator = b"{"
    for name, member in members.items():
        yield separator + msgspec.json.encode({name: 0})[1:-2]  # whatever type the name has
        yield from _pieces(member, depth - 1)
        separator = b","
    yield b"}"
