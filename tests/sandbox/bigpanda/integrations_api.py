"""The listing of an integration's processed alerts, and the diagnostics."""

from typing import Any

from tests.sandbox.bigpanda.replies import refused
from tests.sandbox.bigpanda.state import BigPandaState
from tests.sandbox.exchange import Reply, Request, Routes, answer
from tests.sandbox.settings import BigPanda as BigPandaSettings

_MOST = 100


class IntegrationsApi:
    """Both take a user's API key; the newest of both comes first."""

    def __init__(self, state: BigPandaState, settings: BigPandaSettings) -> None:
        self._state, self._settings = state, settings

    def join(self, routes: Routes) -> None:
        """Add both routes."""
        routes.add("GET", "/resources/v2.1/integration-alerts", self._alerts)
        routes.add("GET", "/resources/v2.0/troubleshooting/logs", self._logs)

    def _alerts(self, request: Request) -> Reply:
        if not self._settings.shows_integration_alerts:
            return refused(403, "forbidden")
        app_key, since = request.query.get("app_key"), float(request.query.get("since", "0"))
        if not app_key:
            return refused(400, "'app_key' must exist")
        with self._state.lock:
            taken = [
                {
                    "id": str(event.number),
                    "received": int(event.received_at),
                    "payload": {"app_key": app_key, **event.alert},
                }
                for event in reversed(self._state.intake.events)
                if event.app_key == app_key and event.received_at >= since
            ]
        return answer(200, {"alerts": _page(request, taken, "limit"), "total": len(taken)})

    def _logs(self, request: Request) -> Reply:
        if not self._settings.shows_integration_alerts:
            return refused(403, "forbidden")
        start = float(request.query.get("start", "0"))
        with self._state.lock:
            found = [
                entry
                for entry in reversed(self._state.logs)
                if entry["timestamp"] >= start * 1000
                and all(request.query.get(name, entry[name]) == entry[name] for name in ("level", "resource_id"))
            ]
        return answer(200, {"logs": _page(request, found, "per_page"), "total": len(found)})


def _page(request: Request, found: list[Any], size_name: str) -> list[Any]:
    size = min(_MOST, int(request.query.get(size_name, _MOST)))
    page = int(request.query.get("page", "1"))
    return found[(page - 1) * size : page * size]
