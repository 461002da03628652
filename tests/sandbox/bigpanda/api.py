"""BigPanda's API: the Alerts API takes the organization's token, the resources a user's API key."""

from collections.abc import Callable

from tests.sandbox.bigpanda.alerts_api import AlertsApi
from tests.sandbox.bigpanda.incidents_api import IncidentsApi
from tests.sandbox.bigpanda.integrations_api import IntegrationsApi
from tests.sandbox.bigpanda.replies import refused
from tests.sandbox.bigpanda.state import BigPandaState
from tests.sandbox.exchange import Reply, Request, Routes
from tests.sandbox.limits import Limits, Verdict
from tests.sandbox.settings import BigPanda as BigPandaSettings


class BigPandaApi:
    """Credentials, limits, routes."""

    base_path = "/bigpanda"

    def __init__(
        self, state: BigPandaState, settings: BigPandaSettings, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._settings, self._limits, self._clock = settings, limits, clock
        self._routes = Routes()
        AlertsApi(state, settings).join(self._routes)
        IntegrationsApi(state, settings).join(self._routes)
        IncidentsApi(state, settings, limits, clock).join(self._routes)

    def template(self, path: str) -> str:
        """Give the path with its ids left out."""
        return self._routes.template(path)

    def unauthorized(self) -> Reply:
        """Give the refusal of a token."""
        return refused(401, "Unauthorized")

    def answer(self, request: Request) -> Reply:
        """Answer; an unknown path is 404 whatever the token; a region that is not ours answers the same."""
        found = self._routes.find(request)
        if isinstance(found, int):
            return refused(501 if found == 405 else 404, "not found" if found == 404 else "method not supported")
        inbound = request.path.startswith("/data/")
        given = (request.bearer or request.query.get("access_token")) if inbound else request.bearer
        if given != (self._settings.org_token if inbound else self._settings.user_key):
            return self.unauthorized()
        limit = self._spend(request, inbound=inbound)
        if limit.allowed:
            return found()
        wait = (
            {"Retry-After": str(max(1, round(limit.reset - self._clock())))} if self._settings.send_retry_after else {}
        )
        return refused(429, "limit reached, retry needed").adding(wait)

    def _spend(self, request: Request, *, inbound: bool) -> Verdict:
        now, settings = self._clock(), self._settings
        if not inbound:
            template = f"{request.method} {self.template(request.path)}"
            return self._limits.take(template, now, settings.resources_per_second, 1, "sliding")
        second = self._limits.take("alerts/s", now, settings.alerts_per_second, 1, "sliding")
        return second if not second.allowed else self._limits.take("alerts/min", now, settings.alerts_per_minute)
