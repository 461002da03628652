"""BigPanda's callback service: confirms that a new share has arrived, so that its updates follow at once."""

from bridge.delivery.http_api import HttpApi
from bridge.domain.incident import NEW
from bridge.receivers.bigpanda import Callback as Settings


class CallbackService(HttpApi):
    """The service at one URL, for one thread."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.timeout, settings.api_key)
        self._settings = settings

    def confirm(self, incident: str) -> None:
        """Confirm that the share of an incident has arrived. Any 2xx is fine; raises DeliveryError otherwise."""
        content = {"event_type": NEW, "incident_id": incident, "app_key": self._settings.app_key}
        self.request("POST", self._settings.url, content)
