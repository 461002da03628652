"""ThousandEyes: active alerts by type, rule, test and age; results of tests; agents; the plan."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of
from grafana.queries import ACCOUNT, EXPORTER, age, named_tests, zero_while_polled
from grafana.variables import chained

ALERT_PAGE: Final = "https://app.thousandeyes.com/alerts/list/"
COUNT: Final = Look("short", decimals=0)
NONE: Final = "✓ No active alerts."
RATIO: Final = Look("percentunit", ((0.9, palette.WARN), (0.99, palette.GOOD)), palette.BAD, decimals=1)


def dashboard() -> Dashboard:
    """Return the dashboard of ThousandEyes' alerts."""
    return Board(
        name="thousandeyes",
        title="ThousandEyes",
        description="Active alerts by type, severity, rule and test; results of tests; agents; units of the plan.",
        metrics=[EXPORTER],
        runbook="thousandeyes.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector="thousandeyes"')],
        sections=[
            Section("", _now()),
            Section("Active alerts", [_active(), _by_rule(), _by_test()]),
            Section("Over time", [_by_severity(), _by_type()]),
            Section("Tests", [_availability(), _certificates(), *_network(), _bgp(), _dns()]),
            Section("Agents", _agents()),
            Section("Plan and Internet", [_units(), _outages(), _cleared(), _ages()]),
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
            Text("Active alerts", "Active alerts, suppressed ones included."),
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
            Text("Suppressed", "Active alerts in a suppression window of ThousandEyes."),
            zero_while_polled(hidden, "thousandeyes"),
            Look(lowest=palette.QUIET),
            size,
        ),
        stat_of(
            Text("Oldest active", "Age of the oldest active alert."),
            zero_while_polled(oldest, "thousandeyes"),
            Look("s", ((3600, palette.WARN), (86400, palette.BAD)), words=none, decimals=0),
            size,
        ),
        stat_of(
            Text("Lowest availability", "The lowest availability of a test whose results are polled."),
            f"min({ACCOUNT('thousandeyes_test_availability_ratio')})",
            RATIO,
            size,
        ),
        stat_of(
            Text("Age", "Time since the last successful poll of ThousandEyes, for the account with the oldest data."),
            age("thousandeyes"),
            Look("s", palette.AGE, decimals=0, link="exporter"),
            size,
        ),
    ]


def _active() -> Panel:
    text = Text(
        "Active alerts, oldest first",
        "Active for: within the dashboard's time range; widen it for alerts that began before.",
        NONE,
    )
    columns = [
        Column("severity", "Severity", Look("string", words=palette.SEVERITY), 110),
        Column("rule", "Rule"),
        Column("test", "Test"),
        Column("alert_type", "Type", width=160),
        Column("Value", "Active for", Look("s", decimals=0), 110),
        Column("account_group", "Account group", width=120),
        Column("account", "Account", width=100),
        Column(
            "alert_id", "Alert", width=130, url=f"{ALERT_PAGE}?alertId=${{__value.raw}}", hint="Open at ThousandEyes"
        ),
    ]
    labels = "account, account_group, alert_id, rule, test, alert_type, severity"
    first = f"min by ({labels}) (min_over_time(timestamp({ACCOUNT('thousandeyes_alert_active')})[$__range:]))"
    return table_of(text, {"A": f"time() - ({first} and {_each()})"}, columns, Size(24, 10), "-Active for")


def _by_rule() -> Panel:
    description = (
        "Active alerts of each alert rule. Many alerts of one rule: an outage, or a rule that is too sensitive."
    )
    return _ranked(Text("By rule", description, NONE), Column("rule", "Rule"))


def _by_test() -> Panel:
    description = "Active alerts of each test. Many rules on one test point to its target."
    return _ranked(Text("By test", description, NONE), Column("test", "Test"))


def _ranked(text: Text, label: Column) -> Panel:
    counted = f"count by ({label.name}) ({_each()})"
    columns = [label, Column("Value", "Alerts", Look("none"), bar=True)]
    return table_of(text, {"A": counted}, columns, Size(12, 8), "-Alerts")


