"""BigPanda's callback service: reports that a new share has arrived, so that its updates need not wait.

One call, one meaning: confirmed, or a DeliveryError that says whose fault it is.
"""

import json
import time

from bridge.delivery.answers import judge
from bridge.domain.incident import NEW
from bridge.errors import Unreached
from bridge.receivers.bigpanda import Callback as Settings
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import HttpError


class CallbackService:
    """The service at one URL, spoken to by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = HttpClient(settings, settings.timeout)

    def confirm(self, incident: str) -> None:
        """Report that the share of an incident has arrived. Any 2xx will do; else raises a DeliveryError."""
        body = {"event_type": NEW, "incident_id": incident, "app_key": self._settings.app_key}
        try:
            key = self._settings.api_key.read()
        except (OSError, ValueError):
            raise Unreached("the API key cannot be read") from None
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            answer = self._client.request("POST", self._settings.url, headers=headers, body=json.dumps(body).encode())
        except HttpError as error:
            raise Unreached(str(error)) from None
        judge(answer, time.time(), secrets=[key])

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
