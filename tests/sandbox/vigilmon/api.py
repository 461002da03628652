"""Vigilmon's REST API v1. Error bodies, `?page=` and the rate headers are not documented: Laravel's habits."""

from collections.abc import Callable
from typing import Any

from tests.sandbox.exchange import Reply, Request, Routes, answer
from tests.sandbox.limits import Limits
from tests.sandbox.moments import offset
from tests.sandbox.settings import Vigilmon as VigilmonSettings
from tests.sandbox.vigilmon.state import Incident, Monitor, VigilmonState

MONITORS_PER_PAGE = 20
INCIDENTS_PER_PAGE = 30


class VigilmonApi:
    """Bearer token, so many requests a minute, lists in pages."""

    base_path = "/vigilmon/api/v1"

    def __init__(
        self, state: VigilmonState, settings: VigilmonSettings, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._state, self._settings, self._limits, self._clock = state, settings, limits, clock
        self._routes = Routes()
        self._routes.add("GET", "/api/v1/monitors", self._monitors)
        self._routes.add("GET", "/api/v1/monitors/{id}", self._monitor)
        self._routes.add("GET", "/api/v1/monitors/{id}/incidents", self._incidents)

    def template(self, path: str) -> str:
        """Give the path with its ids left out."""
        return self._routes.template(path)

    def unauthorized(self) -> Reply:
        """Give the refusal of a token."""
        return answer(401, {"message": "Unauthenticated."})

    def answer(self, request: Request) -> Reply:
        """Token, limit, route."""
        if request.bearer != self._settings.token:
            return self.unauthorized()
        now = self._clock()
        limit = self._limits.take("vigilmon", now, self._settings.per_minute, kind=self._settings.window)
        if not limit.allowed:
            refusal = answer(429, {"message": "Too Many Attempts."})
            wait = {"Retry-After": str(max(1, round(limit.reset - now)))}
            return refusal.adding(wait) if self._settings.send_retry_after else refusal
        found = self._routes.find(request)
        if isinstance(found, int):
            return answer(found, {"message": "Not Found." if found == 404 else "Method Not Allowed."})
        with self._state.lock:
            return found()

    def _monitors(self, request: Request) -> Reply:
        mine = [monitor for monitor in self._state.monitors.values() if not monitor.theirs]
        return _page(request, mine, MONITORS_PER_PAGE, self._listed)

    def _monitor(self, _request: Request, id: str) -> Reply:  # noqa: A002  the path's name for it
        monitor = self._find(id)
        if isinstance(monitor, Reply):
            return monitor
        said = {"id": monitor.id, "name": monitor.name, "url": monitor.url, "current_status": monitor.current_status}
        return answer(200, {"data": {**said, "uptime": monitor.uptime}})

    def _incidents(self, request: Request, id: str) -> Reply:  # noqa: A002  the path's name for it
        monitor = self._find(id)
        if isinstance(monitor, Reply):
            return monitor
        of_monitor = [i for i in self._state.incidents if i.monitor_id == monitor.id]
        newest_first = sorted(of_monitor, key=lambda i: (i.started_at, i.id), reverse=True)
        return _page(request, newest_first, INCIDENTS_PER_PAGE, _incident)

    def _find(self, text: str) -> Monitor | Reply:
        monitor = self._state.monitors.get(int(text)) if text.isdecimal() else None
        if monitor is None:
            return answer(404, {"message": "Not Found."})
        return answer(403, {"message": "This action is unauthorized."}) if monitor.theirs else monitor

    def _listed(self, monitor: Monitor) -> dict[str, Any]:
        interval = monitor.check_interval_seconds
        last = (self._clock() if monitor.paused_at is None else monitor.paused_at) // interval * interval
        checked = monitor.current_status not in (None, "pending")
        return {
            "id": monitor.id,
            "name": monitor.name,
            "url": monitor.url,
            "method": monitor.method,
            "check_interval_seconds": interval,
            "is_active": monitor.is_active,
            "current_status": monitor.current_status,
            "last_checked_at": offset(last) if checked else None,
        }


def _page(request: Request, whole: list[Any], size: int, show: Callable[[Any], dict[str, Any]]) -> Reply:
    text = request.query.get("page", "1")
    if not text.isdecimal() or int(text) < 1:
        said = "The page field must be at least 1."
        return answer(422, {"message": said, "errors": {"page": [said]}})
    page = int(text)
    shown = [show(item) for item in whole[(page - 1) * size : page * size]]
    return answer(200, {"data": shown, "meta": {"current_page": page, "total": len(whole)}})


def _incident(incident: Incident) -> dict[str, Any]:
    ended = incident.resolved_at
    return {
        "id": incident.id,
        "started_at": offset(incident.started_at),
        "resolved_at": None if ended is None else offset(ended),
        "duration_seconds": None if ended is None else int(ended - incident.started_at),
        "cause": incident.cause,
        "confirmed_regions": incident.confirmed_regions,
        "status": "ongoing" if ended is None else "resolved",
    }
