"""The outbox: every repository of one database, created once for all who use them."""

from collections.abc import Callable

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


class Outbox:
    """The repositories of `database`. `wake` starts delivery; ingest calls it whenever it has queued an event."""

    def __init__(self, database: Database, wake: Callable[[], object] = lambda: None) -> None:
        self.database, self.wake = database, wake
        self.alerts, self.events, self.incidents = Alerts(database), EventLog(database), Incidents(database)
        self.ingest, self.queue, self.retention = Ingest(database, wake), Queue(database), Retention(database)
        self.dead_letters, self.quarantine = DeadLetters(database), Quarantine(database)
        self.status = OutboxStatus(database)
