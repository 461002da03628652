"""ThousandEyes' JSON (API v7), read into records.

Every member of an alert is optional in the vendor's schema, so a missing one is read as not known, and the
members marked deprecated stand in for those that replace them. Only the list itself is demanded.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from exporter.errors import Malformed

SEVERITIES = ("critical", "major", "minor", "info")
"""Gravest first."""
UNKNOWN = "unknown"
_KINDS = {
    "agent-to-agent": {"network"},
    "agent-to-server": {"network", "bgp"},
    "bgp": {"bgp"},
    "dns-server": {"dns-server", "network", "bgp"},
    "http-server": {"http-server", "network", "bgp"},
    "page-load": {"http-server", "network", "bgp"},
    "web-transactions": {"http-server", "network", "bgp"},
}
"""The kinds of results a test of each type has, where its links do not say it."""
_ACTIVE = {"trigger": True, "active": True, "clear": False, "cleared": False}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; "" where the vendor does not say. `started`: epoch seconds."""

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
    """One page of alerts, and the cursor of the next one.

    `broken`: there is a link to a next page, and it cannot be followed: the listing is short of what comes there.
    """

    alerts: tuple[Alert, ...]
    cursor: str | None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """One test. `interval`: seconds; `of_today`: enabled and no saved event; `kinds`: the kinds of results it has."""

    id: str
    name: str
    interval: float
    of_today: bool
    type: str = ""
    kinds: tuple[str, ...] = ()


def read_alerts(body: bytes) -> AlertPage:
    """Read a page of `/alerts`; `Malformed` without a list of alerts."""
    document = read_document(body)
    cursor, broken = _cursor(document)
    return AlertPage(tuple(_alert(row) for row in read_rows(document, "alerts")), cursor, broken)


def read_rules(body: bytes) -> dict[str, str]:
    """Read `/alerts/rules` into names by id."""
    listed = read_rows(read_document(body), "alertRules")
    rows = ((text_of(row.get("ruleId")), text_of(row.get("ruleName"))) for row in listed)
    return {rule: name for rule, name in rows if rule and name}


def read_tests(body: bytes) -> tuple[Test, ...]:
    """Read `/tests`; a test without an id is of no use and left out."""
    return tuple(test for row in read_rows(read_document(body), "tests") if (test := _test(row)).id)


def read_document(body: bytes) -> dict[str, Any]:
    """Return an answer's JSON object. Malformed when it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None
    if not isinstance(document, dict):
        raise Malformed("body: not an object")
    return document


def read_rows(document: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield a list's rows; null is an empty list, as some servers write one. Malformed when there is no list."""
    if name not in document:
        raise Malformed(f"{name}: missing")
    rows = [] if document[name] is None else document[name]
    if not isinstance(rows, list):
        raise Malformed(f"{name}: not a list")
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Malformed(f"{name}[{place}]: not an object")
        yield row


def _alert(row: dict[str, Any]) -> Alert:
    return Alert(
        id=text_of(row.get("id")) or text_of(row.get("alertId")) or last_segment(_href(row, "self")),
        type=text_of(row.get("alertType")).lower() or UNKNOWN,
        severity=_severity(row),
        active=_active(row),
        suppressed=row.get("suppressed") is True,
        rule_id=text_of(row.get("alertRuleId")) or text_of(row.get("ruleId")) or last_segment(_href(row, "rule")),
        test_id=last_segment(_href(row, "test")),
        started=time_of(row.get("startDate")) or time_of(row.get("dateStart")),
    )


def _active(row: dict[str, Any]) -> bool:
    """Say whether the alert is active; one without a readable state is, since only active ones are asked for."""
    states = (_ACTIVE.get(text_of(row.get(name)).lower()) for name in ("alertState", "state"))
    return next((state for state in states if state is not None), True)


def _severity(row: dict[str, Any]) -> str:
    told = (text_of(row.get(name)).lower() for name in ("alertSeverity", "severity"))
    return next((severity for severity in told if severity in SEVERITIES), UNKNOWN)


def _test(row: dict[str, Any]) -> Test:
    kind = text_of(row.get("type"))
    links = row.get("_links")
    listed = links.get("testResults") if isinstance(links, dict) else None
    listed = listed if isinstance(listed, list) else []
    named = {last_segment(text_of(each.get("href"))) for each in listed if isinstance(each, dict)}
    return Test(
        id=text_of(row.get("testId")),
        name=text_of(row.get("testName")),
        interval=number_of(row.get("interval")) or 0.0,
        of_today=row.get("enabled") is not False and row.get("savedEvent") is not True,
        type=kind,
        kinds=tuple(sorted(named or _KINDS.get(kind, set()))),
    )


def _cursor(document: dict[str, Any]) -> tuple[str | None, bool]:
    """Return the next page's cursor, all that is taken of a link that may name any host, and whether it is broken."""
    links = document.get("_links")
    if not links or (isinstance(links, dict) and not links.get("next")):
        return None, False
    try:
        cursor = parse_qs(urlsplit(_href(document, "next")).query).get("cursor", [None])[0]
    except ValueError:
        cursor = None
    return cursor, cursor is None


def _href(row: dict[str, Any], name: str) -> str:
    links = row.get("_links")
    link = links.get(name) if isinstance(links, dict) else None
    if isinstance(link, list) and link:
        link = link[0]  # HAL lets a relation have several links
    return text_of(link.get("href") if isinstance(link, dict) else link)


def last_segment(href: str) -> str:
    """Return what stands behind the last slash of a link's path, an id mostly; "" when it cannot be read."""
    try:
        return urlsplit(href).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""


def text_of(value: Any) -> str:
    """Return a text or a whole number as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def number_of(value: Any) -> float | None:
    """Return a number, also one that is written as text; None for what is none, or beyond any time or round."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e15 else None  # noqa: PLR2004  NaN is not below it either


def time_of(value: Any) -> float | None:
    """Return an ISO 8601 moment in epoch seconds, UTC where it names no zone; None when it cannot be read."""
    try:
        moment = datetime.fromisoformat(value)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
