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
    """One page of alerts, and the cursor of the next one."""

    alerts: tuple[Alert, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Test:
    """One test. `interval`: seconds; `measured`: an enabled http-server test of today, not a saved event."""

    id: str
    name: str
    interval: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """The latest round of an http-server test.

    `availability`: share of agents without an error, 0 to 1. `expires`: epoch second at which the first server
    certificate ends that any agent saw.
    """

    availability: float | None
    expires: float | None


def read_alerts(body: bytes) -> AlertPage:
    """Read a page of `/alerts`; `Malformed` without a list of alerts."""
    document = _document(body)
    return AlertPage(tuple(_alert(row) for row in _rows(document, "alerts")), _cursor(document))


def read_rules(body: bytes) -> dict[str, str]:
    """Read `/alerts/rules` into names by id."""
    rows = ((_text(row.get("ruleId")), _text(row.get("ruleName"))) for row in _rows(_document(body), "alertRules"))
    return {rule: name for rule, name in rows if rule and name}


def read_tests(body: bytes) -> tuple[Test, ...]:
    """Read `/tests`; a test without an id is of no use and left out."""
    return tuple(test for row in _rows(_document(body), "tests") if (test := _test(row)).id)


def read_results(body: bytes) -> Measured:
    """Read `/test-results/{id}/http-server`; of several rounds the latest counts."""
    rows = list(_rows(_document(body), "results"))
    rounds = [_number(row.get("roundId")) or _number(row.get("startTime")) for row in rows]
    latest = max((each for each in rounds if each is not None), default=None)
    agents = [row for row, each in zip(rows, rounds, strict=True) if each == latest]
    errors = [error.lower() for row in agents if (error := _text(row.get("errorType")))]
    expiries = [expires for row in agents if (expires := _expiry(row)) is not None]
    return Measured(errors.count("none") / len(errors) if errors else None, min(expiries, default=None))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None
    if not isinstance(document, dict):
        raise Malformed("body: not an object")
    return document


def _rows(document: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    if name not in document:
        raise Malformed(f"{name}: missing")
    if not isinstance(document[name], list):
        raise Malformed(f"{name}: not a list")
    for place, row in enumerate(document[name]):
        if not isinstance(row, dict):
            raise Malformed(f"{name}[{place}]: not an object")
        yield row


def _alert(row: dict[str, Any]) -> Alert:
    return Alert(
        id=_text(row.get("id")) or _text(row.get("alertId")) or _last_segment(_href(row, "self")),
        type=_text(row.get("alertType")).lower() or UNKNOWN,
        severity=_severity(row),
        active=_active(row),
        suppressed=row.get("suppressed") is True,
        rule_id=_text(row.get("alertRuleId")) or _text(row.get("ruleId")) or _last_segment(_href(row, "rule")),
        test_id=_last_segment(_href(row, "test")),
        started=_time(row.get("startDate")) or _time(row.get("dateStart")),
    )


def _active(row: dict[str, Any]) -> bool:
    """Say whether the alert is active; one without a readable state is, since only active ones are asked for."""
    states = (_ACTIVE.get(_text(row.get(name)).lower()) for name in ("alertState", "state"))
    return next((state for state in states if state is not None), True)


def _severity(row: dict[str, Any]) -> str:
    told = (_text(row.get(name)).lower() for name in ("alertSeverity", "severity"))
    return next((severity for severity in told if severity in SEVERITIES), UNKNOWN)


def _test(row: dict[str, Any]) -> Test:
    of_today = row.get("enabled") is not False and row.get("savedEvent") is not True
    return Test(
        id=_text(row.get("testId")),
        name=_text(row.get("testName")),
        interval=_number(row.get("interval")) or 0.0,
        measured=of_today and row.get("type") == "http-server",
    )


def _expiry(row: dict[str, Any]) -> float | None:
    """Return when the server's own certificate, the first of the chain, ends: the vendor calls it `validBefore`."""
    chain = row.get("sslCertificates")
    leaf = chain[0] if isinstance(chain, list) and chain else None
    return _time(leaf.get("validBefore")) if isinstance(leaf, dict) else None


def _cursor(document: dict[str, Any]) -> str | None:
    """Return the cursor of the next page: all that is taken of its link, which may name any host."""
    try:
        return parse_qs(urlsplit(_href(document, "next")).query).get("cursor", [None])[0]
    except ValueError:
        return None


def _href(row: dict[str, Any], name: str) -> str:
    links = row.get("_links")
    link = links.get(name) if isinstance(links, dict) else None
    return _text(link.get("href")) if isinstance(link, dict) else ""


def _last_segment(href: str) -> str:
    try:
        return urlsplit(href).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # noqa: PLR2004  beyond that no time and no round


def _time(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
