"""Everything that can be wrong, each as a query whose rows all have the same labels.

level (`critical` or `warning`), source (who says so), account, subject, wrong (what it is), board (the dashboard
that tells more) and runbook (its page and section). A query without rows is good news.
"""

from typing import Final

from grafana.queries import ALL, BRIDGE, EXPORTER, certificates, labelled, monitors, per_target

LABELS: Final = ("level", "source", "account", "subject", "wrong", "board", "runbook")
DAYS: Final = 14
"""Certificates with fewer days left are told; those with fewer than three are critical. As in the rules."""


def _row(expr: str, **labels: str) -> str:
    """Give the series these labels, and no others but those of a row."""
    return f"max by ({', '.join(LABELS)}) ({labelled(expr, **labels)})"


def _vendor(source: str, section: str) -> dict[str, str]:
    name = source.lower()
    return {"source": source, "board": name, "runbook": f"{name}.md#{section}"}


def _ours(board: str, section: str) -> dict[str, str]:
    return {"source": "vendorwatch", "board": board, "runbook": f"{board}.md#{section}"}


def _monitors_down() -> str:
    down = monitors(ALL, f"(min by (account, monitor_id) ({ALL('vigilmon_monitor_up')}) == 0)")
    described = _vendor("Vigilmon", "vigilmonmonitordown")
    return _row(f"{down} + 1", level="critical", subject="$monitor", wrong="monitor is down", **described)


def _packetvis() -> str:
    warned = f"max by (account) ({ALL('packetvis_warning')}) == 1"
    new = f"max by (account, summary) ({ALL('packetvis_notification_timestamp_seconds')})"
    told = labelled(warned, summary="something new about your routes")
    described = _vendor("PacketVis", "packetviswarning")
    return _row(f"{new} or on (account) {told}", level="warning", subject="routes", wrong="$summary", **described)


def _thousandeyes(level: str, severities: str) -> str:
    active = ALL("thousandeyes_alert_active", f"severity{severities}")
    described = _vendor("ThousandEyes", "thousandeyesalerts")
    return _row(active, level=level, subject="$test", wrong="$rule", **described)


def _agents_offline() -> str:
    by = "account, account_group, agent_id"
    offline = f"(max by ({by}) ({ALL('thousandeyes_agent_online')}) == 0) + 1"
    one = f"topk by ({by}) (1, max by ({by}, agent) ({ALL('thousandeyes_agent_info')}))"
    described = _vendor("ThousandEyes", "thousandeyesagentoffline")
    named = f"({offline}) * on ({by}) group_left (agent) {one}"
    return _row(named, level="warning", subject="agent $agent", wrong="agent is offline", **described)


def _bigpanda() -> str:
    folder = ALL("bigpanda_incidents", 'folder="unhandled"')
    described = _vendor("BigPanda", "bigpandaincidentsunhandled")
    return _row(
        f"{folder} > 0", level="warning", subject="$bigpanda_environment", wrong="incidents nobody handles", **described
    )


def _certificates(level: str, condition: str, wrong: str, section: str, ending: str = "_expiry_days") -> str:
    found = f"({certificates(ALL, ending)}) {condition}"
    more = {"board": "certificates", "runbook": f"certificates.md#{section}"}
    return _row(found, level=level, source="$seen_by", subject="$host", wrong=wrong, **more)


def _unseen() -> str:
    unseen = f"(max by (account, endpoint) ({ALL('tls_probe_success')}) == 0) + 1"
    more = {"board": "certificates", "runbook": "certificates.md#certificateunreadable"}
    return _row(unseen, level="warning", source="own list", subject="$endpoint", wrong="no certificate is seen", **more)


def _target(level: str, expr: str, wrong: str, section: str) -> str:
    return _row(expr, level=level, subject="target $collector", wrong=wrong, **_ours("exporter", section))


def _bridge(level: str, expr: str, wrong: str, section: str) -> str:
    return _row(expr, level=level, account="", subject="bridge", wrong=wrong, **_ours("bridge", section))


def _programs_down() -> str:
    """Tell of programs that served one of our metrics within a day."""
    ours = " or ".join(f"last_over_time({ALL(metric)}[1d])" for metric in (EXPORTER, BRIDGE))
    down = f"({ALL('up')} == 0 and on (job, instance) ({ours})) + 1"
    described = _ours("exporter", "vendorwatchexporterdown")
    return _row(
        down, level="critical", account="", subject="$instance", wrong="Prometheus cannot scrape it", **described
    )


WRONG: Final[dict[str, str]] = {
    "monitors": _monitors_down(),
    "routes": _packetvis(),
    "tests": _thousandeyes("critical", '=~"critical|major"'),
    "lesser tests": _thousandeyes("warning", '!~"critical|major"'),
    "agents": _agents_offline(),
    "incidents": _bigpanda(),
    "expired": _certificates("critical", "<= 0", "certificate has expired", "certificateexpired"),
    "ending": _certificates("critical", "< 3 > 0", "certificate ends within 3 days", "certificateexpiring"),
    "ending later": _certificates(
        "warning", f"< {DAYS} >= 3", f"certificate ends within {DAYS} days", "certificateexpiring"
    ),
    "chain": _certificates(
        "warning",
        f"< time() + {DAYS} * 86400 < on (account, host, seen_by) ({certificates(ALL, '_expiry_timestamp_seconds')})",
        f"an intermediate ends within {DAYS} days",
        "certificatechainexpiring",
        "_chain_expiry_timestamp_seconds",
    ),
    "unseen": _unseen(),
    "refused": _certificates(
        "critical",
        f"== 0 unless ({certificates(ALL, '_expiry_days')}) <= 0",
        "clients refuse the certificate",
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
        "nothing new for half an hour",
        "vendorwatchtargetstale",
    ),
    "programs": _programs_down(),
    "destination": _bridge(
        "critical",
        f"({ALL('vendorwatch_bridge_destination_up')} == 0) + 1",
        "BigPanda takes nothing",
        "vendorwatchbridgedestinationdown",
    ),
    "waiting": _bridge(
        "warning",
        f"time() - min({ALL('vendorwatch_bridge_outbox_oldest_event_timestamp_seconds')}) > 300",
        "events wait for more than five minutes",
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
        f"max({ALL('vendorwatch_bridge_dead_letters')}) > 0",
        "dead letters",
        "vendorwatchbridgedeadletters",
    ),
    "quarantine": _bridge(
        "warning",
        f"max({ALL('vendorwatch_bridge_quarantined_bodies')}) > 0",
        "webhooks that cannot be read",
        "vendorwatchbridgequarantine",
    ),
    "watchdog": _bridge(
        "critical",
        f"{ALL('vendorwatch_bridge_watchdog_silent')} == 1",
        "the watchdog is silent",
        "vendorwatchbridgewatchdogsilent",
    ),
}
"""By the name of the query."""
