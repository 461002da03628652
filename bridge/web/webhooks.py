"""`POST /webhooks/<receiver>/<source>`: 200 only after everything in the body is durable.

Alertmanager retries only after a 5xx; after a 4xx it gives up until the group's next interval. So any temporary failure
is a 503, never 429 or 500, and 400 is only for a body that can never be read, which is quarantined.
The front has already rejected unauthorized and oversized requests.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final

from flask import Blueprint, Response, request

from bridge.domain.alert import UnreadableAlert
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable, Unreadable
from bridge.metrics import Metrics
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings
from bridge.web.application import plain
from bridge.web.current import Current
from bridge.web.webhook_body import parsed, readable
from exporter.toolkit.periodic import CLOCK, Clock
from exporter.toolkit.text import counted
from exporter.toolkit.wsgi import LATER

_KEPT: Final = 1_000_000
"""Most bytes kept of an unreadable body."""
_log = logging.getLogger(__name__)
Form = Callable[[int, str], Response]
"""Makes the response of a message and a status: 201 if accepted, 204 if it was a duplicate, an error."""


class HttpError(Exception):
    """A rejected webhook: the status, the metric's outcome, and the message."""

    def __init__(self, status: int, outcome: str, message: str) -> None:
        super().__init__(message)
        self.status, self.outcome = status, outcome


class Webhooks:
    """The receiver routes. Anything a reload may change is read at each request."""

    def __init__(
        self,
        current: Callable[[], Current],
        submit: Callable[[Notification, float], Future[Outcome]],
        metrics: Metrics,
        *,
        clock: Clock = CLOCK,
    ) -> None:
        """`submit` returns a future that is done once a notification is durable."""
        self._current, self._submit, self._metrics, self._clock = current, submit, metrics, clock

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        webhooks = Blueprint("webhooks", __name__)
        as_text: Form = lambda status, message: plain(200 if status in {201, 204} else status, message)  # noqa: E731
        for path, given in (
            ("<receiver>/<source>", {"form": as_text}),
            ("alerts_api/<source>/data/v2/alerts", {"receiver": "alerts_api", "form": _as_alerts_api}),
        ):
            webhooks.add_url_rule(f"/webhooks/{path}", path, self.webhook, methods=["POST"], defaults=given)
        webhooks.register_error_handler(Exception, lambda error: self._failed(error, **(request.view_args or {})))
        return webhooks

    def webhook(self, receiver: str, source: str, form: Form) -> Response:
        """Accept one webhook."""
        settings, now = self._current().config.by_source.get((receiver, source)), self._clock.wall()
        if settings is None:
            raise HttpError(404, "not_found", "no such receiver")
        notification, problem = self._read(settings, now)
        settled = self._submit(notification, now)
        if not problem:
            settled.add_done_callback(partial(self._follow_up, notification, now))

        def response() -> Response:
            try:
                outcome = settled.result()
            except Unavailable as error:
                return self._failed(error, receiver, source, form)
            if problem:
                _log.warning("Quarantined unreadable webhook for %s/%s: %s", receiver, source, problem)
                return self._failed(HttpError(400, "unreadable", problem), receiver, source, form)
            self._metrics.ingested(notification, outcome)
            if odd := notification.unreadable:
                what = "Quarantined %s of a webhook for %s/%s: %s"
                _log.warning(what, counted(len(odd), "unreadable alert"), receiver, source, odd[0].reason)
            return form(204 if outcome.duplicates == len(notification.alerts) else 201, "accepted")

        if later := request.environ.get(LATER):
            later(settled, response)
            return plain(202, "not durable yet")
        return response()

    def _read(self, settings: ReceiverSettings, now: float) -> tuple[Notification, str]:
        """Return what a body says, and why it is unreadable, if it is. Raises HttpError."""
        if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
            raise HttpError(415, "unsupported", "not application/json")
        if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
            raise HttpError(415, "unsupported", "Content-Encoding is not supported")
        with request.stream as stream:
            content = stream.read()
        beginning = content[:_KEPT]
        try:
            content = readable(content)  # free each form before creating the next
            document = parsed(content)
            del content
            return translate(document, settings, now), ""
        except Unreadable as error:
            body = beginning.decode("utf-8", "replace")
            return settings.notification(unreadable=[UnreadableAlert(str(error), body)]), str(error)

    def _follow_up(self, notification: Notification, now: float, settled: Future[Outcome]) -> None:
        """Fetch at once what is missing from a durable webhook, and follow up what it says of incidents."""
        if settled.exception():
            return
        source, current = notification.source, self._current()
        current.last_webhook[notification.receiver, source] = now
        if notification.truncated and (reconciler := current.reconcilers.get(source)):
            reconciler.wake()
        if notification.incidents and (follow_up := current.follow_ups.get(source)):
            follow_up.wake()

    def _failed(self, error: Exception, receiver: str, source: str, form: Form) -> Response:
        """Count what went wrong with a webhook, and answer in the form that its sender expects."""
        if isinstance(error, Unavailable):
            _log.warning("Webhook for %s/%s rejected (503): %s", receiver, source, error)
        elif not isinstance(error, HttpError):
            _log.error("Webhook for %s/%s failed unexpectedly", receiver, source, exc_info=error)
        if not isinstance(error, HttpError):
            error = HttpError(503, "unavailable", "not now; try again")
        if error.outcome != "not_found":
            self._metrics.notifications.labels(receiver, source, error.outcome).inc()
        return form(error.status, str(error))


def _as_alerts_api(status: int, message: str) -> Response:
    """Answer as BigPanda's Alerts API would: 201, 204 for an exact duplicate, 400."""
    match status:
        case 201:
            body: object = {"response": {"status": "created"}}
        case 204:
            return Response(status=204)
        case _:
            body = {"status": status, "errors": message.split("; ")}
    return Response(json.dumps(body), status, mimetype="application/json")
