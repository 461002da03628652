"""People's actions in BigPanda: snooze, resolve, share, assign, comment."""

import itertools
from collections.abc import Callable
from typing import Any

from tests.sandbox.bigpanda.intake import Intake
from tests.sandbox.bigpanda.outbound import Outbound
from tests.sandbox.bigpanda.records import Environment, Incident
from tests.sandbox.settings import BigPanda as BigPandaSettings


class AlreadyResolved(Exception):
    """There is nothing left to resolve."""


class BigPandaState:
    """Thread-safe. `by` is "ui" for a person's action, else the API. LookupError for an unknown incident."""

    def __init__(self, clock: Callable[[], float], settings: BigPandaSettings, post: Callable[..., object]) -> None:
        self._clock, self._settings = clock, settings
        self.outbound = Outbound(clock, settings, post)
        self.intake = Intake(clock, settings, self._incident_changed, self.log)
        self.lock = self.intake.lock
        self.environments: dict[str, Environment] = {}
        self.plans: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self._log_ids = itertools.count(1)
        self.add_environment("All incidents", id="all")

    @property
    def incidents(self) -> dict[str, Incident]:
        """Every incident by id, in the order in which they began."""
        return self.intake.incidents

    def clear(self) -> None:
        """No events, no incidents, one environment, no webhook."""
        with self.lock:
            self.intake.clear()
            self.logs.clear()
            self.environments.clear()
            self.plans.clear()
            self.outbound.clear()
            self.add_environment("All incidents", id="all")

    def add_environment(self, name: str, id: str = "", tag: str = "", value: str = "") -> str:  # noqa: A002  as above
        """Add a view on incidents by a tag's value; its id."""
        with self.lock:
            number = id or f"env{len(self.environments) + 1}"
            self.environments[number] = Environment(number, name, tag, value)
            return number

    def add_plan(self, name: str, starts_in: float = 0, length: float = 3600) -> str:
        """Plan maintenance that begins in so many seconds (negative: it runs already); its id."""
        with self.lock:
            start = int(self._clock() + starts_in)
            self.plans.append({"id": f"plan{len(self.plans) + 1}", "name": name, "start": start, "end": start + length})
            return str(self.plans[-1]["id"])

    def send_event(self, app_key: str = "by-hand", **alert: Any) -> int:
        """Take an event as if it had been POSTed; how many were fresh."""
        with self.lock:
            return self.intake.take(app_key, [alert])

    def resolve(self, incident: str, comments: str = "", by: str = "ui") -> None:
        """Resolve by hand. A new non-ok event whose status differs, or that is newer, opens it again."""
        with self.lock:
            found, now = self.incidents[incident], self._clock()
            if not found.active:
                raise AlreadyResolved(incident)
            found.resolved_by_hand, found.ended = True, now
            found.changed = found.updated = now
            found.note("resolved_api" if by == "api" else "resolved_ui_manually", now, by=by, comments=comments)
            self._incident_changed(found, "incident#closed")

    def snooze(
        self,
        incident: str,
        seconds: float | None = None,
        end_time: float | None = None,
        *,
        cancel_on_incident_updates: bool = False,
        by: str = "ui",
    ) -> None:
        """Snooze for `seconds` (an hour unless given) or until epoch second `end_time`."""
        with self.lock:
            found, now = self.incidents[incident], self._clock()
            found.snoozed_until = end_time if end_time is not None else now + (seconds or 3600)
            found.cancel_snooze_on_updates = cancel_on_incident_updates
            found.changed = found.updated = now
            found.note("snoozed", now, by=by, end_time=int(found.snoozed_until))
            self._incident_changed(found, "incident#snoozed")

    def unsnooze(self, incident: str, by: str = "ui") -> None:
        """End a snooze early."""
        with self.lock:
            found, now = self.incidents[incident], self._clock()
            found.snoozed_until = None
            found.changed = found.updated = now
            found.note("unsnoozed", now, by=by)
            self._incident_changed(found, "incident#updated")

    def share(self, incident: str, by: str = "ui") -> None:
        """Share with the outbound integration: from now on every change is POSTed to it."""
        with self.lock:
            found, now = self.incidents[incident], self._clock()
            found.shared = True
            found.changed = found.updated = now
            found.note("shared", now, by=by)
            self.outbound.send(found, "incident#new")

    def comment(self, incident: str, comment: str, by: str = "ui") -> None:
        """Add a comment."""
        with self.lock:
            found, now = self.incidents[incident], self._clock()
            found.comments.append(comment)
            found.updated = now
            found.note("commented", now, by=by, comment=comment)
            self._incident_changed(found, "incident#commented")

    def change(self, incident: str, **members: Any) -> None:
        """Set `maintenance`, `flapping`, `assignee` or `shared` without telling anyone."""
        with self.lock:
            found = self.incidents[incident]
            for name, value in members.items():
                if name not in ("maintenance", "flapping", "assignee", "shared"):
                    raise TypeError(f"{name} cannot be set")
                setattr(found, name, value)
            found.updated = self._clock()

    def merge(self, target: str, sources: list[str]) -> None:
        """Move the alerts of `sources` into `target`."""
        with self.lock:
            for source in sources:
                self.intake.join(self.incidents[target], self.incidents[source], self._clock())

    def log(self, app_key: str, message: str, payload: Any) -> None:
        """Add the entry of a rejected alert to `troubleshooting/logs`."""
        with self.lock:
            entry = {"log_id": str(next(self._log_ids)), "log_type": "invalid_payload", "level": "error"}
            entry |= {"message": message, "component_name": "inbound", "resource_id": f"api.{app_key}"}
            self.logs.append({**entry, "payload": payload, "timestamp": int(self._clock() * 1000)})

    def _incident_changed(self, incident: Incident, event: str) -> None:
        if event == "incident#new" and self._settings.share_automatically:
            incident.shared = True
        if incident.shared:
            self.outbound.send(incident, event)
