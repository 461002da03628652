"""BigPanda's listings of our integrations: processed alerts and diagnostics. Needs a user's API key."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from bridge.config import BigPanda, Confirm
from bridge.delivery.answers import masked, parsed
from bridge.delivery.confirmation_diff import entries
from bridge.delivery.http_api import HttpApi
from bridge.errors import Transient

PAGE: Final = 100
_MOST_PAGES: Final = 500
TIMEOUT: Final = 30.0
"""Timeout of one page in seconds."""
_SPACING: Final = 0.25
"""Seconds between two pages: BigPanda allows five requests a second per endpoint."""


class IntegrationApi(HttpApi):
    """Both listings of the BigPanda that receives our events, for one thread. `rest` waits between two pages."""

    def __init__(self, bigpanda: BigPanda, confirm: Confirm, rest: Callable[[float], object] = time.sleep) -> None:
        # The CA and proxy that one of BigPanda's APIs needs apply to the other too.
        shared = {name: getattr(confirm, name) or getattr(bigpanda, name) for name in ("ca_file", "proxy_url")}
        super().__init__(confirm.model_copy(update=shared), TIMEOUT, confirm.api_key)
        self._url = confirm.url or bigpanda.url.partition("/data/")[0]
        # Diagnostics may repeat the token that events are sent with.
        self._rest, self._secrets = rest, (confirm.api_key, bigpanda.token)

    def masked(self, text: str) -> str:
        """Mask our secrets in a message of BigPanda's."""
        return masked(text, [secret.read() for secret in self._secrets])

    def alerts(self, app_key: str, since: float) -> Iterator[Any]:
        """Yield the pages of alerts processed for an integration since then. Raises DeliveryError."""
        return self._pages("/resources/v2.1/integration-alerts", "limit", app_key=app_key, since=int(since))

    def diagnostics(self, since: float) -> Iterator[Any]:
        """Yield the pages of the diagnostics since then. Raises DeliveryError."""
        return self._pages("/resources/v2.0/troubleshooting/logs", "per_page", start=int(since))

    def _pages(self, path: str, size: str, **query: str | int) -> Iterator[Any]:
        before: bytes | None = None
        for page in range(1, _MOST_PAGES + 1):
            listed = self.request("GET", f"{self._url}{path}?{urlencode(query | {size: PAGE, 'page': page})}")
            # 204: none. If BigPanda ignores the page parameter, the first page comes again and again.
            if listed.status == 204 or listed.body == before:  # noqa: PLR2004  No Content
                return
            before, answer = listed.body, parsed(listed.body)
            if answer is None:
                raise Transient("BigPanda's response is not JSON")
            yield answer
            if not entries(answer):  # an empty page is the last
                return
            self._rest(_SPACING)
        raise Transient(f"more than {_MOST_PAGES * PAGE} entries since the last check")
