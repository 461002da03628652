"""The resources: environments, incidents and what can be done to them, activities, the callback."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.sandbox.bigpanda import search, views
from tests.sandbox.bigpanda.records import MAX_ALERTS, Incident
from tests.sandbox.bigpanda.replies import done, refused
from tests.sandbox.bigpanda.state import AlreadyResolved, BigPandaState
from tests.sandbox.exchange import Answerer, Reply, Request, Routes, answer
from tests.sandbox.limits import Limits
from tests.sandbox.settings import BigPanda as BigPandaSettings

_ENVIRONMENTS = "/resources/v2.0/environments"
_INCIDENT = _ENVIRONMENTS + "/{environment}/incidents/{incident}"


class IncidentsApi:
    """Wrong members are 400, what is not there is 404."""

    def __init__(
        self, state: BigPandaState, settings: BigPandaSettings, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._state, self._settings, self._limits, self._clock = state, settings, limits, clock

    def join(self, routes: Routes) -> None:
        """Add every route."""
        for method, template, answerer in (
            ("GET", _ENVIRONMENTS, self._environments),
            ("GET", _ENVIRONMENTS + "/{environment}/incidents", self._search),
            ("GET", _INCIDENT, self._incident),
            ("POST", _INCIDENT + "/resolve", self._resolve),
            ("POST", _INCIDENT + "/comments", self._comment),
            ("PUT", _INCIDENT + "/snooze", self._snooze),
            ("DELETE", _INCIDENT + "/snooze", self._unsnooze),
            ("PUT", _INCIDENT + "/assignment", self._assign),
            ("DELETE", _INCIDENT + "/assignment", self._unassign),
            ("GET", _INCIDENT + "/tags", self._tags),
            ("POST", _INCIDENT + "/tags", self._set_tags),
            ("POST", _INCIDENT + "/merge", self._merge),
            ("POST", _ENVIRONMENTS + "/{environment}/batch-resolve/alerts", self._batch_resolve),
            ("GET", "/resources/v2.0/incidents/{incident}/activities", self._activities),
            ("GET", "/resources/v2.0/ordered-maintenance-plans", self._plans),
            ("POST", "/resources/v2.1/outbound/callback", self._callback),
        ):
            routes.add(method, template, self._guarded(answerer))

    def _guarded(self, answerer: Answerer) -> Answerer:
        def guarded(request: Request, **ids: str) -> Reply:
            with self._state.lock:
                try:
                    return answerer(request, **ids)
                except LookupError:
                    return refused(404, "not found")
                except AlreadyResolved:
                    return refused(409, "incident is already resolved")
                except (ValueError, TypeError) as wrong:
                    return refused(400, str(wrong))

        return guarded

    def _environments(self, _request: Request) -> Reply:
        return answer(200, [views.environment(of) for of in self._state.environments.values()])

    def _search(self, request: Request, environment: str) -> Reply:
        within, now = self._state.environments[environment], self._clock()
        total, shown = search.page(request.query, filter(within.holds, self._state.incidents.values()), now)
        expand = request.query.get("expand") == "alerts"
        return answer(200, {"total": total, "items": [self._show(incident, expand=expand) for incident in shown]})

    def _incident(self, request: Request, environment: str, incident: str) -> Reply:
        return answer(
            200, self._show(self._find(environment, incident), expand=request.query.get("expand") == "alerts")
        )

    def _show(self, incident: Incident, *, expand: bool) -> dict[str, Any]:
        inside = [of.id for of in self._state.environments.values() if of.holds(incident)]
        capitalised = self._settings.capitalised
        return views.incident(incident, self._clock(), inside, expand=expand, capitalised=capitalised)

    def _find(self, environment: str, incident: str) -> Incident:
        found = self._state.incidents[incident]
        if not self._state.environments[environment].holds(found):
            raise LookupError(incident)
        return found

    def _resolve(self, request: Request, environment: str, incident: str) -> Reply:
        comments = _member(request.json(), "comments", str)
        self._state.resolve(self._find(environment, incident).id, comments, by="api")
        return answer(202, {"status": 202, "data": {}})

    def _comment(self, request: Request, environment: str, incident: str) -> Reply:
        comment = _member(request.json(), "comment", str)
        self._state.comment(self._find(environment, incident).id, comment, by="api")
        return done()

    def _snooze(self, request: Request, environment: str, incident: str) -> Reply:
        body = request.json()
        cancel = bool(body.get("cancel_on_incident_updates"))
        end, found = _member(body, "end_time", int), self._find(environment, incident)
        self._state.snooze(found.id, end_time=end, cancel_on_incident_updates=cancel, by="api")
        return done()

    def _unsnooze(self, _request: Request, environment: str, incident: str) -> Reply:
        self._state.unsnooze(self._find(environment, incident).id, by="api")
        return done()

    def _assign(self, request: Request, environment: str, incident: str) -> Reply:
        assignee = _member(request.json(), "assignee", str)
        self._state.change(self._find(environment, incident).id, assignee=assignee)
        return done()

    def _unassign(self, _request: Request, environment: str, incident: str) -> Reply:
        found = self._find(environment, incident)
        if found.assignee is None:
            return refused(400, "incident is not assigned")
        self._state.change(found.id, assignee=None)
        return done()

    def _tags(self, _request: Request, environment: str, incident: str) -> Reply:
        found = self._find(environment, incident)
        return answer(200, [{"tag_id": name, "tag_value": value} for name, value in found.tags.items()])

    def _set_tags(self, request: Request, environment: str, incident: str) -> Reply:
        found = self._find(environment, incident)
        found.tags |= {_member(tag, "tag_id", str): _member(tag, "tag_value", str) for tag in request.json()}
        return done()

    def _merge(self, request: Request, environment: str, incident: str) -> Reply:
        target, sources = self._find(environment, incident), _member(request.json(), "source_incidents", list)
        if len(target.alerts) + sum(len(self._state.incidents[s].alerts) for s in sources) > MAX_ALERTS:
            return refused(400, f"an incident holds at most {MAX_ALERTS} alerts")
        self._state.merge(target.id, sources)
        return answer(202, {"status": 202, "data": {}})

    def _batch_resolve(self, request: Request, environment: str) -> Reply:
        """One call a second, ids that nobody knows are ignored; the alerts become ok."""
        self._state.environments[environment]
        if not self._limits.take("batch-resolve", self._clock(), 1, 1, "sliding").allowed:
            return refused(429, "limit reached, retry needed")
        ids = _member(request.json(), "ids", list)
        if len(ids) > 500:
            return refused(400, "at most 500 ids")
        now = int(self._clock())
        for alert in [alert for alert in self._state.intake.alerts.values() if alert.id in ids]:
            event = {**alert.tags, "status": "ok", "timestamp": max(now, alert.timestamp + 1)}
            self._state.intake.take(alert.app_key, [event])
        return answer(202, {"status": 202, "data": {}})

    def _activities(self, request: Request, incident: str) -> Reply:
        kinds = {kind for kind in request.query.get("types", "").split(",") if kind}
        all_of_them = reversed(self._state.incidents[incident].activities)
        found = [entry for entry in all_of_them if not kinds or entry["type"] in kinds]
        page, size = int(request.query.get("page", "1")), int(request.query.get("per_page", "20"))
        return answer(200, found[(page - 1) * size : page * size])

    def _plans(self, request: Request) -> Reply:
        status = request.query.get("status", "running")
        if status not in ("planned", "running", "done"):
            raise ValueError("status must be planned, running or done")
        page, size = int(request.query.get("page", "1")), int(request.query.get("per_page", "100"))
        found = [plan for plan in self._state.plans if _status(plan, self._clock()) == status]
        newest_first = found[::-1][(page - 1) * size : page * size]
        return answer(200, [{"status": status, **plan} for plan in newest_first])

    def _callback(self, request: Request) -> Reply:
        body = request.json()
        call = {name: _member(body, name, str) for name in ("event_type", "incident_id", "app_key")}
        if call["app_key"] != self._state.outbound.app_key:
            return refused(400, "'app_key' is not known")
        self._state.incidents[call["incident_id"]]
        self._state.outbound.called_back(call["incident_id"], call)
        return answer(200, {"status": 200})


def _member(body: Any, name: str, kind: type) -> Any:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"'{name}' must exist and be a {kind.__name__}")
    return value


def _status(plan: Mapping[str, Any], now: float) -> str:
    return "planned" if now < plan["start"] else "running" if now < plan["end"] else "done"
