"""ThousandEyes: which alerts are active, of which type, rule and test, and for how long."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of
from grafana.queries import ACCOUNT, EXPORTER, age, zero_while_polled
from grafana.variables import chained

COUNT: Final = Look("short", decimals=0)
NONE: Final = "✓ No active alert is known."
RATIO: Final = Look("percentunit", ((0.9, palette.WARN), (0.99, palette.GOOD)), palette.BAD, decimals=1)


def dashboard() -> Dashboard:
    """Return the dashboard of ThousandEyes' alerts."""
    return Board(
        name="thousandeyes",
        title="ThousandEyes",
        told="Alerts of ThousandEyes by type, severity, rule and test; availability and certificates of its tests.",
        metrics=[EXPORTER],
        runbook="thousandeyes.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector="thousandeyes"')],
        sections=[
            Section("", _now()),
            Section("Active alerts", [_active(), _by_rule(), _by_test()]),
            Section("Over time", [_by_severity(), _by_type()]),
            Section("Tests", [_availability(), _certificates()]),
        ],
    ).build()


def _counted(metric: str, by: str = "", more: str = "") -> str:
    one = f"max by (account, account_group, alert_type, severity) ({ACCOUNT(metric, more)})"
    return f"sum by ({by}) ({one})" if by else f"sum({one})"


def _each() -> str:
    labels = "account, account_group, alert_id, rule, test, alert_type, severity"
    return f"max by ({labels}) ({ACCOUNT('thousandeyes_alert_active')})"


def _now() -> list[Panel]:
    active, hidden = _counted("thousandeyes_active_alerts"), _counted("thousandeyes_suppressed_alerts")
    bad = _counted("thousandeyes_active_alerts", more='severity=~"critical|major"')
    oldest = f"time() - min({ACCOUNT('thousandeyes_oldest_active_alert_timestamp_seconds')})"
    none = palette.words({"0": ("✓ none", palette.GOOD)})
    size = Size(4, 4)
    return [
        stat_of(
            Text("Active alerts", "Alerts that are active now, suppressed ones included."),
            zero_while_polled(active, "thousandeyes"),
            Look(above=palette.HIGH_IS_ODD, words=none),
            size,
        ),
        stat_of(
            Text("Critical or major", "Active alerts of the two highest severities."),
            zero_while_polled(bad, "thousandeyes"),
            Look(above=palette.HIGH_IS_BAD, words=none),
            size,
        ),
        stat_of(
            Text("Suppressed", "Active alerts that a suppression window of ThousandEyes keeps quiet."),
            zero_while_polled(hidden, "thousandeyes"),
            Look(lowest=palette.QUIET),
            size,
        ),
        stat_of(
            Text("Longest running", "Since when the oldest active alert has been running."),
            zero_while_polled(oldest, "thousandeyes"),
            Look("s", ((3600, palette.WARN), (86400, palette.BAD)), words=none, decimals=0),
            size,
        ),
        stat_of(
            Text("Lowest availability", "The test that the fewest agents reach, of those whose results are read."),
            f"min({ACCOUNT('thousandeyes_test_availability_ratio')})",
            RATIO,
            size,
        ),
        stat_of(
            Text("Age", "How long ago ThousandEyes last answered for the account whose values are the oldest."),
            age("thousandeyes"),
            Look("s", palette.AGE, decimals=0, link="exporter"),
            size,
        ),
    ]


def _active() -> Panel:
    text = Text(
        "Active alerts, longest first",
        "Seen for: since when within the dashboard's time range; widen it for alerts that began before.",
        NONE,
    )
    columns = [
        Column("severity", "Severity", Look("string", words=palette.SEVERITY), 110),
        Column("rule", "Rule"),
        Column("test", "Test"),
        Column("alert_type", "Type", width=160),
        Column("Value", "Seen for", Look("s", decimals=0), 110),
        Column("account_group", "Account group", width=120),
        Column("account", "Account", width=100),
        Column("alert_id", "Alert"),
    ]
    labels = "account, account_group, alert_id, rule, test, alert_type, severity"
    first = f"min by ({labels}) (min_over_time(timestamp({ACCOUNT('thousandeyes_alert_active')})[$__range:]))"
    return table_of(text, {"A": f"time() - ({first} and {_each()})"}, columns, Size(24, 10), "-Seen for")


def _by_rule() -> Panel:
    told = "Active alerts of each alert rule: a rule that stands out is the outage, or wrongly set."
    return _ranked(Text("By rule", told, NONE), Column("rule", "Rule"))


def _by_test() -> Panel:
    told = "Active alerts of each test: many rules on one test mean that its target is in trouble."
    return _ranked(Text("By test", told, NONE), Column("test", "Test"))


def _ranked(text: Text, label: Column) -> Panel:
    counted = f"count by ({label.name}) ({_each()})"
    columns = [label, Column("Value", "Alerts", Look("none"), bar=True)]
    return table_of(text, {"A": counted}, columns, Size(12, 8), "-Alerts")


def _by_severity() -> Panel:
    return lines(
        Text("By severity", "Active alerts of each severity, stacked.", "✓ No alert is known to have been active."),
        [query(_counted("thousandeyes_active_alerts", "severity"), "{{severity}}")],
        Look("short", decimals=0, named=("critical", "major", "minor", "info", "unknown")),
        Size(12, 9),
        stacked=True,
    )


def _by_type() -> Panel:
    return lines(
        Text("By type", "Active alerts of each type of test, stacked.", "✓ No alert is known to have been active."),
        [query(_counted("thousandeyes_active_alerts", "alert_type"), "{{alert_type}}")],
        COUNT,
        Size(12, 9),
        stacked=True,
    )


def _availability() -> Panel:
    each = f"min by (account, account_group, test_id) ({ACCOUNT('thousandeyes_test_availability_ratio')})"
    expr = f"bottomk(10, {each})"
    return lines(
        Text(
            "Availability, the ten lowest",
            "Part of the agents that reach the target, by test; only of tests whose results are read (`test_results`).",
            "No test's results are read: see test_results in exporter.yml.",
        ),
        [query(expr, "test {{test_id}}")],
        Look("percentunit"),
        Size(12, 9),
    )


def _certificates() -> Panel:
    expr = f"min by (account, account_group, test_id) ({ACCOUNT('thousandeyes_certificate_expiry_days')})"
    text = Text(
        "Certificates of tests",
        "Days until the certificate that the test's agents see expires.",
        "No test's results tell of a certificate: see test_results in exporter.yml.",
    )
    columns = [
        Column("test_id", "Test", width=140),
        Column("Value", "Days left", Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1), 110),
        Column("account_group", "Account group"),
        Column("account", "Account"),
    ]
    return table_of(text, {"A": expr}, columns, Size(12, 9), "Days left")