def _by_severity() -> Panel:
    return lines(
        Text("By severity", "Active alerts of each severity, stacked.", NONE),
        [query(_counted("thousandeyes_active_alerts", "severity"), "{{severity}}")],
        Look("short", decimals=0, named=("critical", "major", "minor", "info", "unknown")),
        Size(12, 9),
        stacked=True,
    )


def _by_type() -> Panel:
    return lines(
        Text("By type", "Active alerts of each type of test, stacked.", NONE),
        [query(_counted("thousandeyes_active_alerts", "alert_type"), "{{alert_type}}")],
        COUNT,
        Size(12, 9),
        stacked=True,
    )


def _availability() -> Panel:
    each = f"min by (account, account_group, test_id) ({ACCOUNT('thousandeyes_test_availability_ratio')})"
    expr = named_tests(ACCOUNT, f"bottomk(10, {each})")
    return lines(
        Text(
            "Availability, the ten lowest",
            "Share of agents that reach the target, by test; only for tests whose results are polled (`test_results`).",
            "No results are polled: see test_results in exporter.yml.",
        ),
        [query(expr, "{{test}}")],
        Look("percentunit"),
        Size(12, 9),
    )


def _certificates() -> Panel:
    left = f"min by (account, account_group, test_id) ({ACCOUNT('thousandeyes_certificate_expiry_days')})"
    text = Text(
        "Certificates of tests",
        "Days until the certificate that the test's agents received expires.",
        "No polled result has a certificate: see test_results in exporter.yml.",
    )
    columns = [
        Column("test", "Test"),
        Column("Value", "Days left", Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1), 110),
        Column("account_group", "Account group"),
        Column("account", "Account"),
    ]
    return table_of(text, {"A": named_tests(ACCOUNT, left)}, columns, Size(12, 9), "Days left")


def _worst(metric: str, stat: str = "") -> str:
    """Return the five tests with the highest values of a metric, with their names."""
    chosen = f'stat="{stat}"' if stat else ""
    return named_tests(ACCOUNT, f"topk(5, max by (account, account_group, test_id) ({ACCOUNT(metric, chosen)}))")


def _network() -> list[Panel]:
    empty = "No network results are polled: see result_types in exporter.yml."
    return [
        lines(
            Text(
                f"{title}, the five highest",
                f"{description} by test: mean of its agents, and its worst agent (`result_types: [network]`).",
                empty,
            ),
            [query(_worst(metric, "mean"), "{{test}}"), query(_worst(metric, "max"), "{{test}}, worst agent", "B")],
            Look(unit, decimals=1),
            Size(8, 9),
        )
        for title, description, metric, unit in (
            ("Packet loss", "Share of lost packets,", "thousandeyes_test_loss_ratio", "percentunit"),
            ("Latency", "Average round-trip time,", "thousandeyes_test_latency_seconds", "s"),
            ("Jitter", "Standard deviation of the round-trip time,", "thousandeyes_test_jitter_seconds", "s"),
        )
    ]


def _bgp() -> Panel:
    by = "min by (account, account_group, test_id)"
    columns = [
        Column("test", "Test"),
        Column("Value #A", "Reachable", RATIO, 100),
        Column("Value #B", "Updates", Look("none"), 90),
        Column("Value #C", "Path changes", Look("none"), 120),
    ]
    return table_of(
        Text(
            "BGP",
            "Each test's prefix as the BGP monitors saw it in the last round (`result_types: [bgp]`).",
            "No BGP results are polled: see result_types in exporter.yml.",
        ),
        {
            name: named_tests(ACCOUNT, f"{by} ({ACCOUNT(metric)})")
            for name, metric in (
                ("A", "thousandeyes_test_bgp_reachability_ratio"),
                ("B", "thousandeyes_test_bgp_updates"),
                ("C", "thousandeyes_test_bgp_path_changes"),
            )
        },
        columns,
        Size(12, 8),
        "Reachable",
    )


def _dns() -> Panel:
    each = f"min by (account, account_group, test_id) ({ACCOUNT('thousandeyes_test_dns_availability_ratio')})"
    return lines(
        Text(
            "DNS, the ten lowest",
            "Share of agents whose query was answered, by test (`result_types: [dns]`).",
            "No DNS results are polled: see result_types in exporter.yml.",
        ),
        [query(named_tests(ACCOUNT, f"bottomk(10, {each})"), "{{test}}")],
        Look("percentunit"),
        Size(12, 8),
    )


