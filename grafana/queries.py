"""PromQL that several dashboards use. Every selector has the variables of the dashboard."""

import re
from dataclasses import dataclass
from typing import Final

EXPORTER: Final = "vendorwatch_config_last_reload_successful"
BRIDGE: Final = "vendorwatch_bridge_config_last_reload_successful"
"""A metric that every exporter, and every bridge, serves with any configuration."""
EVERYWHERE: Final = 'job=~"$job", instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class Scope:
    """The matchers of one dashboard's variables: `scope("metric", 'label="value"')` returns a complete selector."""

    matchers: str = ""

    def __call__(self, metric: str, *more: str) -> str:
        """Return the selector of a metric with additional matchers."""
        return f"{metric}{{{', '.join(filter(None, (EVERYWHERE, self.matchers, *more)))}}}"


ALL: Final = Scope()
ACCOUNT: Final = Scope('account=~"$account"')
TARGET: Final = Scope('collector=~"$collector", account=~"$account"')
SOURCE: Final = Scope('source=~"$source"')


def monitors(scope: Scope, expr: str) -> str:
    """Add the monitor's name and URL to series by (account, monitor_id), one each even after a renaming."""
    name = scope("vigilmon_monitor_info")
    one = f"topk by (account, monitor_id) (1, max by (account, monitor_id, monitor, url) ({name}))"
    return f"{expr} * on (account, monitor_id) group_left (monitor, url) {one}"


def named_tests(scope: Scope, expr: str) -> str:
    """Add the ThousandEyes test's name to series by (account, account_group, test_id), even after a renaming."""
    by = "account, account_group, test_id"
    one = f"topk by ({by}) (1, max by ({by}, test) ({scope('thousandeyes_test_info')}))"
    return f"{expr} * on ({by}) group_left (test) {one}"


def per_monitor(scope: Scope, metric: str, *more: str, by: str = "min") -> str:
    """Return a metric of monitors with their names: one series for each, even with two exporters."""
    return monitors(scope, f"{by} by (account, monitor_id) ({scope(metric, *more)})")


def labelled(expr: str, **labels: str) -> str:
    """Add these labels to each series; "$name" in a value stands for the label `name`."""
    for label, value in labels.items():
        source = next(iter(re.findall(r"\$(\w+)", value)), "")
        copied, pattern = (value.replace(f"${source}", "$1"), "(.*)") if source else (value, "")
        expr = f'label_replace({expr}, "{label}", "{copied}", "{source}", "{pattern}")'
    return expr


def per_target(metric: str, across: str = "min", scope: Scope = ALL) -> str:
    """Return a metric of targets, one series for each: the maximum of a pair, aggregated `across` shards.

    The scrape configuration sets the label `shard` on exporters that divide their targets: a failing one must show.
    """
    return f"{across} by (collector, account) (max by (collector, account, shard) ({scope(metric)}))"


def zero_while_polled(expr: str, collector: str, scope: Scope = ACCOUNT) -> str:
    """Return the expression, or 0 if it is empty although the polls succeed."""
    polled = scope("vendorwatch_poll_success", f'collector="{collector}"')
    return f"{expr} or 0 * (max(min by (account) (max by (account, shard) ({polled}))) == 1)"


def age(collector: str, scope: Scope = ACCOUNT) -> str:
    """Return the age in seconds of the account with the oldest data."""
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
"""Prefix, metrics of the probe ("" if the vendor probes itself), labels, and source."""


def certificates(scope: Scope, ending: str, labels: str = "") -> str:
    """Return one kind of certificate metric from every source, with the labels `seen_by`, `host` and these `labels`.

    ThousandEyes reports only when its certificates expire.
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
    """Add the `labels` of another certificate metric, one set per host: a host may have several monitors."""
    one = f"topk by (account, host, seen_by) (1, {certificates(scope, ending, labels)})"
    return f"({expr}) * on (account, host, seen_by) group_left ({labels}) {one}"
