"""Certificates, whoever saw them: how long they last, and which a client would refuse."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of
from grafana.queries import ACCOUNT, EXPORTER, certificates
from grafana.variables import chained

LEFT: Final = certificates(ACCOUNT, "_expiry_days")
VALID: Final = certificates(ACCOUNT, "_valid")
PROBED: Final = certificates(ACCOUNT, "probe_success")
DAYS: Final = Look("none", palette.DAYS_LEFT, palette.BAD, decimals=1)
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
            Section("In trouble", [_refused(), _unseen()]),
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
        "Expired, of another name, self-signed, without its intermediate, or not valid yet.",
        "✓ No certificate is known that clients refuse.",
    )
    columns = [Column("host", "Host"), Column("Value", "Days left", DAYS, 120), *WHERE]
    refused = f"({VALID}) == 0"
    return table_of(
        text, {"A": f"({LEFT}) and on (account, host, seen_by) ({refused})"}, columns, Size(12, 9), "Days left"
    )


def _unseen() -> Panel:
    text = Text(
        "Without TLS",
        "Endpoints that showed no certificate when the exporter last connected: down, filtered, or not TLS.",
        "✓ No endpoint is known to be without TLS.",
    )
    columns = [Column("host", "Host"), Column("Value", "Last look", Look(words=palette.SEEN), 120), *WHERE]
    return table_of(text, {"A": f"({PROBED}) == 0"}, columns, Size(12, 9), "Host")


def _first() -> Panel:
    return lines(
        Text("Days left, the ten that end first", "A line that jumps up was renewed."),
        [query(f"bottomk(10, {LEFT})", "{{host}}")],
        Look("none", ((0, palette.BAD), (3, palette.WARN), (14, palette.GOOD)), palette.BAD),
        Size(24, 9),
    )
