"""The metrics of ThousandEyes, and how they are filled."""

from collections import Counter
from collections.abc import Iterator, Mapping

from exporter.metrics.families import Family, Sample, gauge

from .answers import SEVERITIES, UNKNOWN, Alert
from .knowledge import Group, Result

ACTIVE = gauge(
    "thousandeyes_active_alerts",
    "Active alerts, suppressed ones included.",
    "account_group",
    "alert_type",
    "severity",
)
SUPPRESSED = gauge(
    "thousandeyes_suppressed_alerts",
    "Active alerts that a suppression window hides now.",
    "account_group",
    "alert_type",
    "severity",
)
OLDEST = gauge(
    "thousandeyes_oldest_active_alert_timestamp_seconds",
    "When the oldest active alert started, in seconds since the epoch; absent without one.",
    "account_group",
)
AVAILABILITY = gauge(
    "thousandeyes_test_availability_ratio",
    "Share of agents whose last round of the http-server test ended without an error, 0 to 1.",
    "account_group",
    "test_id",
)
EXPIRY_DAYS = gauge(
    "thousandeyes_certificate_expiry_days",
    "Days until the first server certificate that the test's agents saw expires.",
    "account_group",
    "test_id",
)
EXPIRY = gauge(
    "thousandeyes_certificate_expiry_timestamp_seconds",
    "When the first server certificate that the test's agents saw expires, in seconds since the epoch.",
    "account_group",
    "test_id",
)
ALERT = gauge(
    "thousandeyes_alert_active",
    "Constant 1 for each active alert; rule and test by name, by id while the name is not known.",
    "account_group",
    "alert_id",
    "rule",
    "test",
    "alert_type",
    "severity",
)
METRICS = (ACTIVE, SUPPRESSED, OLDEST, AVAILABILITY, EXPIRY_DAYS, EXPIRY, ALERT)

DAY = 86_400.0
_GRAVITY = {severity: rank for rank, severity in enumerate((*SEVERITIES, UNKNOWN))}


def families(groups: Mapping[str, Group], results: Mapping[str, Mapping[str, Result]], now: float) -> Iterator[Family]:
    """Yield the families of the groups that were listed, and of the results given, both by account group."""
    yield Family(ACTIVE, [sample for aid, group in groups.items() for sample in _counts(aid, group, group.alerts)])
    hidden = {aid: [alert for alert in group.alerts if alert.suppressed] for aid, group in groups.items()}
    yield Family(SUPPRESSED, [sample for aid, group in groups.items() for sample in _counts(aid, group, hidden[aid])])
    yield Family(OLDEST, [sample for aid, group in groups.items() for sample in _oldest(aid, group)])
    yield from _measured(results, now)
    yield Family(ALERT, _alerts(groups))


def _counts(aid: str, group: Group, alerts: list[Alert] | tuple[Alert, ...]) -> Iterator[Sample]:
    """Count by type and severity, with 0 for each known severity of a type that has been seen."""
    counts = Counter({(kind, severity): 0 for kind in group.types for severity in SEVERITIES})
    counts.update((alert.type, alert.severity) for alert in alerts)
    yield from (((aid, kind, severity), float(count)) for (kind, severity), count in counts.items())


def _oldest(aid: str, group: Group) -> Iterator[Sample]:
    started = [alert.started for alert in group.alerts if alert.started is not None]
    if started:
        yield (aid,), min(started)


def _measured(results: Mapping[str, Mapping[str, Result]], now: float) -> Iterator[Family]:
    """Yield what http-server tests measured."""
    found = [((aid, test), result.measured) for aid, tests in results.items() for test, result in tests.items()]
    expiries = [(labels, measured.expires) for labels, measured in found if measured.expires is not None]
    yield Family(AVAILABILITY, [(labels, each.availability) for labels, each in found if each.availability is not None])
    yield Family(EXPIRY_DAYS, [(labels, (expires - now) / DAY) for labels, expires in expiries])
    yield Family(EXPIRY, expiries)


def _alerts(groups: Mapping[str, Group]) -> list[Sample]:
    """Return 1 for each alert that has an id, the gravest first: a limit cuts from the end."""
    found = [(aid, group, alert) for aid, group in groups.items() for alert in group.alerts if alert.id]
    found.sort(key=lambda each: (_GRAVITY[each[2].severity], each[0], each[2].id))
    return [
        ((aid, alert.id, group.rule(alert), group.test(alert), alert.type, alert.severity), 1.0)
        for aid, group, alert in found
    ]
