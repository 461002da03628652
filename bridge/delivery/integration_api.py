"""What BigPanda says of our integrations: the alerts that it took in, and its diagnostics. With a user's API key."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from bridge.config import BigPanda, Confirm
from bridge.delivery.answers import judge
from bridge.errors import Overloaded, Unreached
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import HttpError
from exporter.toolkit.http_settings import HttpClientSettings

PAGE: Final = 100
_MOST_PAGES: Final = 500
TIMEOUT: Final = 30.0
"""Seconds for one page."""
_SPACING: Final = 0.25
"""Seconds between two pages: BigPanda takes five requests a second at each endpoint."""


class IntegrationApi:
    """Both listings below one base URL, read by one thread. `rest` waits between two pages."""

    def __init__(
        self, url: str, api_key: Secret, http: HttpClientSettings, rest: Callable[[float], object] = time.sleep
    ) -> None:
        self._url, self._api_key, self._rest = url, api_key, rest
        self._client = HttpClient(http, TIMEOUT)

    def alerts(self, app_key: str, since: float) -> Iterator[Any]:
        """Give the pages of what an integration took in since then. Raises a DeliveryError."""
        return self._pages("/resources/v2.1/integration-alerts", "limit", app_key=app_key, since=int(since))

    def diagnostics(self, since: float) -> Iterator[Any]:
        """Give the pages of the diagnostics since then. Raises a DeliveryError."""
        return self._pages("/resources/v2.0/troubleshooting/logs", "per_page", start=int(since))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _pages(self, path: str, size: str, **query: str | int) -> Iterator[Any]:
        before: bytes | None = None
        for page in range(1, _MOST_PAGES + 1):
            body = self._get(f"{self._url}{path}?{urlencode(query | {size: PAGE, 'page': page})}")
            # Where the page is not heeded, the first one comes again and again.
            if body == before:
                return
            before = body
            try:
                answer = json.loads(body)
            except (ValueError, RecursionError):
                raise Unreached("BigPanda's answer is not JSON") from None
            yield answer
            if _entries(answer) == 0:
                return
            self._rest(_SPACING)
        raise Overloaded(f"more than {_MOST_PAGES * PAGE} entries since the last look")

    def _get(self, url: str) -> bytes:
        try:
            key = self._api_key.read()
        except (OSError, ValueError):
            raise Unreached("the API key cannot be read") from None
        try:
            answer = self._client.request(
                "GET", url, headers={"Authorization": f"Bearer {key}", "Accept": "application/json"}
            )
        except HttpError as error:
            raise Unreached(str(error)) from None
        judge(answer, time.time(), secrets=[key])
        return answer.body


def _entries(answer: Any) -> int:
    """Return how many entries a page has; one that holds no list is the last."""
    lists = [answer] if isinstance(answer, list) else list(answer.values()) if isinstance(answer, dict) else []
    return max((len(found) for found in lists if isinstance(found, list)), default=0)


def integration_api(bigpanda: BigPanda, confirm: Confirm) -> IntegrationApi:
    """Return the listings of the BigPanda that takes our events."""
    base = confirm.url or bigpanda.url.partition("/data/")[0]
    # Whoever needs an authority or a proxy to reach BigPanda's one API needs them for the other.
    http = confirm.model_copy(
        update={"ca_file": confirm.ca_file or bigpanda.ca_file, "proxy_url": confirm.proxy_url or bigpanda.proxy_url}
    )
    return IntegrationApi(base.rstrip("/"), confirm.api_key, http)
