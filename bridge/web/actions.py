"""The buttons of the operator's page: close, resend, requeue, replay, discard, resolve, comment."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError, Unavailable
from bridge.incidents.incidents_client import IncidentsClient
from bridge.outbox.outbox import Outbox
from bridge.web import forms
from bridge.web.current import Current
from bridge.web.operations import Done, correct, replay
from bridge.web.operator_page import HEADERS, respond
from exporter.toolkit.periodic import CLOCK, Clock

_log = logging.getLogger(__name__)


class Actions:
    """The views that change something. Anything a reload may change is read at each request."""

    def __init__(
        self, outbox: Outbox, current: Callable[[], Current], password_hash: forms.PasswordHash, *, clock: Clock = CLOCK
    ) -> None:
        self._outbox, self._current, self._password_hash, self._clock = outbox, current, password_hash, clock

    def blueprint(self) -> Blueprint:
        """Return the routes, each only for a user who may change something."""
        actions = Blueprint("actions", __name__, template_folder="templates")
        letters, quarantine, clock = self._outbox.dead_letters, self._outbox.quarantine, self._clock
        for path, view in (
            ("/alerts/close", lambda: self._on_alert("closed")),
            ("/alerts/resend", lambda: self._on_alert("resent")),
            ("/dead-letters/requeue", self.requeue),
            ("/dead-letters/discard", lambda: _discard("../dead-letters", partial(letters.discard, now=clock.wall()))),
            ("/quarantine/replay", self.replay),
            ("/quarantine/discard", lambda: _discard("../quarantine", quarantine.discard)),
            ("/incidents/resolve", lambda: self._on_incident("resolved", lambda client: client.resolve)),
            ("/incidents/comment", lambda: self._on_incident("commented", lambda client: client.comment)),
        ):
            actions.add_url_rule(path, path, view, methods=["POST"])
        actions.before_request(lambda: forms.authorize(self._password_hash))

        unavailable = partial(respond, "error.html", 503, title="Database unavailable: nothing was changed")
        actions.register_error_handler(Unavailable, lambda error: unavailable(text=str(error)))

        @actions.errorhandler(forms.Forbidden)
        def forbidden(error: forms.Forbidden) -> Response:
            _log.warning("Change by %s rejected: %s", forms.user() or "nobody", error)
            return respond("error.html", 403, title="Nothing was changed", text=str(error))

        return actions

    def _on_alert(self, done: Done) -> Response:
        key, receivers = request.form.get("key", ""), self._current().config.by_source
        states = self._outbox.alerts.states([key]).values()
        return _back("../alerts", correct(self._outbox, done, states, receivers, self._clock.wall()), key)

    def requeue(self) -> Response:
        """Queue dead letters again."""
        ids, receivers = None if forms.up_to() else forms.ids(), self._current().config.by_source
        done = self._outbox.dead_letters.requeue(ids, receivers, self._clock.wall())
        self._outbox.wake()
        return _back("../dead-letters", done)

    def replay(self) -> Response:
        """Process quarantined webhooks again."""
        ids = None if forms.up_to() else forms.ids()
        done = replay(self._outbox, ids, self._current().config.by_source, self._clock.wall())
        return _back("../quarantine", done)

    def _on_incident(
        self, done: str, action: Callable[[IncidentsClient], Callable[[IncidentRecord, str], None]]
    ) -> Response:
        user, number, client = forms.user(), request.form.get("id", ""), self._current().incidents_client()
        found = self._outbox.incidents.record(request.form.get("source", ""), number)
        if client is None or found is None:
            raise forms.Forbidden("incidents is not configured in bridge.yml" if found else "no such incident")
        text = request.form.get("text", "").strip()[:1000]
        if done == "commented" and not text:
            raise forms.Forbidden("the comment is empty")
        # BigPanda shows only the owner of the API key, so the comment names the user.
        words = f"{text} ({user}, vendorwatch)".strip()
        try:
            action(client)(found, words)
        except DeliveryError as error:
            _log.warning("Incident %s not %s for %s: %s", number, done, user, error)
            return respond("error.html", 502, title="BigPanda rejected the change", text=str(error))
        finally:
            client.close()
        return _back(f"../incident?{urlencode({'source': found.source, 'id': found.id})}", {done: [number]}, number)


def _discard(where: str, discard: Callable[..., int]) -> Response:
    return _back(where, {"discarded": range(discard(forms.ids(), up_to=forms.up_to()))})


def _back(where: str, done: Mapping[str, Sequence[object]], about: str = "") -> Response:
    """Redirect back to the operator's page, which shows how many items have which outcome."""
    counts = {outcome: len(items) for outcome, items in done.items()}
    location = f"{where}{'&' if '?' in where else '?'}{forms.done(counts, about)}"
    return Response(status=303, headers={"Location": location, **HEADERS})
