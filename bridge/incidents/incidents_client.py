"""BigPanda's Incidents API: resolve an incident, comment one. One call, one meaning: done, or a DeliveryError.

The API wants the environment in which an incident is seen. Webhooks name it where the integration has `addMetadata`;
otherwise each environment that the key's owner sees is tried.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from bridge.config import Incidents
from bridge.delivery.answers import judge
from bridge.domain.incident import IncidentRecord
from bridge.errors import Rejected, Stopped, Unreached
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_connection import HttpResponse
from exporter.toolkit.http_errors import HttpError

_ENVIRONMENTS: Final = "/resources/v2.0/environments"
_NOT_FOUND: Final = 404
_MOST_ENVIRONMENTS: Final = 50


class IncidentsClient:
    """The API at one URL, for one thread at a time."""

    def __init__(self, settings: Incidents) -> None:
        self._settings = settings
        self._http = HttpClient(settings, settings.timeout)

    def resolve(self, incident: IncidentRecord, comment: str) -> None:
        """Resolve an incident. BigPanda carries it out a moment later, and says so by its webhook."""
        self._act(incident, "resolve", {"comments": comment})

    def comment(self, incident: IncidentRecord, comment: str) -> None:
        """Add a comment to an incident."""
        self._act(incident, "comments", {"comment": comment})

    def environments(self) -> list[Mapping[str, Any]]:
        """Return the environments that the key's owner sees."""
        answer = self._request("GET", _ENVIRONMENTS)
        self._judge(answer)
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise Stopped("BigPanda answered with something that is not JSON: see the URL") from None
        listed = found.get("items", []) if isinstance(found, dict) else found
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _act(self, incident: IncidentRecord, action: str, body: Mapping[str, str]) -> None:
        answer = None
        for environment in self._candidates(incident):
            path = f"{_ENVIRONMENTS}/{quote(environment, safe='')}/incidents/{quote(incident.id, safe='')}/{action}"
            answer = self._request("POST", path, json.dumps(body).encode())
            if answer.status != _NOT_FOUND:
                break
        if answer is None:
            raise Rejected("BigPanda shows no environment to the owner of this API key")
        self._judge(answer)

    def _candidates(self, incident: IncidentRecord) -> Iterator[str]:
        """Yield the ids of environments to try, the most likely first."""
        known = incident.details.environment_id
        if known:
            yield known
        for number in ids(self.environments(), incident.environment)[:_MOST_ENVIRONMENTS]:
            if number != known:
                yield number

    def _request(self, method: str, path: str, body: bytes | None = None) -> HttpResponse:
        try:
            headers = {"Authorization": f"Bearer {self._settings.api_key.read()}", "Accept": "application/json"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            return self._http.request(method, self._settings.url.rstrip("/") + path, headers=headers, body=body)
        except HttpError as error:
            raise Unreached(str(error)) from None
        except (OSError, ValueError):
            raise Unreached("the API key cannot be read") from None

    def _judge(self, answer: HttpResponse) -> None:
        judge(answer, time.time(), secrets=[self._settings.api_key.read()])


def ids(environments: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """Return the ids of environments, those of this name first."""
    listed = sorted(environments, key=lambda one: one.get("name") != name)
    return [str(number) for one in listed if (number := one.get("id") or one.get("_id"))]
