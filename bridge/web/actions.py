"""The buttons of the operator's page: close, resend, requeue, replay, discard, resolve, comment."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from bridge.domain.incident import IncidentRecord
from bridge.domain.notification import Notification, Outcome
from bridge.errors import DeliveryError, Unavailable
from bridge.incidents.incidents_client import IncidentsClient
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetters
from bridge.outbox.incidents import Incidents
from bridge.outbox.quarantine import Quarantine
from bridge.receivers.contract import Receiver
from bridge.web import forms
from bridge.web.alert_actions import close, resend
from bridge.web.operator_page import HEADERS, respond
from bridge.web.replay import replay

_log = logging.getLogger(__name__)


class Actions:
    """The views that change something. Anything a reload may change is read at each request."""

    def __init__(  # noqa: PLR0913  the parts it acts on
        self,
        database: Database,
        *,
        receivers: Callable[[], Mapping[tuple[str, str], Receiver]],
        accept: Callable[[Notification, float], Outcome],
        wake: Callable[[], object],
        incidents_client: Callable[[], IncidentsClient | None],
        password_hash: forms.PasswordHash,
        clock: Callable[[], float],
    ) -> None:
        self._alerts, self._dead_letters = Alerts(database), DeadLetters(database)
        self._quarantine, self._incidents = Quarantine(database), Incidents(database)
        self._receivers, self._accept, self._wake = receivers, accept, wake
        self._incidents_client, self._password_hash, self._clock = incidents_client, password_hash, clock

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        actions = Blueprint("actions", __name__, template_folder="templates")
        for path, view in (
            ("/alerts/close", self.close_alert),
            ("/alerts/resend", self.resend_alert),
            ("/dead-letters/requeue", self.requeue),
            ("/dead-letters/discard", self.discard),
            ("/quarantine/replay", self.replay),
            ("/quarantine/discard", self.discard_quarantined),
            ("/incidents/resolve", self.resolve_incident),
            ("/incidents/comment", self.comment_incident),
        ):
            actions.add_url_rule(path, view.__name__, view, methods=["POST"])

        @actions.errorhandler(Unavailable)
        def unavailable(error: Unavailable) -> Response:
            return respond("error.html", 503, title="Database unavailable: nothing was changed", text=str(error))

        @actions.errorhandler(forms.Forbidden)
        def forbidden(error: forms.Forbidden) -> Response:
            _log.warning("Change rejected, user not authorized: %s", error)
            return respond("error.html", 403, title="Nothing was changed", text=str(error))

        return actions

    def close_alert(self) -> Response:
        """Close one alert in BigPanda."""
        user, key = forms.authorize(self._password_hash), request.form.get("key", "")
        done = close(self._alerts.states([key]).values(), self._receivers(), self._accept, self._clock())
        return _back("../alerts", user, _counted(done), key)

    def resend_alert(self) -> Response:
        """Send one open alert to BigPanda again."""
        user, key = forms.authorize(self._password_hash), request.form.get("key", "")
        done = resend(self._alerts.states([key]).values(), self._receivers(), self._accept, self._clock())
        return _back("../alerts", user, _counted(done), key)

    def requeue(self) -> Response:
        """Queue dead letters again."""
        user, everything = forms.authorize(self._password_hash), forms.up_to()
        mappings = {path: found.settings.mapping for path, found in self._receivers().items()}
        done = self._dead_letters.requeue(None if everything else forms.ids(), mappings, self._clock())
        self._wake()
        return _back("../dead-letters", user, _counted(asdict(done)))

    def discard(self) -> Response:
        """Discard dead letters."""
        user, last, now = forms.authorize(self._password_hash), forms.up_to(), self._clock()
        letters = self._dead_letters
        count = letters.discard_until(last, now) if last else letters.discard(forms.ids(), now)
        return _back("../dead-letters", user, {"discarded": count})

    def replay(self) -> Response:
        """Process quarantined webhooks again."""
        user, everything = forms.authorize(self._password_hash), forms.up_to()
        ids = None if everything else forms.ids()
        done = replay(self._quarantine, ids, self._receivers(), self._accept, self._clock())
        return _back("../quarantine", user, _counted(done))

    def discard_quarantined(self) -> Response:
        """Delete quarantined webhooks."""
        user, last = forms.authorize(self._password_hash), forms.up_to()
        kept = self._quarantine
        count = kept.discard_until(last) if last else kept.discard(forms.ids())
        return _back("../quarantine", user, {"discarded": count})

    def resolve_incident(self) -> Response:
        """Resolve one incident in BigPanda."""
        return self._at_bigpanda("resolved", lambda client, incident, words: client.resolve(incident, words))

    def comment_incident(self) -> Response:
        """Comment on one incident in BigPanda."""
        return self._at_bigpanda("commented", lambda client, incident, words: client.comment(incident, words))

    def _at_bigpanda(self, done: str, act: Callable[[IncidentsClient, IncidentRecord, str], None]) -> Response:
        user = forms.authorize(self._password_hash)
        number, client = request.form.get("id", ""), self._incidents_client()
        found = self._incidents.record(request.form.get("source", ""), number)
        if client is None or found is None:
            raise forms.Forbidden("incidents is not configured in bridge.yml" if found else "no such incident")
        # BigPanda shows only the owner of the API key, so the comment names the user.
        words = f"{request.form.get('text', '').strip()[:1000]} ({user}, vendorwatch)".strip()
        try:
            act(client, found, words)
        except DeliveryError as error:
            _log.warning("Incident %s not %s for %s: %s", number, done, user, error)
            return respond("error.html", 502, title="BigPanda rejected the change", text=str(error))
        finally:
            client.close()
        where = urlencode({"source": found.source, "id": found.id})
        return _back(f"../incident?{where}", user, {done: 1}, number)


def _counted(found: Mapping[str, Sequence[object]]) -> dict[str, int]:
    return {name: len(which) for name, which in found.items()}


def _back(where: str, user: str, counts: Mapping[str, int], about: str = "") -> Response:
    """Redirect back to the operator's page, which shows the result."""
    joined = "&" if "?" in where else "?"
    location = f"{where}{joined}{forms.done(user, counts, about)}"
    return Response(status=303, headers={"Location": location, **HEADERS})