def _agents() -> list[Panel]:
    by = "account, account_group, agent_id"
    labels = "agent, location, agent_type"
    one = f"topk by ({by}) (1, max by ({by}, {labels}) ({ACCOUNT('thousandeyes_agent_info')}))"  # even after a renaming
    named = f"* on ({by}) group_left ({labels}) {one}"
    seen = f"time() - max by ({by}) ({ACCOUNT('thousandeyes_agent_last_seen_timestamp_seconds')})"
    name, place = Column("agent", "Agent"), Column("location", "Location")
    columns = [
        name,
        place,
        Column("Value #A", "Online", Look("none", words=palette.ONLINE), 110),
        Column("Value #B", "Last seen", Look("s", decimals=0), 110),
        Column("Value #C", "Busy", Look("percentunit", ((0.8, palette.WARN), (0.9, palette.BAD)), decimals=0), 90),
        Column("Value #D", "Errors", Look("none", ((1, palette.WARN),)), 90),
    ]
    enterprise = table_of(
        Text(
            "Enterprise agents",
            "Results of an agent that is offline or overloaded are unreliable.",
            "There are no enterprise agents, or they are not polled: see agents in exporter.yml.",
        ),
        {
            "A": f"max by ({by}) ({ACCOUNT('thousandeyes_agent_online')}) {named}",
            "B": f"({seen}) {named}",
            "C": f"max by ({by}) ({ACCOUNT('thousandeyes_agent_utilization_ratio')}) {named}",
            "D": f"max by ({by}) ({ACCOUNT('thousandeyes_agent_errors')}) {named}",
        },
        columns,
        Size(15, 8),
        "Online",
    )
    problems = f"max by ({by}) ({ACCOUNT('thousandeyes_agent_local_problems')}) {named}"
    of_vendor = f"max by (account, agent_id, agent, location) ({problems})"  # each account group sees the same agents
    cloud = table_of(
        Text(
            "Cloud agents with local problems",
            "Problems at the site of the vendor's agent, not at the targets: bad results of these agents mean little.",
            "✓ No local problems.",
        ),
        {"A": of_vendor},
        [name, place, Column("Value", "Local problems", Look("none", ((1, palette.WARN),)), 130)],
        Size(9, 8),
        "-Local problems",
    )
    return [enterprise, cloud]


def _units() -> Panel:
    used, included = ACCOUNT("thousandeyes_units_used"), ACCOUNT("thousandeyes_units_included")
    return lines(
        Text(
            "Units of the plan",
            "Units used in the current period, and included in it.",
            "Usage is not polled: see usage in exporter.yml.",
        ),
        [
            query(f"max by (account) ({used})", "{{account}}: used"),
            query(f"max by (account) ({included})", "{{account}}: included", "B"),
        ],
        COUNT,
        Size(6, 8),
    )


def _outages() -> Panel:
    return lines(
        Text(
            "Internet outages",
            "Ongoing outages that affect a test of ours, by type.",
            "Outages are not polled: see outages in exporter.yml.",
        ),
        [
            query(
                f"sum by (type) (max by (account, account_group, type) ({ACCOUNT('thousandeyes_outages')}))", "{{type}}"
            )
        ],
        COUNT,
        Size(6, 8),
    )


def _cleared() -> Panel:
    return lines(
        Text(
            "Cleared alerts",
            "Alerts that were cleared within `cleared_window`, by severity.",
            "No cleared alerts, or they are not polled: see cleared_window in exporter.yml.",
        ),
        [query(_counted("thousandeyes_cleared_alerts", "severity"), "{{severity}}")],
        Look("short", decimals=0, named=("critical", "major", "minor", "info", "unknown")),
        Size(6, 8),
        stacked=True,
    )


def _ages() -> Panel:
    at = ACCOUNT("thousandeyes_oldest_reading_timestamp_seconds")
    columns = [Column("reading", "Data"), Column("Value", "Age", Look("s", decimals=0), 110)]
    return table_of(
        Text(
            "Age of data",
            "Age of the oldest value of each kind. Results of tests are polled in rotation, as the budget allows.",
            "Only alerts are polled.",
        ),
        {"A": f"time() - min by (reading) ({at})"},
        columns,
        Size(6, 8),
        "-Age",
    )
