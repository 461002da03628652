"""ThousandEyes' records as API v7 writes them, deprecated members beside the new ones."""

from typing import Any

from tests.sandbox.moments import spaced, zulu
from tests.sandbox.thousandeyes.state import Agent, Alert, Rule, VendorTest
from tests.sandbox.thousandeyes.webhook import permalink

API = "https://api.thousandeyes.com/v7"
_AGENTS = (("3379", "Bucharest, Romania", "RO"), ("4503", "Hong Kong", "HK"), ("57", "Dallas, TX", "US"))


def link(path: str) -> dict[str, str]:
    """Give a link as the vendor gives it: always to its own host, whatever host was asked."""
    return {"href": API + path}


def listed_alert(alert: Alert, now: float) -> dict[str, Any]:
    """In the list `state` and `severity` are upper-case, their successors lower-case."""
    said = _alert(alert, now)
    said |= {
        "alertId": alert.id,
        "dateStart": spaced(alert.started),
        "ruleId": int(alert.rule.id),
        "alertRuleId": alert.rule.id,
        "state": "ACTIVE" if alert.cleared is None else "CLEARED",
        "severity": alert.severity.upper(),
        "permalink": permalink(alert),
        "apiLinks": [{"rel": "self", "href": f"{API}/alerts/{alert.id}"}],
    }
    return said if alert.cleared is None else {**said, "dateEnd": spaced(alert.cleared)}


def alert_detail(alert: Alert, now: float) -> dict[str, Any]:
    """Write one alert; here `state` and `severity` are lower-case, and the agents are named."""
    state = _state(alert)
    start, end = {"metrics": "Response Code: 503"}, {"metrics": "Response Code: 503"}
    details = [
        {"id": number, "name": name, "type": "cea_agent", "state": state, "start": start, "end": end}
        for number, name in alert.agents
    ]
    return {**_alert(alert, now), "state": state, "severity": alert.severity, "details": details}


def _state(alert: Alert) -> str:
    return "trigger" if alert.cleared is None else "clear"


def _alert(alert: Alert, now: float) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": alert.id,
        "alertType": alert.alert_type,
        "startDate": zulu(alert.started),
        "violationCount": alert.violations,
        "duration": int((now if alert.cleared is None else alert.cleared) - alert.started),
        "suppressed": alert.suppressed,
        "meta": {"version": alert.version},
        "alertState": _state(alert),
        "alertSeverity": alert.severity,
        "_links": {
            "rule": link(f"/alerts/rules/{alert.rule.id}"),
            "appLink": {"href": permalink(alert)},
            "self": link(f"/alerts/{alert.id}"),
            **({"test": link(f"/tests/{alert.test.id}")} if alert.test else {}),
        },
    }
    return said if alert.cleared is None else {**said, "endDate": zulu(alert.cleared)}


def rule(of: Rule) -> dict[str, Any]:
    """Give a rule as the list has it."""
    return {
        "ruleId": of.id,
        "ruleName": of.name,
        "expression": of.expression,
        "alertType": of.alert_type,
        "severity": of.severity,
        "minimumSources": 2,
        "roundsViolatingOutOf": 2,
        "roundsViolatingRequired": 2,
        "roundsViolatingMode": "any",
        "notifyOnClear": of.notify_on_clear,
        "isDefault": False,
    }


def test(of: VendorTest) -> dict[str, Any]:
    """A test as the list has it."""
    results = {"bgp": ["bgp"], "dns-server": ["dns-server", "network"]}.get(of.type, ["http-server", "network", "bgp"])
    return {
        "testId": of.id,
        "testName": of.name,
        "type": of.type,
        "interval": of.interval,
        "enabled": of.enabled,
        "alertsEnabled": True,
        "savedEvent": of.saved_event,
        "liveShare": False,
        "createdBy": "noc@example.com",
        "createdDate": "2025-01-10T09:00:00Z",
        "_links": {
            "self": link(f"/tests/{of.id}"),
            "testResults": [link(f"/test-results/{of.id}/{kind}") for kind in results],
        },
    }


def http_results(of: VendorTest, now: float, *, certificates: bool) -> list[dict[str, Any]]:
    """One result per agent of the latest round; a failing agent's has no timings."""
    return [_http_result(of, now, place, certificates=certificates) for place in range(len(_AGENTS))]


def _http_result(of: VendorTest, now: float, place: int, *, certificates: bool) -> dict[str, Any]:
    said = {**_round(of, now), "agent": _agent(place)}
    if place < of.failing_agents:
        return {**said, "errorType": "Connect", "errorDetails": "Connection timed out"}
    said |= {"serverIp": "192.0.2.10", "responseCode": 200, "numRedirects": 0, "redirectTime": 0, "dnsTime": 4}
    said |= {"connectTime": 12, "sslTime": 20, "waitTime": 48, "receiveTime": 3, "responseTime": 84, "totalTime": 87}
    said |= {"wireSize": 10240, "throughput": 3413333, "errorType": "None", "healthScore": 0.98}
    if of.certificate_days is not None:
        said |= {"sslVersion": "TLSv1.3", "sslCipher": "TLS_AES_256_GCM_SHA384"}
        said |= {"sslCertificates": [_certificate(of, of.certificate_days, now)]} if certificates else {}
    return said


