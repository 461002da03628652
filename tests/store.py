"""The bridge's store for tests: one database, opened, and every repository of it."""

from bridge.domain.alert import UnreadableAlert
from bridge.domain.event import EventMapping
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


class Store:
    """Every repository of the database at `url`."""

    def __init__(self, url):
        self.database = Database(url)
        self.alerts, self.events, self.ingest = Alerts(self.database), EventLog(self.database), Ingest(self.database)
        self.queue, self.dead_letters = Queue(self.database), DeadLetters(self.database)
        self.quarantine, self.retention = Quarantine(self.database), Retention(self.database)
        self.incidents, self.status = Incidents(self.database), OutboxStatus(self.database)

    def state(self, key):
        """Return the state of one alert, None when it is not known."""
        return self.alerts.states([key]).get(key)

    def set_aside(self, receiver, source, reason, body, now):
        """Put a body into quarantine."""
        mapping = EventMapping(app_key="", statuses={}, primary_property=())
        unreadable = [UnreadableAlert(reason, body)]
        self.ingest.accept_one(
            Notification(receiver=receiver, source=source, mapping=mapping, unreadable=unreadable), now
        )

    def close(self):
        self.database.close()
