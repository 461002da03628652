"""BigPanda's APIs for a user's API key. A request returns BigPanda's response or raises a DeliveryError."""

import json
import time
from typing import Any

from bridge.delivery.answers import judge
from bridge.errors import Unreached
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import HttpError
from exporter.toolkit.http_settings import HttpClientSettings


class UserApi:
    """One such API, for one thread at a time. `http`: proxy and roots; `timeout`: seconds for one request."""

    def __init__(self, http: HttpClientSettings, timeout: float, api_key: Secret) -> None:
        self._client, self._api_key = HttpClient(http, timeout), api_key

    def request(self, method: str, url: str, content: Any = None) -> bytes:
        """Send a request, with `content` as JSON if given; return the body of the response."""
        try:
            key = self._api_key.read()
        except (OSError, ValueError):
            raise Unreached("the API key cannot be read") from None
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        body = None if content is None else json.dumps(content).encode()
        try:
            answer = self._client.request(method, url, headers=headers, body=body)
        except HttpError as error:
            raise Unreached(str(error)) from None
        judge(answer, time.time(), secrets=[key])
        return answer.body

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
