"""Which of the exporters that share a database polls: the one that holds an advisory lock in it.

Three things keep two from polling:

- A leader believes in its lock for `LEASE` seconds after PostgreSQL confirmed it, and stops at once when the connection
  that holds it breaks. So it stops while PostgreSQL cannot be reached: it cannot know who else can.
- Who takes the lock after another waits for longer than that lease before it polls.
- Who takes the lock begins a new term, and a snapshot is written only in the writer's own term: nobody who led before
  overwrites what the leader knows.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from exporter.polling.postgresql import AWAY, LEASE, Database, one, word

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the lock, and at what was written."""
PATIENCE: Final = 2
"""Seconds for one look: less than a lease."""
TAKEOVER: Final = LEASE + 0.5
"""Seconds until who took the lock polls: by then the lease of who had it has run out, whatever it knows."""
_HELD: Final = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid())"
_log = logging.getLogger(__name__)


class Leadership:
    """Whether this exporter leads, of those that share a database. All methods are safe from any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: psycopg.Connection[Any] | None = None
        self._leads_from = 0.0
        self._leads_until = self._reached_until = 0.0
        self._told = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._beat()

    def leads(self) -> bool:
        """Tell whether this exporter polls."""
        return time.monotonic() < self._leads_until

    def reached(self) -> bool:
        """Tell whether PostgreSQL answers."""
        return time.monotonic() < self._reached_until

    def start(self, on_change: Callable[[], None]) -> None:
        """Look at the lock every second, and call `on_change` when this exporter begins or ends to lead."""

        def run() -> None:
            while not self._stopping.wait(LOOK_EVERY):
                led = self.leads()
                self._beat()
                if led != self.leads():
                    on_change()

        self._thread = threading.Thread(target=run, name="leadership", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End leading, and let another lead."""
        self._stopping.set()
        if self._thread:
            self._thread.join(LEASE)
        self._leads_until = 0.0
        if self._connection:
            self._connection.close()  # the lock goes with it
        self.database.close()

    def _beat(self) -> None:
        """Confirm the lock or try for it, and look at what was written. Whatever fails: the lock counts as lost."""
        asked = time.monotonic()
        try:
            if self._connection is None:
                self._connection = self.database.connect(PATIENCE)
                self.database.prepare(self._connection)
            if self.database.term is None:
                term = self.database.lead(self._connection)
                # Nobody led before the first term.
                self._leads_from = 0.0 if term == 1 else time.monotonic() + TAKEOVER
                self.database.term = term
            elif not one(self._connection.execute(_HELD)):
                raise ValueError("the lock is gone: connect without a pooler")  # noqa: TRY301  lost like any other way
            self.database.look(self._connection)
        except (psycopg.Error, OSError, ValueError) as error:
            self._lose(word(error))
            return
        self._reached_until = asked + LEASE
        if self.database.term is not None and asked >= self._leads_from:
            self._leads_until = asked + LEASE
        if self.leads():
            self._tell(logging.INFO, "leading: polls, and stores in PostgreSQL for others")
        elif self.database.term is not None:
            self._tell(logging.INFO, "taking over: the exporter that led has ended, or cannot reach PostgreSQL")
        else:
            self._tell(logging.INFO, "following: serves what another exporter stores in PostgreSQL")

    def _lose(self, why: str) -> None:
        self._leads_until = self._reached_until = 0.0
        self.database.term = None
        if self._connection:
            self._connection.close()
            self._connection = None
        told = f"PostgreSQL is not usable ({why}): serving what is known, polling nothing until it is"
        self._tell(logging.WARNING, told, "away" if why in AWAY else why)

    def _tell(self, level: int, what: str, state: str = "") -> None:
        """Log it, once for as long as the state is the same."""
        if (state or what) != self._told:
            _log.log(level, "%s", what)
        self._told = state or what
