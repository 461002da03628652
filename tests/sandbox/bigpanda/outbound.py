"""The Notifications Webhook: what is shared is POSTed, one at a time where callbacks are expected."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.bigpanda import views
from tests.sandbox.bigpanda.records import Incident
from tests.sandbox.settings import BigPanda as BigPandaSettings


@dataclass(slots=True)
class _Lock:
    since: float
    waiting: list[dict[str, Any]] = field(default_factory=list)


class Outbound:
    """One outbound integration. The caller holds the state's lock."""

    def __init__(self, clock: Callable[[], float], settings: BigPandaSettings, post: Callable[..., object]) -> None:
        self._clock, self._settings, self._post = clock, settings, post
        self.clear()

    def clear(self) -> None:
        """No URL, nothing locked, no callbacks."""
        self.url = ""
        self.headers: dict[str, str] = {}
        self.form = "v1"
        self.expects_callbacks = False
        self.app_key = "outbound-app-key"
        self.callbacks: list[dict[str, Any]] = []
        self._locks: dict[str, _Lock] = {}

    def configure(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        form: str = "v1",
        *,
        expects_callbacks: bool = False,
        app_key: str = "outbound-app-key",
    ) -> None:
        """POST to `url` with these headers; form "v1" is the bare incident, "v2" a body of our own template."""
        if form not in ("v1", "v2"):
            raise ValueError("form must be v1 or v2")
        self.url, self.headers, self.form = url, dict(headers or {}), form
        self.expects_callbacks, self.app_key = expects_callbacks, app_key

    def send(self, incident: Incident, event: str) -> None:
        """POST, or queue while the incident is locked."""
        if not self.url:
            return
        show = views.shared_v1 if self.form == "v1" else views.shared_v2
        body = show(incident, event, self._clock(), capitalised=self._settings.capitalised)
        lock = self._locks.get(incident.id)
        if lock and self._clock() - lock.since < self._settings.callback_timeout_seconds:
            lock.waiting.append(body)
            return
        for queued in lock.waiting if lock else []:
            self._deliver(queued)
        self._locks.pop(incident.id, None)
        if self.expects_callbacks and event == "incident#new":
            self._locks[incident.id] = _Lock(self._clock())
        self._deliver(body)

    def called_back(self, incident_id: str, call: dict[str, Any]) -> None:
        """Unlock and send what waited."""
        self.callbacks.append({**call, "received_at": self._clock()})
        lock = self._locks.pop(incident_id, None)
        for body in lock.waiting if lock else []:
            self._deliver(body)

    def described(self) -> dict[str, Any]:
        """Without the headers' values, which are secrets."""
        locked = {number: len(lock.waiting) for number, lock in self._locks.items()}
        said = {"url": self.url, "headers": sorted(self.headers), "form": self.form, "locked": locked}
        return {**said, "expects_callbacks": self.expects_callbacks, "callbacks": self.callbacks}

    def _deliver(self, body: Mapping[str, Any]) -> None:
        self._post(self.url, body, headers=self.headers)
