"""`POST /data/v2/alerts`: one alert or a batch of them."""

from typing import Any

from tests.sandbox.bigpanda.replies import done, refused
from tests.sandbox.bigpanda.state import BigPandaState
from tests.sandbox.bigpanda.validation import errors_of
from tests.sandbox.exchange import Reply, Request, Routes
from tests.sandbox.settings import BigPanda as BigPandaSettings


class AlertsApi:
    """201 taken, 204 nothing in it was new, 400 with each alert's errors."""

    def __init__(self, state: BigPandaState, settings: BigPandaSettings) -> None:
        self._state, self._settings = state, settings

    def join(self, routes: Routes) -> None:
        """Add the one route."""
        routes.add("POST", "/data/v2/alerts", self._take)

    def _take(self, request: Request) -> Reply:
        if len(request.body) > self._settings.max_body_bytes:
            return refused(self._settings.too_large_status, "payload too large")
        if not request.headers.get("content-type", "").startswith("application/json"):
            return refused(400, "Content-Type must be application/json")
        try:
            content = request.json()
        except ValueError:
            return refused(400, "payload is not valid JSON")
        return self._take_content(content) if isinstance(content, dict) else refused(400, "payload must be an object")

    def _take_content(self, content: dict[str, Any]) -> Reply:
        app_key = content.pop("app_key", None)
        if not isinstance(app_key, str) or not app_key:
            return refused(400, "'app_key' must exist")
        if self._settings.app_keys and app_key not in self._settings.app_keys:
            return refused(400, "'app_key' is not known")
        alerts = content.get("alerts", [content])
        if not isinstance(alerts, list) or not alerts:
            return refused(400, "'alerts' must be an array of alerts")
        return self._take_alerts(app_key, alerts)

    def _take_alerts(self, app_key: str, alerts: list[Any]) -> Reply:
        problems = [errors_of(alert, place) for place, alert in enumerate(alerts, 1)]
        sound = [alert for alert, errors in zip(alerts, problems, strict=True) if not errors]
        errors = [error for of_alert in problems for error in of_alert]
        for alert, of_alert in zip(alerts, problems, strict=True):
            if of_alert:
                self._state.log(app_key, of_alert[0], alert)
        if errors and (self._settings.bad_item_spoils_batch or not sound):
            return refused(400, *errors)
        with self._state.lock:
            fresh = self._state.intake.take(app_key, sound)
        return Reply(201, b'"Created"', {"Content-Type": "application/json"}) if fresh else done()
