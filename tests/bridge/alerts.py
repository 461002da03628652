"""An alert of Alertmanager's for tests of the bridge: what a test does not say of it is alike in all of them."""

import json

from bridge.domain.alert import Alert
from bridge.domain.event import draft


def alert_at(at, name="a", /, *, source="prod", firing=True, **more):
    """Return the alert `source:name`, which began, or ended, at `at`; `more` are its other members."""
    usual = {
        "receiver": "alertmanager",
        "source": source,
        "key": f"{source}:{name}",
        "name": "Down",
        "firing": firing,
        "severity": "critical",
        "labels": {"alertname": "Down", "host": f"web-{name}"},
        "starts_at": at,
        "ends_at": None if firing else at,
    }
    return Alert(**(usual | more))


def build(alert, status, timestamp, mapping):
    """Return the event of an alert as BigPanda reads it."""
    return json.loads(draft(alert, status, mapping).freeze(timestamp))
