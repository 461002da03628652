"""The client of BigPanda's Incidents API: resolves and comments on incidents, or raises a DeliveryError.

The API needs the environment of an incident. Webhooks name it if the integration has `addMetadata`; otherwise each
environment visible to the key's owner is tried.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from bridge.config import Incidents
from bridge.delivery.answers import parsed
from bridge.delivery.http_api import HttpApi
from bridge.domain.incident import IncidentRecord
from bridge.errors import DeliveryError, Rejected, Stopped
from exporter.toolkit.lenient import objects_of

_NOT_FOUND: Final = 404
_MOST_ENVIRONMENTS: Final = 50


class IncidentsClient(HttpApi):
    """The API at one URL, for one thread at a time."""

    def __init__(self, settings: Incidents) -> None:
        super().__init__(settings, settings.timeout, settings.api_key)
        self._base = settings.url + "/resources/v2.0/environments"

    def resolve(self, incident: IncidentRecord, comment: str) -> None:
        """Resolve an incident. BigPanda does so a moment later, and reports it by webhook."""
        self._act(incident, "resolve", {"comments": comment})

    def comment(self, incident: IncidentRecord, comment: str) -> None:
        """Add a comment to an incident."""
        self._act(incident, "comments", {"comment": comment})

    def environments(self) -> list[dict[str, Any]]:
        """Return the environments visible to the key's owner."""
        found = parsed(self.request("GET", self._base).body)
        if found is None:
            raise Stopped("BigPanda's response is not JSON: check the URL")
        return objects_of(found.get("items") if isinstance(found, dict) else found)

    def _act(self, incident: IncidentRecord, action: str, body: Mapping[str, str]) -> None:
        problem: DeliveryError = Rejected("no environment is visible to the owner of this API key")
        for environment in self._candidates(incident):
            place = f"{quote(environment, safe='')}/incidents/{quote(incident.id, safe='')}"
            try:
                self.request("POST", f"{self._base}/{place}/{action}", body)
            except Stopped as error:
                if error.status != _NOT_FOUND:
                    raise
                problem = error
            else:
                return
        raise problem

    def _candidates(self, incident: IncidentRecord) -> Iterator[str]:
        """Yield the ids of environments to try, the most likely first."""
        known = incident.details.environment_id
        if known:
            yield known
        named_first = sorted(self.environments(), key=lambda one: one.get("name") != incident.environment)
        numbers = (str(number) for one in named_first if (number := one.get("id") or one.get("_id")))
        yield from (number for number in islice(numbers, _MOST_ENVIRONMENTS) if number != known)
