"""Group commit: webhooks that arrive while the disk is busy are committed together in one transaction.

Of the threads that serve webhooks, the one that finds nobody writing commits for all that wait. So one disk flush
serves them all, and a sender is answered only once its webhook is durable.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable

_log = logging.getLogger(__name__)
_Pending = tuple[Notification, float, Future[Outcome]]


class GroupCommit:
    """Stores webhooks by `store`, which makes a batch durable, all or nothing. `wake` is called when one was queued."""

    def __init__(
        self,
        store: Callable[[Sequence[Notification], float], list[Outcome]],
        *,
        wake: Callable[[], object] = lambda: None,
        most_alerts: int = 2000,
    ) -> None:
        self._store, self._wake, self._most_alerts = store, wake, most_alerts
        self._waiting: deque[_Pending] = deque()
        self._written = threading.Condition()
        self._writing = self._stopping = False

    def accept(self, notification: Notification, now: float) -> Outcome:
        """Return once the notification is durable. Raises Unavailable if it cannot be; then nothing of it is kept."""
        if self._stopping:
            raise Unavailable("shutting down")
        settled: Future[Outcome] = Future()
        self._waiting.append((notification, now, settled))
        while True:
            # Not a lock held while writing: whoever is settled would wait for it behind those who arrive later.
            with self._written:
                self._written.wait_for(lambda: settled.done() or not self._writing)
                if settled.done():
                    break
                self._writing = True
            try:
                self._commit(self._collect())
            finally:
                with self._written:
                    self._writing = False
                    self._written.notify_all()
        outcome = settled.result()
        if outcome.queued:
            self._wake()
        return outcome

    def stop(self, patience: float) -> None:
        """Accept no more, and wait up to `patience` seconds for what is being written."""
        self._stopping = True
        with self._written:
            self._written.wait_for(lambda: not self._writing and not self._waiting, patience)

    def _collect(self) -> list[_Pending]:
        """Take what waits, the oldest first, within the bound of a transaction."""
        batch: list[_Pending] = []
        alerts = 0
        while self._waiting and (not batch or alerts < self._most_alerts):
            batch.append(self._waiting.popleft())
            alerts += len(batch[-1][0].alerts)
        return batch

    def _commit(self, batch: list[_Pending]) -> None:
        try:
            outcomes = self._store([one for one, _, _ in batch], max(now for _, now, _ in batch))
        except Unavailable as error:
            for _, _, settled in batch:
                settled.set_exception(Unavailable(str(error)))
        except BaseException as error:  # noqa: BLE001  whatever it is, every sender is answered
            if len(batch) > 1:
                # Commit each separately, so that only those that cannot be written fail.
                for one in batch:
                    self._commit([one])
                return
            [(notification, _, settled)] = batch
            where, kind = f"{notification.receiver}/{notification.source}", type(error).__name__
            _log.error("Webhook for %s cannot be stored: %s", where, kind)
            settled.set_exception(Unavailable("this webhook cannot be stored"))
        else:
            for (_, _, settled), outcome in zip(batch, outcomes, strict=True):
                settled.set_result(outcome)
