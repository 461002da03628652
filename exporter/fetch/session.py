"""The requests of one target: a Get → the vendor's response or an HttpError, with the target's credentials.

No message contains a URL, a header or a body, because these may hold secrets.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from exporter.collectors.contract import Get, Response
from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import ClientError, Malformed
from exporter.toolkit.lenient import number_of
from exporter.toolkit.text import span, valid_json

MOST_OBJECTS: Final = 40_000
"""JSON objects and lists in one response: each may take some kilobytes once it is known, rendered and stored.

The largest legitimate response is not paged: 5,000 tests of ThousandEyes, of eight objects each.
"""


def located(base: str, request: Get) -> str:
    """Return the URL of a request below `base`. The query of `base` is kept unless the request's params replace it."""
    parts = urlsplit(base)
    replaced = {name for name, _ in request.params}
    kept = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.split("=")[0]) not in replaced]
    query = "&".join([*kept, *([urlencode(request.params)] if request.params else [])])
    path = f"{parts.path.rstrip('/')}/{request.path.lstrip('/')}" if request.path else parts.path
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


class Session:
    """The connection to one target's vendor. One request at a time; `close` aborts one in flight."""

    def __init__(self, settings: TargetSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._client = HttpClient(settings, settings.timeout)

    def get(self, request: Get) -> Response:
        """Return the vendor's response, whatever its status, as `valid` text. Raises HttpError if there is none."""
        at = self._clock()
        base, bearer = self._settings.url(), self._settings.bearer()
        try:
            url = located(base.read() if isinstance(base, Secret) else base or "", request)
        except ValueError as error:
            raise ClientError("the URL cannot be used") from error
        method, headers = "GET", {"Accept": request.accept, "Cache-Control": "no-cache"}
        if request.content:
            method, headers["Content-Type"] = "POST", "application/json"
        if bearer:
            headers["Authorization"] = f"Bearer {bearer.read()}"
        # A POST may be repeated too: it only reads.
        found = self._client.request(method, url, headers=headers, body=request.content, repeatable=True)
        if found.body.count(b"{") + found.body.count(b"[") > MOST_OBJECTS:
            raise Malformed(f"response with more than {MOST_OBJECTS:,} objects")
        age = number_of(found.headers.get("age")) or 0.0
        if age > self._settings.max_age:
            raise Malformed(f"response from a cache, {span(age)} old: longer than max_age")
        return Response(at, found.status, valid_json(found.body), found.headers)

    def close(self) -> None:
        """Abort the request in flight, if any, and close the connections."""
        self._client.close()
