"""Group commit: webhooks that arrive while the disk is busy are committed together in one transaction.

The threads that serve webhooks wait until their own notification is durable; one thread writes. So one disk flush
serves all that wait, and a sender is answered only once its webhook is committed.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable

_log = logging.getLogger(__name__)
_Pending = tuple[Notification, float, Future[Outcome]]


class Store(Protocol):
    """The store that batches are committed to."""

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Make a batch durable, all or nothing."""


class GroupCommit:
    """The single thread that stores webhooks. `wake` is called after each commit that queued something."""

    def __init__(
        self,
        store: Store,
        *,
        wake: Callable[[], object] = lambda: None,
        most_alerts: int = 2000,
        most_waiting: int = 1000,
    ) -> None:
        self._store, self._wake, self._most_alerts = store, wake, most_alerts
        self._waiting: queue.Queue[_Pending | None] = queue.Queue(most_waiting)
        self._adding = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="commits", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def accept(self, notification: Notification, now: float) -> Outcome:
        """Return once the notification is durable. Raises Unavailable if it cannot be; then nothing of it is kept."""
        settled: Future[Outcome] = Future()
        with self._adding:
            if self._stopping:
                raise Unavailable("shutting down")
            try:
                self._waiting.put_nowait((notification, now, settled))
            except queue.Full:
                raise Unavailable("too many webhooks are waiting for the database") from None
        return settled.result()

    def stop(self) -> None:
        """Accept no more, commit what is waiting, and stop."""
        with self._adding:
            stopped, self._stopping = self._stopping, True
        if stopped:
            return
        if self._thread.ident is None:
            self._turn_away()
        else:
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        try:
            going = True
            while going:
                batch, going = self._collect()
                self._commit(batch)
        finally:
            self._turn_away()

    def _collect(self) -> tuple[list[_Pending], bool]:
        """Wait for a notification, then take the others waiting, within bounds; return them and whether to go on."""
        batch: list[_Pending] = []
        alerts, found = 0, self._waiting.get()
        while found is not None:
            batch.append(found)
            alerts += len(found[0].alerts)
            if alerts >= self._most_alerts:
                break
            try:
                found = self._waiting.get_nowait()
            except queue.Empty:
                break
        return batch, found is not None

    def _commit(self, batch: list[_Pending]) -> None:
        if not batch:
            return
        try:
            outcomes = self._store.accept(
                [notification for notification, _, _ in batch], max(now for _, now, _ in batch)
            )
        except Unavailable as error:
            for _, _, settled in batch:
                settled.set_exception(Unavailable(str(error)))
        except BaseException as error:  # noqa: BLE001  whatever it is, the thread goes on and the senders are answered
            self._separately(batch, error)
        else:
            for (_, _, settled), outcome in zip(batch, outcomes, strict=True):
                settled.set_result(outcome)
            if any(outcome.queued for outcome in outcomes):
                self._wake()

    def _separately(self, batch: list[_Pending], error: BaseException) -> None:
        """Commit each separately, so that only those that cannot be written fail."""
        if len(batch) > 1:
            for one in batch:
                self._commit([one])
            return
        notification, _, settled = batch[0]
        _log.error(
            "Webhook for %s/%s cannot be stored: %s", notification.receiver, notification.source, type(error).__name__
        )
        settled.set_exception(Unavailable("this webhook cannot be stored"))

    def _turn_away(self) -> None:
        """Fail all waiting notifications if the thread has ended, or was never started."""
        with self._adding:
            self._stopping = True
            while not self._waiting.empty():
                if found := self._waiting.get():
                    found[2].set_exception(Unavailable("shutting down"))
