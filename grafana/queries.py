"""PromQL that more than one dashboard needs. Every selector carries the variables of the dashboard."""

import re
from dataclasses import dataclass
from typing import Final

EXPORTER: Final = "vendorwatch_config_last_reload_successful"
BRIDGE: Final = "vendorwatch_bridge_config_last_reload_successful"
"""What every exporter and every bridge serves, whatever it is configured for."""
EVERYWHERE: Final = 'job=~"$job", instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class Scope:
    """What the variables of one dashboard select: `scope("metric", 'label="value"')` is a whole selector."""

    matchers: str = ""

    def __call__(self, metric: str, *more: str) -> str:
        """Return the selector of a metric's series with these matchers as well."""
        return f"{metric}{{{', '.join(filter(None, (EVERYWHERE, self.matchers, *more)))}}}"


ALL: Final = Scope()
ACCOUNT: Final = Scope('account=~"$account"')
TARGET: Final = Scope('collector=~"$collector", account=~"$account"')
SOURCE: Final = Scope('source=~"$source"')


def monitors(scope: Scope, expr: str) -> str:
    """Give series by (account, monitor_id) their monitor's name and URL, one each even after a rename."""
    name = scope("vigilmon_monitor_info")
    one = f"topk by (account, monitor_id) (1, max by (account, monitor_id, monitor, url) ({name}))"
    return f"{expr} * on (account, monitor_id) group_left (monitor, url) {one}"


def named_tests(scope: Scope, expr: str) -> str:
    """Give series by (account, account_group, test_id) their ThousandEyes test's name, one each even after a rename."""
    by = "account, account_group, test_id"
    one = f"topk by ({by}) (1, max by ({by}, test) ({scope('thousandeyes_test_info')}))"
    return f"{expr} * on ({by}) group_left (test) {one}"


def per_monitor(scope: Scope, metric: str, *more: str, by: str = "min") -> str:
    """Return a metric of monitors with their names, one series for each whatever runs twice."""
    return monitors(scope, f"{by} by (account, monitor_id) ({scope(metric, *more)})")


def labelled(expr: str, **labels: str) -> str:
    """Give each series these labels; "$name" within a value stands for the label `name`."""
    for label, value in labels.items():
        source = next(iter(re.findall(r"\$(\w+)", value)), "")
        copied, pattern = (value.replace(f"${source}", "$1"), "(.*)") if source else (value, "")
        expr = f'label_replace({expr}, "{label}", "{copied}", "{source}", "{pattern}")'
    return expr


def per_target(metric: str, across: str = "min", scope: Scope = ALL) -> str:
    """Return a metric of targets, one series for each: the best of a pair, and of shards their `across`.

    `shard` is a label that the scrape gives to exporters that divide their targets: one that fails must not hide.
    """
    return f"{across} by (collector, account) (max by (collector, account, shard) ({scope(metric)}))"


def zero_while_polled(expr: str, collector: str, scope: Scope = ACCOUNT) -> str:
    """Return the expression, or 0 where it is empty because there is nothing, not because nobody could ask."""
    polled = scope("vendorwatch_poll_success", f'collector="{collector}"')
    return f"{expr} or 0 * (max(min by (account) (max by (account, shard) ({polled}))) == 1)"


def age(collector: str, scope: Scope = ACCOUNT) -> str:
    """Return the age in seconds of the account whose values are the oldest."""
    succeeded = scope("vendorwatch_poll_last_success_timestamp_seconds", f'collector="{collector}"')
    return f"time() - min(max by (account, shard) ({succeeded}))"


CERTIFICATES: Final = (
    (
        "vigilmon_certificate",
        "vigilmon_certificate_probe_success",
        "vigilmon_tls_probe_failure",
        "account, monitor_id",
        "Vigilmon",
    ),
    ("thousandeyes_certificate", "", "", "account, account_group, test_id", "ThousandEyes"),
    ("tls_certificate", "tls_probe_success", "tls_probe_failure", "account, endpoint", "own list"),
)
"""Prefix, metrics of the probe ("" where the vendor looks itself), labels, and who saw it."""


def certificates(scope: Scope, ending: str, labels: str = "") -> str:
    """Return one kind of certificate metric from every source, with the labels `seen_by`, `host` and these `labels`.

    ThousandEyes tells when its certificates end, and nothing else of them.
    """
    also = f", {labels}" if labels else ""
    parts = []
    for prefix, success, failure, by, seen_by in CERTIFICATES:
        metric = {"probe_success": success, "probe_failure": failure}.get(ending, prefix + ending)
        if not metric or (not success and ending != "_expiry_days"):
            continue
        expr = f"min by ({by}{also}) ({scope(metric)})"
        if seen_by == "Vigilmon":
            expr = labelled(monitors(scope, expr), host="$monitor")
        elif seen_by == "ThousandEyes":
            expr = labelled(named_tests(scope, expr), host="$test")
        else:
            expr = labelled(expr, host="$endpoint")
        kept = f"min by (account, host, seen_by{also})"
        parts.append(f"{kept} ({labelled(expr, seen_by=seen_by)})")
    return " or ".join(parts)


def described(scope: Scope, expr: str, ending: str, labels: str) -> str:
    """Give certificates the `labels` of another of their metrics, one set each: a host may have several monitors."""
    one = f"topk by (account, host, seen_by) (1, {certificates(scope, ending, labels)})"
    return f"({expr}) * on (account, host, seen_by) group_left ({labels}) {one}"
