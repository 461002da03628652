"""Certificates, whoever saw them: how long they last, and which a client would refuse."""

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
NO_FAILURE: Final = "✓ No probe fails."
NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
WHERE: Final = (Column("seen_by", "Seen by", width=130), Column("account", "Account", width=130))


def dashboard() -> Dashboard:
    """Return the dashboard of all certificates."""
    return Board(
        name="certificates",
        title="Certificates",
        told="Certificates of Vigilmon's https monitors, of ThousandEyes' tests and of the list of endpoints.",
        metrics=[EXPORTER],
        runbook="certificates.md",
        chained=[chained("account", "vendorwatch_poll_success", 'collector=~"vigilmon|thousandeyes|certificates"')],
        sections=[
            Section("", _now()),
            Section("All certificates", [_all()]),
            Section("In trouble", [_refused(), _unseen(), _chains(), _reasons()]),
            Section("Issuers", [_issuers()]),
            Section("Over time", [_first()]),
        ],
    ).build()


def _now() -> list[Panel]:
    size = Size(4, 4)
    return [
        stat_of(Text("Known", "Certificates whose end is known."), f"count({LEFT})", Look(lowest=palette.CALM), size),
        stat_of(Text("Least days left", "Days until the first of them expires."), f"min({LEFT})", DAYS, size),
        stat_of(
            Text("Within 14 days", "Certificates that expire within 14 days, or have expired."),
            f"sum(({LEFT}) < bool 14)",
            Look(above=palette.HIGH_IS_ODD, words=NONE),
            size,
        ),
        stat_of(
            Text("Expired", "Certificates that have expired: clients refuse the site."),
            f"sum(({LEFT}) <= bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=NONE),
            size,
        ),
        stat_of(
            Text("Refused", "Certificates that a client with the usual roots refuses now, expired or not."),
            f"sum(({VALID}) == bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=NONE),
            size,
        ),
        stat_of(
            Text("Without TLS", "Endpoints to which the exporter's last TLS connection did not come about."),
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
        Column("Value #probe", "Last look", Look(words=palette.SEEN), 140),
        *WHERE,
    ]
    told = "The first to end on top. ThousandEyes tells the end alone: whether clients accept it is not known there."
    probed = f"({PROBED}) and on (account, host, seen_by) ({LEFT})"
    return table_of(
        Text("Days left", told), {"days": LEFT, "valid": VALID, "probe": probed}, columns, Size(24, 14), "Days left"
    )


def _refused() -> Panel:
    text = Text(
        "Refused by clients",
        "Why a client with the usual roots refuses it. Expired may be another certificate of its chain.",
        "✓ No certificate is known that clients refuse.",
    )
    columns = [Column("host", "Host"), REASON, Column("Value", "Days left", DAYS, 120), *WHERE]
    refused = f"({LEFT}) and on (account, host, seen_by) (({VALID}) == 0)"
    expr = described(ACCOUNT, refused, "probe_failure", "reason")
    return table_of(text, {"A": expr}, columns, Size(12, 9), "Days left")


def _unseen() -> Panel:
    text = Text(
        "Without TLS",
        "Endpoints that showed no certificate when the exporter last connected: down, filtered, or not TLS.",
        "✓ No endpoint is known to be without TLS.",
    )
    columns = [Column("host", "Host"), REASON, Column("Value", "Last look", Look(words=palette.SEEN), 120), *WHERE]
    expr = described(ACCOUNT, f"({PROBED}) == 0", "probe_failure", "reason")
    return table_of(text, {"A": expr}, columns, Size(12, 9), "Host")


def _chains() -> Panel:
    text = Text(
        "Chain ends first",
        "Certificates whose server sends an intermediate that ends within 30 days and before the certificate itself.",
        "✓ No intermediate is known that ends first.",
    )
    columns = [
        Column("host", "Host"),
        Column("Value #chain", "Chain ends in days", DAYS, 150),
        Column("Value #days", "Days left", DAYS, 120),
        *WHERE,
    ]
    first = f"({CHAIN}) < time() + 30 * 86400 < on (account, host, seen_by) ({ENDS})"
    days = f"({LEFT}) and on (account, host, seen_by) ({first})"
    queries = {"chain": f"(({first}) - time()) / 86400", "days": days}
    return table_of(text, queries, columns, Size(12, 9), "Chain ends in days")


def _reasons() -> Panel:
    return lines(
        Text(
            "Probes that fail, by reason",
            "How many certificates are not seen, or would be refused, and why.",
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
        "Who issued it, and which one it is: a serial that changes is a renewal. The serial is openssl's.",
        "No certificate was read by a probe.",
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
        Text("Days left, the ten that end first", "A line that jumps up was renewed."),
        [query(f"bottomk(10, {LEFT})", "{{host}}")],
        Look("none", ((0, palette.BAD), (3, palette.WARN), (14, palette.GOOD)), palette.BAD),
        Size(24, 9),
    )
