"""The outbox: every repository of one database, created once for all who use them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetters
from bridge.outbox.event_log import EventLog
from bridge.outbox.incidents import Incidents
from bridge.outbox.ingest import Ingest
from bridge.outbox.quarantine import Quarantine
from bridge.outbox.queue import Queue
from bridge.outbox.retention import Retention
from bridge.outbox.status import OutboxStatus

_TOGETHER: Final = 500
"""Corrections in one transaction. With one each, 100,000 kept webhooks waiting until the database was busy."""


class Outbox:
    """The repositories of `database`. `wake` starts delivery; ingest calls it whenever it has queued an event."""

    def __init__(self, database: Database, wake: Callable[[], object] = lambda: None) -> None:
        self.database, self.wake = database, wake
        self.alerts, self.events, self.incidents = Alerts(database), EventLog(database), Incidents(database)
        self.ingest, self.queue, self.retention = Ingest(database, wake), Queue(database), Retention(database)
        self.dead_letters, self.quarantine = DeadLetters(database), Quarantine(database)
        self.status = OutboxStatus(database)

    def correct(self, corrections: Iterable[Notification], now: float) -> Iterator[Alert]:
        """Ingest corrections of one alert each, as they are consumed; yield the alerts that had an event queued."""
        waiting = iter(corrections)
        while batch := list(islice(waiting, _TOGETHER)):
            outcomes = self.ingest.accept(batch, now)
            yield from (one.alerts[0] for one, outcome in zip(batch, outcomes, strict=True) if outcome.queued)
