"""ThousandEyes's JSON (API v7), read into records.

Every member of an alert is optional in the vendor's schema, so a missing one counts as unknown, and deprecated members
stand in for their replacements. Only the list itself is required.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from exporter.collectors.lenient_json import objects, read_object, text_of
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import flag_of, number_of, object_of, objects_of, time_of

SEVERITIES = ("critical", "major", "minor", "info")
"""Gravest first."""
UNKNOWN = "unknown"
_KINDS = {
    "agent-to-agent": {"network"},
    "agent-to-server": {"network", "bgp"},
    "bgp": {"bgp"},
    "dns-server": {"dns-server", "network", "bgp"},
    "http-server": {"network", "bgp"},
    "page-load": {"network", "bgp"},
    "web-transactions": {"network", "bgp"},
}
"""The kinds of results of each test type, used if a test has no links; whether it has `http` follows from the type."""
_ACTIVE = {"trigger": True, "active": True, "clear": False, "cleared": False}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; "" for missing values. `started`: epoch seconds."""

    id: str
    type: str
    severity: str
    active: bool
    suppressed: bool
    rule_id: str
    test_id: str
    started: float | None


@dataclass(frozen=True, slots=True)
class AlertPage:
    """One page of alerts, and the cursor of the next."""

    alerts: tuple[Alert, ...]
    cursor: str | None
    broken: bool = False
    """Whether the link to the next page cannot be followed, so that the listing is incomplete."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test. `interval`: seconds; `of_today`: enabled and not a saved event; `kinds`: its kinds of results."""

    id: str
    name: str
    interval: float
    of_today: bool
    type: str = ""
    kinds: tuple[str, ...] = ()


def read_alerts(body: bytes) -> AlertPage:
    """Read a page of `/alerts`. Raises Malformed without a list of alerts."""
    document = read_object(body)
    alerts = tuple(_alert(row) for row in read_rows(document, "alerts"))
    if not goes_on(document):
        return AlertPage(alerts, None)
    try:
        # Take only the cursor from the link, which may name any host.
        cursor = parse_qs(urlsplit(_href(document, "next")).query).get("cursor", [None])[0]
    except ValueError:
        cursor = None
    return AlertPage(alerts, cursor, broken=cursor is None)


def goes_on(document: dict[str, Any]) -> bool:
    """Return whether a list has a further page, even if the link to it cannot be read."""
    links = document.get("_links")
    return bool(links.get("next") if isinstance(links, dict) else links)


def read_rules(body: bytes) -> dict[str, str]:
    """Read `/alerts/rules` as names by id."""
    listed = read_rows(read_object(body), "alertRules")
    rows = ((text_of(row.get("ruleId")), text_of(row.get("ruleName"))) for row in listed)
    return {rule: name for rule, name in rows if rule and name}


def read_tests(body: bytes) -> tuple[Test, ...]:
    """Read `/tests`, leaving out tests without an id."""
    tests = []
    for row in read_rows(read_object(body), "tests"):
        kind, listed = text_of(row.get("type")), object_of(row.get("_links")).get("testResults")
        results = (each.get("href") for each in objects_of(listed))
        kinds = {last_segment(text_of(href)) for href in results if href} or _KINDS.get(kind, set())
        test = Test(
            id=text_of(row.get("testId")),
            name=text_of(row.get("testName")),
            interval=number_of(row.get("interval")) or 0.0,
            of_today=flag_of(row.get("enabled")) is not False and flag_of(row.get("savedEvent")) is not True,
            type=kind,
            kinds=tuple(sorted(kinds)),
        )
        tests += [test] if test.id else []
    return tuple(tests)


def read_rows(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list's rows; null counts as an empty list. Raises Malformed if there is no list."""
    if name not in document:
        raise Malformed(f"{name}: missing")
    return objects(document[name], name)


def _alert(row: dict[str, Any]) -> Alert:
    states = (_ACTIVE.get(text_of(row.get(name)).strip().lower()) for name in ("alertState", "state"))
    severities = (text_of(row.get(name)).strip().lower() for name in ("alertSeverity", "severity"))
    return Alert(
        id=text_of(row.get("id")) or text_of(row.get("alertId")) or last_segment(_href(row, "self")),
        type=text_of(row.get("alertType")).strip().lower() or UNKNOWN,
        severity=next((severity for severity in severities if severity in SEVERITIES), UNKNOWN),
        # Only active alerts are requested, so one without a readable state is active.
        active=next((state for state in states if state is not None), True),
        suppressed=flag_of(row.get("suppressed")) is True,
        rule_id=text_of(row.get("alertRuleId")) or text_of(row.get("ruleId")) or last_segment(_href(row, "rule")),
        test_id=last_segment(_href(row, "test")),
        started=time_of(row.get("startDate")) or time_of(row.get("dateStart")),
    )


def _href(row: dict[str, Any], name: str) -> str:
    link = object_of(row.get("_links")).get(name)
    if isinstance(link, list) and link:
        link = link[0]  # HAL allows a relation to have several links
    return text_of(link.get("href") if isinstance(link, dict) else link)


def last_segment(href: str) -> str:
    """Return the last segment of a link's path, usually an id; "" if unreadable."""
    try:
        return urlsplit(href).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""
