"""Leader election among the exporters that share a database: the one that holds an advisory lock polls.

Three rules keep two from polling at once:

- A leader trusts its lock for `LEASE` seconds after PostgreSQL confirmed it, and stops at once if the connection that
  holds the lock breaks. So it stops while PostgreSQL is unreachable, because another exporter might reach it.
- A new leader waits for longer than that lease before it polls.
- A new leader begins a new term, and a snapshot is written only in the writer's own term, so that a former leader
  never overwrites the current leader's data.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from exporter.metrics.exporter_metrics import Role
from exporter.polling.postgresql import AWAY, LEASE, Database, word
from exporter.toolkit.config_types import Secret
from exporter.toolkit.periodic import PeriodicThread

LOOK_EVERY: Final = 1.0
"""Seconds between two checks of the lock and of the stored snapshots."""
PATIENCE: Final = 2
"""Timeout of one check in seconds: less than a lease."""
TAKEOVER: Final = LEASE + 0.5
"""Seconds until a new leader polls: by then the former leader's lease has run out."""
UNAVAILABLE: Final = "PostgreSQL unavailable ({}): serving the last known data, not polling"
_HELD: Final = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid())"
_log = logging.getLogger(__name__)


class Leadership:
    """Whether this exporter leads those that share a database. All methods are safe from any thread."""

    def __init__(self, url: Secret, shard: str) -> None:
        """Take the URL of a database, not yet connected. Raises ConfigError if it is invalid."""
        self.database = Database(url, shard)
        self._connection: psycopg.Connection[Any] | None = None
        self._role: Role = "unavailable"
        self._until = 0.0
        """Until when the role holds, by the monotonic clock."""
        self._leads_from = 0.0
        self._logged = ""
        self._thread: PeriodicThread | None = None

    def leads(self) -> bool:
        """Return whether this exporter polls."""
        return self.role() == "leading"

    def role(self) -> Role:
        """Return this exporter's role."""
        until = self._until
        if time.monotonic() < until:
            return self._role
        if until:  # a check that hangs cannot tell
            self._log_change(logging.WARNING, UNAVAILABLE.format("no answer"), "away")
        return "unavailable"

    def start(self, on_change: Callable[[], None]) -> None:
        """Check the lock now and every second; call `on_change` when this exporter starts or stops leading later."""

        def tick() -> float:
            led = self.leads()
            self._beat()
            if led != self.leads():
                on_change()
            return LOOK_EVERY

        self._beat()
        self._thread = PeriodicThread("leadership", "Checking who leads", tick)
        self._thread.start()

    def stop(self) -> None:
        """Stop leading, and let another exporter lead."""
        if self._thread:
            self._thread.stop(LEASE)
        self._until = 0.0
        if self._connection:
            self._connection.close()  # releases the lock
        self.database.close()

    def _beat(self) -> None:
        """Confirm or try to take the lock, and check the stored snapshots. On any failure the lock counts as lost."""
        checked = time.monotonic()
        try:
            if self._connection is None:
                self._connection = self.database.connect(PATIENCE)
                self.database.prepare(self._connection)
            if self.database.term is None:
                term = self.database.lead(self._connection)
                # Before the first term there was no leader to wait for.
                self._leads_from = 0.0 if term == 1 else time.monotonic() + TAKEOVER
                self.database.term = term
            elif not self._connection.execute(_HELD).fetchone():
                raise ValueError("the lock is gone: connect without a pooler")  # noqa: TRY301  lost like in any other way
            elif not self.database.accepts(self._connection):
                raise ValueError("the term is over, as after a restore")  # noqa: TRY301  see above
            self.database.look(self._connection)
        except (psycopg.Error, OSError, ValueError) as error:
            self._lose(word(error))
            return
        has_lock = self.database.term is not None
        self._role = "leading" if has_lock and checked >= self._leads_from else "following"
        self._until = checked + LEASE
        if self.role() == "unavailable":
            return  # the reply came too late: the next one says who leads
        if self._role == "leading":
            self._log_change(logging.INFO, "leading: polling, and storing snapshots in PostgreSQL for others")
        elif has_lock:
            self._log_change(logging.INFO, "taking over: the previous leader has stopped, or cannot reach PostgreSQL")
        else:
            self._log_change(logging.INFO, "following: serving the snapshots that the leader stores in PostgreSQL")

    def _lose(self, why: str) -> None:
        self._until = 0.0
        self.database.term = None
        if self._connection:
            self._connection.close()
            self._connection = None
        self._log_change(logging.WARNING, UNAVAILABLE.format(why), "away" if why in AWAY else why)

    def _log_change(self, level: int, message: str, state: str = "") -> None:
        """Log the message, once for as long as the state is the same."""
        before, self._logged = self._logged, state or message
        if self._logged != before:
            _log.log(level, "%s", message)
