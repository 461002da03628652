"""Group commit: webhooks that arrive while the disk is busy are committed together in one transaction.

So one disk flush serves them all, and a sender is answered only once its webhook is durable. No thread waits for that.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable
from exporter.toolkit.periodic import PeriodicThread

MOST_ALERTS: Final = 2000
_log = logging.getLogger(__name__)
_Pending = tuple[Notification, float, Future[Outcome]]


class GroupCommit(PeriodicThread):
    """Stores webhooks by `store`, which makes a batch durable, all or nothing: of `MOST_ALERTS`, or one larger one."""

    def __init__(self, store: Callable[[Sequence[Notification], float], list[Outcome]]) -> None:
        super().__init__("commit", "Storing webhooks", self._commit_waiting, at_end=self._commit_waiting)
        self._store = store
        self._waiting: deque[_Pending] = deque()

    def submit(self, notification: Notification, now: float) -> Future[Outcome]:
        """Return a future that is done once the notification is durable.

        Its exception is Unavailable if that is impossible; then nothing of it is kept.
        """
        settled: Future[Outcome] = Future()
        settled.set_running_or_notify_cancel()  # the others of its batch must not fail because its sender is gone
        if self.stopping:
            settled.set_exception(Unavailable("shutting down"))
        else:
            self._waiting.append((notification, now, settled))
            self.wake()
        return settled

    def _commit_waiting(self) -> None:
        while self._waiting:
            batch: list[_Pending] = []
            alerts = 0
            while self._waiting and (not batch or alerts < MOST_ALERTS):
                batch.append(self._waiting.popleft())
                alerts += len(batch[-1][0].alerts)
            self._commit(batch)

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
