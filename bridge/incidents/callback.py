"""BigPanda's callback service: tells that a new share has arrived, so that its updates need not wait.

One call, one meaning: confirmed, or a DeliveryError that says whose fault it is.
"""

import time
from typing import Final

import requests
from urllib3 import exceptions as torn

from bridge.delivery.bigpanda_client import judge
from bridge.delivery.connection import below_http, content_of, session
from bridge.domain.incident import NEW
from bridge.errors import Unreached
from bridge.receivers.bigpanda import Callback as Settings

_MOST_ANSWER: Final = 65_536


class CallbackService:
    """The service at one URL, spoken to by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = session()

    def confirm(self, incident: str) -> None:
        """Tell that the share of an incident has arrived. Any 2xx will do; else raises a DeliveryError."""
        try:
            status, retry_after, text = self._post(incident)
        except (requests.RequestException, torn.HTTPError) as error:
            raise Unreached(below_http(error)) from None
        except (OSError, ValueError):
            raise Unreached("the API key cannot be read") from None
        judge(status, retry_after, text, time.time())

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _post(self, incident: str) -> tuple[int, str | None, str]:
        deadline = time.monotonic() + self._settings.timeout
        with self._session.post(
            self._settings.url,
            json={"event_type": NEW, "incident_id": incident, "app_key": self._settings.app_key},
            headers={"Authorization": f"Bearer {self._settings.api_key.read()}"},
            timeout=self._settings.timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            text = content_of(response, deadline, _MOST_ANSWER).decode("utf-8", "replace")
            return response.status_code, response.headers.get("Retry-After"), text
