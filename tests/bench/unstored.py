"""The bridge's receiver routes as `bridge.app` wires them, with a store that forgets."""

from wsgiref.types import WSGIApplication

from bridge.domain.notification import Outcome
from bridge.metrics import Metrics
from bridge.receivers import alertmanager
from bridge.web.application import create_app
from bridge.web.webhooks import Webhooks
from tests.bridge.serving import current_of, settled


def application() -> WSGIApplication:
    """Return the routes: each webhook is read, translated and forgotten."""
    settings = alertmanager.Settings.model_validate({"receiver": "alertmanager", "source": "prod"})
    accept = lambda notification, now: settled(lambda: Outcome(queued=len(notification.alerts)))  # noqa: E731
    current = current_of(settings)
    webhooks = Webhooks(lambda: current, accept, Metrics())
    return create_app([webhooks.blueprint()])
