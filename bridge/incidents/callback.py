"""BigPanda's callback service: confirms that a new share has arrived, so that its updates follow at once."""

import time
from collections.abc import Callable
from typing import Final

from bridge.delivery.http_api import HttpApi
from bridge.domain.incident import NEW
from bridge.receivers.bigpanda import Callback as Settings

_SPACING: Final = 0.25
"""Seconds before each request: BigPanda allows five a second per endpoint."""


class CallbackService(HttpApi):
    """The service at one URL, for one thread."""

    def __init__(self, settings: Settings, rest: Callable[[float], object] = time.sleep) -> None:
        super().__init__(settings, settings.timeout, settings.api_key)
        self._settings, self._rest = settings, rest

    def confirm(self, incident: str) -> None:
        """Confirm that the share of an incident has arrived. Any 2xx is fine; raises DeliveryError otherwise."""
        self._rest(_SPACING)
        content = {"event_type": NEW, "incident_id": incident, "app_key": self._settings.app_key}
        self.request("POST", self._settings.url, content)