def network_results(of: VendorTest, now: float) -> list[dict[str, Any]]:
    """Loss in percent, times in milliseconds."""
    measured: dict[str, Any] = {
        "loss": of.loss,
        "avgLatency": 41.5,
        "minLatency": 40.0,
        "maxLatency": 47.2,
        "jitter": 1.3,
    }
    measured |= {
        "direction": "to-target",
        "healthScore": 1.0,
        "server": "checkout.example.com:443",
        "serverIp": "192.0.2.10",
    }
    return [{**_round(of, now), "agent": _agent(place), **measured} for place in range(len(_AGENTS))]


def bgp_results(of: VendorTest, now: float) -> list[dict[str, Any]]:
    """One result per BGP monitor."""
    monitor = {"monitorId": "53", "monitorName": "Helsinki, Finland", "countryId": "FI"}
    seen = {
        "prefix": "192.0.2.0/24",
        "prefixId": "610088",
        "reachability": of.reachability,
        "pathChanges": 1,
        "updates": 4,
    }
    return [{**_round(of, now), "monitor": monitor, **seen}]


def dns_results(of: VendorTest, now: float) -> list[dict[str, Any]]:
    """One result per agent; a failing agent's has an error instead of a resolution time."""
    said = {"server": "ns1.example.com.", "serverId": "61"}
    failed, answered = {"errorDetails": "Query timed out"}, {"resolutionTime": 14, "mappings": "192.0.2.10"}
    return [
        {**_round(of, now), "agent": _agent(place), **said, **(failed if place < of.failing_agents else answered)}
        for place in range(len(_AGENTS))
    ]


def agent(of: Agent, now: float, *, expand: bool = False) -> dict[str, Any]:
    """Write an agent as the list has it; of a cloud agent it says little, of a cluster its members only if asked."""
    said: dict[str, Any] = {"agentId": of.id, "agentName": of.name, "agentType": of.type, "location": of.location}
    said["countryId"] = "CZ"
    if of.type == "cloud":
        return said
    said |= {
        "enabled": of.state != "disabled",
        "createdDate": "2025-01-10T09:00:00Z",
        "utilization": of.utilization,
        "keepBrowserCache": False,
        "verifySslCertificates": True,
        "ipv6Policy": "force-ipv4",
    }
    if of.type != "enterprise-cluster":
        return {**said, "hostname": of.name.lower(), **_host(of, now, of.state)}
    members = [
        {"memberId": f"{of.id}{place}", "name": f"{of.name.lower()}-{place}", **_host(of, now, state)}
        for place, state in enumerate(of.members)
    ]
    return {**said, "clusterMembers": members} if expand else said


def _host(of: Agent, now: float, state: str) -> dict[str, Any]:
    return {
        "ipAddresses": ["192.0.2.20"],
        "publicIpAddresses": ["198.51.100.20"],
        "network": "Example Net (AS 64500)",
        "prefix": "198.51.100.0/24",
        "agentState": state,
        "lastSeen": zulu(now - of.silent_for),
        "utilization": of.utilization,
        "errorDetails": [{"code": "agent-version-outdated", "description": "Old version"}] * of.errors,
    }


def local_problem(of: Agent, now: float) -> dict[str, Any]:
    """Write a local problem of an agent that goes on for five minutes."""
    whose = {"agentId": of.id, "agentName": of.name, "countryId": "CZ", "location": of.location}
    return {"agent": whose, "startDate": zulu(now - 300), "endDate": None, "duration": 300, "active": True}


def outage(of: dict[str, Any], now: float) -> dict[str, Any]:
    """Write an outage that goes on."""
    started = of["started"]
    counts = {"affectedTestsCount": 1, "affectedServersCount": 3, "affectedLocationsCount": 2}
    times = {"startDate": zulu(started), "startRoundId": int(started), "duration": int(now - started)}
    return {
        "id": of["id"],
        "type": of["type"],
        "providerName": of["provider"],
        "providerType": "IAAS",
        **times,
        **counts,
    }


def usage(used: int, included: int, now: float) -> dict[str, Any]:
    """Write what of the plan is used in the month."""
    quota = {"monthStart": zulu(now - 10 * 86400), "monthEnd": zulu(now + 20 * 86400), "cloudUnitsIncluded": included}
    return {
        "usage": {"quota": quota, "cloudUnitsUsed": used, "cloudUnitsProjected": 3 * used, "enterpriseUnitsUsed": 0}
    }


def _agent(place: int) -> dict[str, str]:
    number, name, country = _AGENTS[place]
    return {"agentId": number, "agentName": name, "countryId": country, "location": name}


def _round(of: VendorTest, now: float) -> dict[str, Any]:
    start = int(now // of.interval * of.interval)
    page = {"appLink": {"href": f"https://app.thousandeyes.com/view/tests?__a={of.aid}&testId={of.id}"}}
    times = {"roundId": start, "startTime": start, "endTime": start + of.interval}
    return {"date": zulu(start + 5), **times, "_links": page}


def _certificate(of: VendorTest, days: float, now: float) -> dict[str, Any]:
    """`validBefore` is the expiry: not valid after it."""
    return {
        "daysUntilExpiry": int(days // 1),
        "isFetchDateInValidCertDateRange": days > 0,
        "issuerName": "Example CA",
        "validAfter": zulu(now + (days - 90) * 86400),
        "validBefore": zulu(now + days * 86400),
        "subjectName": of.target.removeprefix("https://"),
        "subjectAlternativeNames": [of.target.removeprefix("https://")],
    }
