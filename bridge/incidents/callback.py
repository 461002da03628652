"""BigPanda's callback service: reports that a new share has arrived, so that its updates need not wait."""

from bridge.delivery.user_api import UserApi
from bridge.domain.incident import NEW
from bridge.receivers.bigpanda import Callback as Settings


class CallbackService:
    """The service at one URL, spoken to by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._api = UserApi(settings, settings.timeout, settings.api_key)

    def confirm(self, incident: str) -> None:
        """Report that the share of an incident has arrived. Any 2xx will do; else raises a DeliveryError."""
        content = {"event_type": NEW, "incident_id": incident, "app_key": self._settings.app_key}
        self._api.request("POST", self._settings.url, content)

    def close(self) -> None:
        """Close all connections."""
        self._api.close()
