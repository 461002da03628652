"""Group commit: what many webhooks bring while the disk is busy becomes durable in one transaction.

The threads of the door wait for their own notification to be durable; one thread writes. So a flush of the disk is
paid once for all that wait, and the door is told only what is committed.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from bridge.errors import Unavailable
from bridge.outbox.outbox import Notification, Outcome

_LINGER = 0.002
"""Seconds; less than a flush of most disks takes."""
_WORTH = 50
"""Alerts; what a transaction costs by itself is little beside so many."""
_log = logging.getLogger(__name__)


class Store(Protocol):
    """What commits are made in."""

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Make a batch durable, all or nothing."""


class _Pending:
    """One notification on its way. Its sender waits at a bare lock: a Future takes longer than to write a row."""

    __slots__ = ("_settled", "_told", "notification", "now")

    def __init__(self, notification: Notification, now: float) -> None:
        self.notification = notification
        self.now = now
        self._told: Outcome | Unavailable = Unavailable("not settled")
        self._settled = threading.Lock()
        self._settled.acquire()

    def settle(self, told: Outcome | Unavailable) -> None:
        """Let the sender go on."""
        self._told = told
        self._settled.release()

    def outcome(self) -> Outcome:
        """Wait until it is settled. Unavailable when nothing of it was kept."""
        with self._settled:
            if isinstance(self._told, Unavailable):
                raise self._told
            return self._told


class Commits:
    """The one thread that writes what webhooks bring. `wake` is called after each commit that queued something."""

    def __init__(
        self,
        store: Store,
        *,
        wake: Callable[[], object] = lambda: None,
        most_alerts: int = 2000,
        most_waiting: int = 1000,
    ) -> None:
        self._store = store
        self._wake = wake
        self._most_alerts = most_alerts
        self._most_waiting = most_waiting
        self._waiting: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._stopping = False
        self._usual = 0
        self._thread = threading.Thread(target=self._run, name="commits", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def accept(self, notification: Notification, now: float) -> Outcome:
        """Return once the notification is durable. Unavailable when it cannot be now: nothing of it is kept then."""
        pending = _Pending(notification, now)
        with self._gate:
            if self._stopping:
                raise Unavailable("shutting down")
            if self._waiting.qsize() >= self._most_waiting:
                raise Unavailable("too many webhooks wait for the database")
            self._waiting.put(pending)
        return pending.outcome()

    def stop(self) -> None:
        """Take no more, make durable what waits, and end."""
        with self._gate:
            if self._stopping:
                return
            self._stopping = True
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._turn_away()

    def _run(self) -> None:
        try:
            going = True
            while going:
                batch, going = self._collect()
                if batch:
                    self._commit(batch)
        finally:
            self._turn_away()

    def _turn_away(self) -> None:
        """Let nobody wait for a thread that is gone, or was never started."""
        with self._gate:
            self._stopping = True
            while not self._waiting.empty():
                if pending := self._waiting.get():
                    pending.settle(Unavailable("shutting down"))

    def _collect(self) -> tuple[list[_Pending], bool]:
        """Wait for one, then take what waits beside it, within bounds; and whether to go on.

        Senders that were answered together come back together: as many as last time are waited for, a moment long.
        """
        batch: list[_Pending] = []
        alerts = 0
        found = self._waiting.get()
        until = monotonic() + _LINGER
        while found is not None:
            batch.append(found)
            alerts += len(found.notification.alerts)
            if alerts >= self._most_alerts:
                break
            try:
                alone = len(batch) < self._usual and alerts < _WORTH
                linger = until - monotonic() if alone else 0.0
                found = self._waiting.get(block=linger > 0, timeout=max(linger, 0.0))
            except queue.Empty:
                break
        self._usual = len(batch)
        return batch, found is not None

    def _commit(self, batch: list[_Pending]) -> None:
        try:
            outcomes = self._store.accept([one.notification for one in batch], max(one.now for one in batch))
        except Unavailable as error:
            for one in batch:
                one.settle(Unavailable(str(error)))
            return
        except BaseException as error:  # noqa: BLE001  whatever it is, the thread goes on and the senders are told
            self._separately(batch, error)
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            one.settle(outcome)
        if any(outcome.queued for outcome in outcomes):
            self._wake()

    def _separately(self, batch: list[_Pending], error: BaseException) -> None:
        """Write each alone, so that only the one that cannot be written fails."""
        if len(batch) > 1:
            for one in batch:
                self._commit([one])
            return
        source = f"{batch[0].notification.receiver}/{batch[0].notification.source}"
        _log.error("A webhook for %s cannot be made durable: %s", source, type(error).__name__)
        batch[0].settle(Unavailable("this webhook cannot be made durable"))
