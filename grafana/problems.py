"""All kinds of problems, each as a query whose rows have the same labels.

level (`critical` or `warning`), source (a vendor, or vendorwatch), account, subject, problem, board (the dashboard with
details) and runbook (its page and section). A query without rows means no such problem.
"""

from typing import Final

from grafana.queries import ALL, BRIDGE, EXPORTER, certificates, labelled, monitors, named_tests, per_target

LABELS: Final = ("level", "source", "account", "subject", "problem", "board", "runbook")
FROM_ALERTMANAGER: Final = 'receiver="alertmanager"'
DAYS: Final = 14
"""A certificate with fewer days left is a problem; with fewer than three it is critical. As in the rules."""


def _row(expr: str, **labels: str) -> str:
    """Set these labels on the series, and keep only the labels of a row."""
    return f"max by ({', '.join(LABELS)}) ({labelled(expr, **labels)})"


def _vendor(source: str, section: str) -> dict[str, str]:
    name = source.lower()
    return {"source": source, "board": name, "runbook": f"{name}.md#{section}"}


def _ours(board: str, section: str) -> dict[str, str]:
    return {"source": "vendorwatch", "board": board, "runbook": f"{board}.md#{section}"}


def _monitors_down() -> str:
    down = monitors(ALL, f"(min by (account, monitor_id) ({ALL('vigilmon_monitor_up')}) == 0)")
    described = _vendor("Vigilmon", "vigilmonmonitordown")
    return _row(f"{down} + 1", level="critical", subject="$monitor", problem="monitor is down", **described)


def _packetvis() -> str:
    warned = f"max by (account) ({ALL('packetvis_warning')}) == 1"
    new = f"max by (account, summary) ({ALL('packetvis_notification_timestamp_seconds')})"
    unnamed = labelled(warned, summary="new notification")
    described = _vendor("PacketVis", "packetviswarning")
    return _row(f"{new} or on (account) {unnamed}", level="warning", subject="routes", problem="$summary", **described)


def _thousandeyes(level: str, severities: str) -> str:
    active = ALL("thousandeyes_alert_active", f"severity{severities}")
    described = _vendor("ThousandEyes", "thousandeyesalerts")
    return _row(active, level=level, subject="$test", problem="$rule", **described)


def _agents_offline() -> str:
    by = "account, account_group, agent_id"
    offline = f"(max by ({by}) ({ALL('thousandeyes_agent_online')}) == 0) + 1"
    one = f"topk by ({by}) (1, max by ({by}, agent) ({ALL('thousandeyes_agent_info')}))"
    described = _vendor("ThousandEyes", "thousandeyesagentoffline")
    named = f"({offline}) * on ({by}) group_left (agent) {one}"
    return _row(named, level="warning", subject="agent $agent", problem="agent is offline", **described)


def _results(level: str, metric: str, condition: str, problem: str, section: str) -> str:
    found = f"max by (account, account_group, test_id) ({metric} {condition})"
    described = _vendor("ThousandEyes", section)
    return _row(named_tests(ALL, found), level=level, subject="$test", problem=problem, **described)


def _bigpanda() -> str:
    folder = ALL("bigpanda_incidents", 'folder="unhandled"')
    described = _vendor("BigPanda", "bigpandaincidentsunhandled")
    return _row(
        f"{folder} > 0", level="warning", subject="$bigpanda_environment", problem="unhandled incidents", **described
    )


def _certificates(level: str, condition: str, problem: str, section: str, ending: str = "_expiry_days") -> str:
    found = f"({certificates(ALL, ending)}) {condition}"
    more = {"board": "certificates", "runbook": f"certificates.md#{section}"}
    return _row(found, level=level, source="$seen_by", subject="$host", problem=problem, **more)


def _unreadable() -> str:
    unreadable = f"(max by (account, endpoint) ({ALL('tls_probe_success')}) == 0) + 1"
    more = {"board": "certificates", "runbook": "certificates.md#certificateunreadable"}
    return _row(
        unreadable,
        level="warning",
        source="own list",
        subject="$endpoint",
        problem="certificate cannot be read",
        **more,
    )


def _target(level: str, expr: str, problem: str, section: str) -> str:
    return _row(expr, level=level, subject="target $collector", problem=problem, **_ours("exporter", section))


def _bridge(level: str, expr: str, problem: str, section: str) -> str:
    return _row(expr, level=level, account="", subject="bridge", problem=problem, **_ours("bridge", section))


def _webhooks(outcome: str, window: str, *more: str) -> str:
    """Return how many webhooks of each source had this outcome."""
    sent = ALL("vendorwatch_bridge_notifications_total", f'outcome="{outcome}"', *more)
    return f"sum by (job, receiver, source) (increase({sent}[{window}]))"


def _down(board: str, metric: str) -> str:
    """Return the programs that served this metric within a day and cannot be scraped now."""
    down = f"({ALL('up')} == 0 and on (job, instance) last_over_time({ALL(metric)}[1d])) + 1"
    found = {"subject": f"{board} $instance", "problem": "Prometheus cannot scrape it"}
    return _row(down, level="critical", account="", **found, **_ours(board, f"vendorwatch{board}down"))


