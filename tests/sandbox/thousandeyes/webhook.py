"""The classic webhook's payload: Title Case severities, display names of types, integers for ids of rules and tests."""

import uuid
from typing import TYPE_CHECKING, Any

from tests.sandbox.moments import spaced

if TYPE_CHECKING:
    from tests.sandbox.thousandeyes.state import Alert, VendorTest

_DISPLAY = {
    "http-server": "HTTP Server",
    "page-load": "Page Load",
    "end-to-end-server": "Network",
    "bgp": "BGP",
    "dnssec": "DNSSEC",
    "agent": "Agent",
    "network-outage": "Network Outage",
}


def test_message(now: float) -> dict[str, Any]:
    """It has nothing but its type and id."""
    return {"eventType": "WEBHOOK_TEST", "eventId": str(int(now * 1000))}


def notification(alert: "Alert", active: int) -> dict[str, Any]:
    """`active`: 1 triggered, 0 cleared, 2 rule or test removed."""
    event = "ALERT_NOTIFICATION_TRIGGER" if active == 1 else "ALERT_NOTIFICATION_CLEAR"
    said: dict[str, Any] = {
        "severity": alert.severity.title(),
        "dateStartZoned": f"{spaced(alert.started)} UTC",
        "active": active,
        "ruleExpression": alert.rule.expression,
        "type": _DISPLAY.get(alert.alert_type, alert.alert_type),
        "ruleAid": int(alert.aid),
        "violationCount": max(1, alert.violations),
        "dateStart": spaced(alert.started),
        "ruleName": alert.rule.name,
        "alertId": alert.id,
        "ruleId": int(alert.rule.id),
        "permalink": permalink(alert),
    }
    if alert.alert_type == "bgp":
        said["monitors"] = [_monitor(alert, active)]
    else:
        said["agents"] = [_agent(alert, number, name, active) for number, name in alert.agents]
    if alert.test:
        said |= _test(alert.test)
    if alert.cleared is not None:
        said |= {"dateEnd": spaced(alert.cleared), "dateEndZoned": f"{spaced(alert.cleared)} UTC"}
    return {"eventId": f"{uuid.uuid4()}--{alert.id}", "eventType": event, "alert": said}


def permalink(alert: "Alert") -> str:
    """Give the alert's page."""
    return f"https://app.thousandeyes.com/alerts/list/?__a={alert.aid}&alertId={alert.id}"


def _test(test: "VendorTest") -> dict[str, Any]:
    """Describe the test; the links still point to API version 4."""
    return {
        "testId": int(test.id),
        "testName": test.name,
        "testLabels": [{"id": 562949953465712, "name": "web"}],
        "testTargetsDescription": [test.target],
        "apiLinks": [{"rel": "related", "href": f"https://api.thousandeyes.com/v4/tests/{test.id}"}],
    }


def _monitor(alert: "Alert", active: int) -> dict[str, Any]:
    seen = {"monitorId": 53, "monitorName": "Helsinki, Finland", "prefixId": 610088, "prefix": "192.0.2.0/24"}
    metrics = {"metricsAtStart": "Reachability: 99.8%", "metricsAtEnd": "" if active == 1 else "Reachability: 100%"}
    seen |= {"network": "Example (AS 64500)", "permalink": f"{permalink(alert)}&monitorId=53"}
    return {"dateStart": spaced(alert.started), "active": int(active == 1), **seen, **metrics}


def _agent(alert: "Alert", number: str, name: str, active: int) -> dict[str, Any]:
    return {
        "dateStart": spaced(alert.started),
        "active": int(active == 1),
        "metricsAtStart": "Response Code: 503",
        "metricsAtEnd": "" if active == 1 else "Response Code: 200",
        "permalink": f"{permalink(alert)}&agentId={number}",
        "agentId": int(number),
        "agentName": name,
        **({} if alert.cleared is None else {"dateEnd": spaced(alert.cleared)}),
    }
