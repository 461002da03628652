"""Certificates of every source: the days left, and those that a client would reject."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of
from grafana.queries import ACCOUNT, EXPORTER, certificates, described
from grafana.variables import chained

LEFT: Final = certificates(ACCOUNT, "_expiry_days")
VALID: Final = certificates(ACCOUNT, "_valid")
PROBED: Final = certificates(ACCOUNT, "probe_success")
FAILED: Final = certificates(ACCOUNT, "probe_failure", "reason")
ENDS: Final = certificates(ACCOUNT, "_expiry_timestamp_seconds")
CHAIN: Final = certificates(ACCOUNT, "_chain_expiry_timestamp_seconds")
REASON: Final = Column("reason", "Reason", Look(words=palette.REASON), 210)
DAYS: Final = Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1)
NO_FAILURE: Final = "✓ No failed probes."
NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
WHERE: Final = (Column("seen_by", "Source", width=130), Column("account", "Account", width=130))


def dashboard() -> Dashboard:
    """Return the dashboard of all certificates."""
    return Board(
        name="certificates",
        title="Certificates",
        description="Certificates of Vigilmon's https monitors, of ThousandEyes' tests and of configured endpoints.",
        metrics=[EXPORTER],
        runbook="certificates.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector=~"vigilmon|thousandeyes|certificates"')],
        sections=[
            Section("", _now()),
            Section("All certificates", [_all()]),
            Section("Problems", [_rejected(), _unreadable(), _chains(), _reasons()]),
            Section("Issuers", [_issuers()]),
            Section("Over time", [_first()]),
        ],
    ).build()


def _now() -> list[Panel]:
    size = Size(4, 4)
    return [
        stat_of(
            Text("Certificates", "Certificates with a known expiry date."),
            f"count({LEFT})",
            Look(lowest=palette.CALM),
            size,
        ),
        stat_of(Text("Least days left", "Days until the first certificate expires."), f"min({LEFT})", DAYS, size),
        stat_of(
            Text("Within 14 days", "Certificates that expire within 14 days, or have expired."),
            f"sum(({LEFT}) < bool 14)",
            Look(above=palette.HIGH_IS_ODD, words=NONE),
            size,
        ),
        stat_of(
            Text("Expired", "Certificates that have expired: clients reject the site."),
            f"sum(({LEFT}) <= bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=NONE),
            size,
        ),
        stat_of(
            Text("Rejected", "Certificates that a client with the system's roots rejects now, expired or not."),
            f"sum(({VALID}) == bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=NONE),
            size,
        ),
        stat_of(
            Text("Not readable", "Endpoints whose certificate the exporter's last probe could not read."),
            f"sum(({PROBED}) == bool 0)",
            Look(above=palette.HIGH_IS_ODD, words=NONE),
            size,
        ),
    ]


def _all() -> Panel:
    columns = [
        Column("host", "Host"),
        Column("Value #days", "Days left", DAYS, 120),
        Column("Value #valid", "Clients", Look(words=palette.ACCEPTED), 140),
        Column("Value #probe", "Last probe", Look(words=palette.READ), 140),
        *WHERE,
    ]
    description = "Those that expire first on top. ThousandEyes reports only the expiry, not whether clients accept it."
    probed = f"({PROBED}) and on (account, host, seen_by) ({LEFT})"
    return table_of(
        Text("Days left", description),
        {"days": LEFT, "valid": VALID, "probe": probed},
        columns,
        Size(24, 14),
        "Days left",
    )


def _rejected() -> Panel:
    text = Text(
        "Rejected by clients",
        "Why a client with the system's roots rejects it. `expired` may be another certificate of its chain.",
        "✓ No rejected certificates.",
    )
    columns = [Column("host", "Host"), REASON, Column("Value", "Days left", DAYS, 120), *WHERE]
    rejected = f"({LEFT}) and on (account, host, seen_by) (({VALID}) == 0)"
    expr = described(ACCOUNT, rejected, "probe_failure", "reason")
    return table_of(text, {"A": expr}, columns, Size(12, 9), "Days left")


def _unreadable() -> Panel:
    text = Text(
        "Not readable",
        "Endpoints whose certificate the last probe could not read: the host is down, filtered, or does not speak TLS.",
        "✓ Every certificate could be read.",
    )
    columns = [Column("host", "Host"), REASON, Column("Value", "Last probe", Look(words=palette.READ), 120), *WHERE]
    expr = described(ACCOUNT, f"({PROBED}) == 0", "probe_failure", "reason")
    return table_of(text, {"A": expr}, columns, Size(12, 9), "Host")


def _chains() -> Panel:
    text = Text(
        "Chain expires first",
        "The server sends an intermediate that expires within 30 days and before the certificate itself.",
        "✓ No intermediate expires first.",
    )
    columns = [
        Column("host", "Host"),
        Column("Value #chain", "Chain, days left", DAYS, 150),
        Column("Value #days", "Days left", DAYS, 120),
        *WHERE,
    ]
    first = f"({CHAIN}) < time() + 30 * 86400 < on (account, host, seen_by) ({ENDS})"
    days = f"({LEFT}) and on (account, host, seen_by) ({first})"
    queries = {"chain": f"(({first}) - time()) / 86400", "days": days}
    return table_of(text, queries, columns, Size(12, 9), "Chain, days left")


def _reasons() -> Panel:
    return lines(
        Text(
            "Failed probes, by reason",
            "Certificates that could not be read, or that clients would reject, by reason.",
            NO_FAILURE,
        ),
        [query(f"count by (reason) ({FAILED})", "{{reason}}")],
        Look("short", decimals=0),
        Size(12, 9),
        stacked=True,
    )


def _issuers() -> Panel:
    text = Text(
        "Issuer and serial",
        "A changed serial is a renewal. The serial is written as openssl prints it.",
        "No probe has read a certificate.",
    )
    columns = [
        Column("host", "Host"),
        Column("issuer", "Issuer"),
        Column("serial", "Serial", width=340),
        Column("Value", "Days left", DAYS, 120),
        *WHERE,
    ]
    expr = described(ACCOUNT, LEFT, "_info", "issuer, serial")
    return table_of(text, {"A": expr}, columns, Size(24, 10), "Days left")


def _first() -> Panel:
    return lines(
        Text("Days left, the ten that expire first", "A line that jumps up is a renewal."),
        [query(f"bottomk(10, {LEFT})", "{{host}}")],
        Look("none", ((0, palette.BAD), (3, palette.WARN), (14, palette.GOOD)), palette.BAD),
        Size(24, 9),
    )