PROBLEMS: Final[dict[str, str]] = {
    "monitors": _monitors_down(),
    "routes": _packetvis(),
    "tests": _thousandeyes("critical", '=~"critical|major"'),
    "lesser tests": _thousandeyes("warning", '!~"critical|major"'),
    "prefixes": _results(
        "critical",
        ALL("thousandeyes_test_bgp_reachability_ratio"),
        "< 0.9",
        "a tenth of the BGP monitors have no route",
        "thousandeyesprefixunreachable",
    ),
    "availability": _results(
        "warning",
        ALL("thousandeyes_test_availability_ratio"),
        "< 0.9",
        "a tenth of the agents do not reach the target",
        "thousandeyesavailabilitylow",
    ),
    "loss": _results(
        "warning",
        ALL("thousandeyes_test_loss_ratio", 'stat="mean"'),
        "> 0.05",
        "more than 5 % of the packets are lost",
        "thousandeyespacketloss",
    ),
    "names": _results(
        "warning",
        ALL("thousandeyes_test_dns_availability_ratio"),
        "< 0.9",
        "a tenth of the agents get no answer from the name server",
        "thousandeyesdnsfailing",
    ),
    "agents": _agents_offline(),
    "incidents": _bigpanda(),
    "expired": _certificates("critical", "<= 0", "certificate has expired", "certificateexpired"),
    "expiring": _certificates("critical", "< 3 > 0", "certificate expires within 3 days", "certificateexpiring"),
    "expiring later": _certificates(
        "warning", f"< {DAYS} >= 3", f"certificate expires within {DAYS} days", "certificateexpiring"
    ),
    "chain": _certificates(
        "warning",
        f"< time() + {DAYS} * 86400 < on (account, host, seen_by) ({certificates(ALL, '_expiry_timestamp_seconds')})",
        f"an intermediate expires within {DAYS} days",
        "certificatechainexpiring",
        "_chain_expiry_timestamp_seconds",
    ),
    "unreadable": _unreadable(),
    "rejected": _certificates(
        "critical",
        f"== 0 unless ({certificates(ALL, '_expiry_days')}) <= 0",
        "clients reject the certificate",
        "certificateinvalid",
        "_valid",
    ),
    "failing": _target(
        "warning",
        f"{per_target('vendorwatch_poll_success')} == 0",
        "polls fail",
        "vendorwatchtargetfailing",
    ),
    "stale": _target(
        "critical",
        f"time() - {per_target('vendorwatch_poll_last_success_timestamp_seconds')} > 1800",
        "no new data for half an hour",
        "vendorwatchtargetstale",
    ),
    "storage": _row(
        f"(max by (shard) ({ALL('vendorwatch_storage_up')}) == 0) + 1",
        level="critical",
        account="",
        subject="exporter",
        problem="nothing is polled: PostgreSQL is unavailable",
        **_ours("exporter", "vendorwatchstoragedown"),
    ),
    "exporter": _down("exporter", EXPORTER),
    "bridge": _down("bridge", BRIDGE),
    "database": _bridge(
        "critical",
        f"({ALL('vendorwatch_bridge_database_up')} == 0) + 1",
        "the database takes no writes: webhooks are rejected",
        "vendorwatchbridgedatabasedown",
    ),
    "destination": _bridge(
        "critical",
        f"({ALL('vendorwatch_bridge_destination_up')} == 0) + 1",
        "BigPanda accepts no events",
        "vendorwatchbridgedestinationdown",
    ),
    "queue": _bridge(
        "warning",
        f"time() - min({ALL('vendorwatch_bridge_outbox_oldest_event_timestamp_seconds')}) > 300",
        "events queued for more than five minutes",
        "vendorwatchbridgeoutboxold",
    ),
    "dead resolutions": _bridge(
        "critical",
        f"max({ALL('vendorwatch_bridge_dead_letter_resolutions')}) > 0",
        "resolutions among the dead letters",
        "vendorwatchbridgedeadresolutions",
    ),
    "dead letters": _bridge(
        "warning",
        f"max({ALL('vendorwatch_bridge_dead_letters')}) - max({ALL('vendorwatch_bridge_dead_letter_resolutions')}) > 0",
        "dead letters",
        "vendorwatchbridgedeadletters",
    ),
    "quarantine": _bridge(
        "warning",
        f"max({ALL('vendorwatch_bridge_quarantined_bodies')}) > 0",
        "unreadable webhooks in quarantine",
        "vendorwatchbridgequarantine",
    ),
    "locked out": _bridge(
        "critical",
        f"{_webhooks('unauthorized', '10m')} > 0 unless {_webhooks('accepted', '10m')} > 0",
        "the credentials of $source are rejected",
        "vendorwatchbridgelockedout",
    ),
    "silence": _bridge(
        "critical",
        f"(sum by (job) ({_webhooks('accepted', '15m', FROM_ALERTMANAGER)}) == 0) + 1",
        "nothing accepted from Alertmanager for 15 minutes",
        "vendorwatchbridgehearsnothing",
    ),
    "watchdog": _bridge(
        "critical",
        f"{ALL('vendorwatch_bridge_watchdog_silent')} == 1",
        "the watchdog of $source is silent",
        "vendorwatchbridgewatchdogsilent",
    ),
}
"""By the name of the query."""
