"""ThousandEyes API v7: bearer token, a limit per organization, problem+json."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from tests.sandbox.exchange import Reply, Request, Routes, answer
from tests.sandbox.limits import Limits, Verdict
from tests.sandbox.moments import zulu
from tests.sandbox.settings import ThousandEyes as ThousandEyesSettings
from tests.sandbox.thousandeyes import views
from tests.sandbox.thousandeyes.listing import Refused, matching, page, wanted
from tests.sandbox.thousandeyes.state import ThousandEyesState

_TITLES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable"}
_TITLES |= {410: "Gone", 429: "Too Many Requests"}
_HAL = "application/hal+json"
_RESULTS = {"network": views.network_results, "bgp": views.bgp_results, "dns-server": views.dns_results}


def problem(status: int, detail: str, request: Request, **more: Any) -> Reply:
    """Give an RFC 9457 body."""
    said = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail}
    return answer(status, {**said, "instance": request.path, **more}, content_type="application/problem+json")


class ThousandEyesApi:
    """Read-only; every response has the rest of the organization's limit."""

    base_path = "/thousandeyes/v7"

    def __init__(
        self, state: ThousandEyesState, settings: ThousandEyesSettings, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._state, self._settings, self._limits, self._clock = state, settings, limits, clock
        self._routes = Routes()
        for template, answerer in (
            ("/alerts", self._alerts),
            ("/alerts/rules", self._rules),
            ("/alerts/rules/{rule}", self._rule),
            ("/alerts/{alert}", self._alert),
            ("/alert-suppression-windows", self._suppression_windows),
            ("/tests", self._tests),
            ("/test-results/{test}/{kind}", self._results),
            ("/account-groups", self._account_groups),
            ("/agents", self._agents),
            ("/agents/local-problems", self._local_problems),
            ("/usage", self._usage),
        ):
            self._routes.add("GET", "/v7" + template, answerer)
        self._routes.add("POST", "/v7/internet-insights/outages/filter", self._outages)

    def template(self, path: str) -> str:
        """Give the path with its ids left out."""
        return self._routes.template(path)

    def unauthorized(self) -> Reply:
        """Give the refusal of a token."""
        return answer(401, {"error": "invalid_token", "error_description": "Invalid access token"})

    def answer(self, request: Request) -> Reply:
        """Token, limit, version, account group, route."""
        now = self._clock()
        most, is_known = self._settings.unauthorized_per_minute, request.bearer == self._settings.token
        # After so many refusals in a minute the address gets 429, with the right token too.
        if not self._limits.take(f"401 {request.peer}", now, most, kind="sliding", spend=not is_known).allowed:
            return problem(429, "Too many unauthorized requests", request)
        if not is_known:
            return self.unauthorized()
        limit = self._limits.take("thousandeyes", now, self._settings.per_minute)
        if not limit.allowed:
            refusal = problem(429, "Rate limit exhausted for the organization", request)
            wait = {"Retry-After": str(max(1, round(limit.reset - now)))} if self._settings.send_retry_after else {}
            return refusal.adding(_rate(limit)).adding(wait)
        with self._state.lock:
            return self._route(request).adding(_rate(limit))

    def _route(self, request: Request) -> Reply:
        version = request.path.split("/")[1]
        if version != "v7":
            gone = version in ("v3", "v4", "v5", "v6")
            return problem(410, "This version is no longer supported", request) if gone else _moved(version, request)
        accepted = request.headers.get("accept", "*/*")
        if not any(kind in accepted for kind in ("json", "*/*", "application/*")):
            return problem(406, "API version 7 answers JSON only", request)
        if request.query.get("aid", next(iter(self._state.account_groups))) not in self._state.account_groups:
            return problem(403, "You have no access to this account group", request)
        found = self._routes.find(request)
        if isinstance(found, int):
            return problem(found, "Resource not found" if found == 404 else "Method not allowed", request)
        try:
            return found()
        except Refused as wrong:
            errors = [{"code": "invalid", "field": wrong.field, "message": str(wrong)}]
            return problem(400, f"Invalid parameter {wrong.field}", request, errors=errors)

    def _aid(self, request: Request) -> str:
        return request.query.get("aid", next(iter(self._state.account_groups)))

    def _alerts(self, request: Request) -> Reply:
        now, aid = self._clock(), self._aid(request)
        of_group = [alert for alert in self._state.alerts.values() if alert.aid == aid]
        found = matching(of_group, wanted(request.query, now), now)
        shown, cursor = page(found, request.query.get("cursor"), _size(request, self._settings.page_size))
        links = {"self": _itself(request)}
        if cursor:
            links["next"] = _itself(request, cursor=cursor)
        return _hal({"alerts": [views.listed_alert(alert, now) for alert in shown], "_links": links})

    def _alert(self, request: Request, alert: str) -> Reply:
        known = self._state.alerts.get(alert)
        if known is None or known.aid != self._aid(request):
            return problem(404, "No such alert", request)
        return _hal(views.alert_detail(known, self._clock()))

    def _rules(self, request: Request) -> Reply:
        rules = [views.rule(rule) for rule in self._state.rules.values() if rule.aid == self._aid(request)]
        return _hal({"alertRules": rules, "_links": {"self": _itself(request)}})

    def _rule(self, request: Request, rule: str) -> Reply:
        known = self._state.rules.get(rule)
        if known is None or known.aid != self._aid(request):
            return problem(404, "No such rule", request)
        tests = [test for test in self._state.tests.values() if test.aid == known.aid and test.type == known.alert_type]
        shown = {"tests": [views.test(test) for test in tests], "testIds": [test.id for test in tests]}
        return _hal({**views.rule(known), **shown, "notifications": {}, "_links": {"self": _itself(request)}})

    def _suppression_windows(self, request: Request) -> Reply:
        return _hal({"alertSuppressionWindows": [], "_links": {"self": _itself(request)}})

    def _tests(self, request: Request) -> Reply:
        tests = [views.test(test) for test in self._state.tests.values() if test.aid == self._aid(request)]
        return _hal({"tests": tests, "_links": {"self": _itself(request)}})

    def _results(self, request: Request, test: str, kind: str) -> Reply:
        now, known = self._clock(), self._state.tests.get(test)
        if known is None or known.aid != self._aid(request) or kind not in ("http-server", *_RESULTS):
            return problem(404, "No such test", request)
        if kind == "http-server":
            expand = request.query.get("expand", "").split(",")
            results = views.http_results(known, now, certificates="certificate" in expand)
        else:
            results = _RESULTS[kind](known, now)
        said = {"test": views.test(known), "results": results, "startDate": zulu(now - 300), "endDate": zulu(now)}
        return _hal({**said, "_links": {"self": _itself(request)}})

    def _agents(self, request: Request) -> Reply:
        expand = "cluster-member" in request.query.get("expand", "").split(",")
        kinds = request.query.get("agentTypes", "cloud,enterprise,enterprise-cluster").split(",")
        of_group = [each for each in self._state.agents.values() if each.aid == self._aid(request)]
        agents = [views.agent(each, self._clock(), expand=expand) for each in of_group if each.type in kinds]
        if "cloud" in kinds:
            agents.append(
                {"agentId": "3379", "agentName": "Bucharest, Romania", "agentType": "cloud", "countryId": "RO"}
            )
        return _hal({"agents": agents, "_links": {"self": _itself(request)}})

    def _local_problems(self, request: Request) -> Reply:
        of_group = [each for each in self._state.agents.values() if each.aid == self._aid(request)]
        of_vendor = [each for each in of_group if each.type == "cloud"]
        found = [views.local_problem(each, self._clock()) for each in of_vendor for _ in range(each.problems)]
        return _hal({"localProblems": found, "_links": {"self": _itself(request)}})

    def _usage(self, request: Request) -> Reply:
        said = views.usage(self._state.units_used, self._state.units_included, self._clock())
        return _hal({**said, "_links": {"self": _itself(request)}})

    def _outages(self, request: Request) -> Reply:
        try:
            asked = request.json()
        except ValueError:
            return problem(400, "The filter is not JSON", request)
        if not isinstance(asked, dict) or asked.get("outageScope", "all") not in ("all", "with-affected-test"):
            return problem(400, "Invalid parameter outageScope", request)
        found = [views.outage(each, self._clock()) for each in self._state.outages]
        return _hal({"outages": found, "_links": {"self": _itself(request)}})

    def _account_groups(self, request: Request) -> Reply:
        groups = [
            {
                "aid": aid,
                "accountGroupName": name,
                "isCurrentAccountGroup": aid == self._aid(request),
                "isDefaultAccountGroup": place == 0,
                "organizationName": "Example",
                "orgId": "7777",
            }
            for place, (aid, name) in enumerate(self._state.account_groups.items())
        ]
        return _hal({"accountGroups": groups, "_links": {"self": _itself(request)}})


def _hal(content: Any) -> Reply:
    return answer(200, content, content_type=_HAL)


def _moved(version: str, request: Request) -> Reply:
    return Reply(301, b"", {"Location": views.API + request.path.removeprefix(f"/{version}")})


def _rate(limit: Verdict) -> dict[str, str]:
    prefix = "X-Organization-Rate-Limit-"
    headers = {"Limit": limit.limit, "Remaining": limit.remaining, "Reset": int(limit.reset)} if limit.limit else {}
    return {prefix + name: str(value) for name, value in headers.items()}


def _itself(request: Request, **more: str) -> dict[str, str]:
    query = urlencode({**request.query, **more})
    return views.link(request.path.removeprefix("/v7") + (f"?{query}" if query else ""))


def _size(request: Request, largest: int) -> int:
    text = request.query.get("max", str(largest))
    if not text.isdecimal() or int(text) < 1:
        raise Refused("max", "must be a positive whole number")
    return min(int(text), largest)
