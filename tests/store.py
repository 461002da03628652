"""The bridge's store for tests: one database, opened, and every repository of it."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url, update

from bridge.domain.alert import UnreadableAlert
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.outbox.database import Database
from bridge.outbox.outbox import Outbox
from bridge.outbox.schema import identity, metadata, versions


@cache
def empty():
    """Return the file of an empty database: most of the time of opening one goes into creating its tables."""
    with TemporaryDirectory() as folder:
        Database(f"sqlite:///{folder}/empty.db").close()
        return Path(folder, "empty.db").read_bytes()


class Store(Outbox):
    """The outbox in the database at `url`."""

    def __init__(self, url):
        file = Path(make_url(url).database)
        if url.startswith("sqlite:") and not file.exists():
            file.write_bytes(empty())
        super().__init__(Database(url))

    def state(self, key):
        """Return the state of one alert, None when it is not known."""
        return self.alerts.states([key]).get(key)

    def set_aside(self, receiver, source, reason, body, now):
        """Put a body into quarantine."""
        mapping = EventMapping(app_key="", statuses={}, primary_property=())
        unreadable = [UnreadableAlert(reason, body)]
        body = Notification(receiver=receiver, source=source, mapping=mapping, unreadable=unreadable)
        self.ingest.accept([body], now)

    def restart(self):
        """Forget what is known only to the process, as a restart does, but keep the connections."""
        super().__init__(self.database)

    def clear(self):
        """Delete everything: opening a new database, and compiling every statement for it, takes much longer."""
        with self.database.write() as connection:
            for table in metadata.sorted_tables:
                if table not in (versions, identity):
                    connection.execute(table.delete())

    def close(self):
        self.database.close()


def touch(connection):
    """Write a value that differs, and the former one again."""
    for change in (1, -1):
        connection.execute(update(versions).values(version=versions.c.version + change))
