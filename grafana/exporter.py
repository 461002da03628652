"""The exporter: the freshness of each target, its requests and their outcomes."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import palette
from grafana.board import Board, Section
from grafana.panels import Column, Look, Panel, Size, Text, lines, query, stat_of, table_of, timeline
from grafana.queries import ALL, EXPORTER, TARGET, per_target
from grafana.variables import chained

NONE: Final = palette.words({"0": ("✓ none", palette.GOOD)})
HALF: Final = Size(12, 9)
OUTCOMES: Final = ("ok", "timeout", "auth", "rate_limited", "client_error", "server_error")
POLLS: Final = per_target("vendorwatch_poll_success", scope=TARGET)
NAME: Final = "{{collector}}/{{account}}"


def dashboard() -> Dashboard:
    """Return the dashboard of the exporter itself."""
    return Board(
        name="exporter",
        title="Exporter",
        description="The freshness of each target's data, and its share of the vendor's rate limit.",
        metrics=[EXPORTER],
        runbook="exporter.md",
        chained=[
            chained("collector", "vendorwatch_poll_success"),
            chained("account", "vendorwatch_poll_success", 'collector=~"$collector"'),
        ],
        sections=[
            Section("", _now()),
            Section("Targets", [_targets(), _polls()]),
            Section("Freshness", [_age(), _durations()]),
            Section("Requests", [_by_outcome(), _failures(), _budget(), _remaining()]),
            Section("The program", [_series(), _memory()]),
        ],
    ).build()


def _most(metric: str) -> str:
    return f"max by (collector, account) ({TARGET(metric)})"


def _least(metric: str) -> str:
    return f"min by (collector, account) ({TARGET(metric)})"


def _since(metric: str) -> str:
    return f"time() - {per_target(metric, scope=TARGET)}"


def _now() -> list[Panel]:
    age = _since("vendorwatch_poll_last_success_timestamp_seconds")
    failed = TARGET("vendorwatch_api_requests_total", 'outcome!="ok"')
    size = Size(4, 4)
    return [
        stat_of(
            Text("Targets", "Targets that the exporter polls."), f"count({POLLS})", Look(lowest=palette.CALM), size
        ),
        stat_of(
            Text("Failing", "Targets whose last polls failed."),
            f"sum({POLLS} == bool 0)",
            Look(above=palette.HIGH_IS_BAD, words=NONE),
            size,
        ),
        stat_of(
            Text("Oldest", "Age of the data of the target with the oldest data; stale after 30 minutes."),
            f"max({age})",
            Look("s", palette.AGE, decimals=0),
            size,
        ),
        stat_of(
            Text(
                "Failed requests",
                "Failed requests within the time range. The first one of each new series is not counted.",
            ),
            f"round(sum(increase({failed}[$__range])) or 0 * sum({POLLS}))",
            Look(above=palette.HIGH_IS_ODD, words=NONE),
            size,
        ),
        stat_of(
            Text("Budget", "Highest share of requests_per_minute used by a target, within the last minute."),
            f"max({_most('vendorwatch_budget_used_ratio')})",
            Look("percentunit", ((0.9, palette.WARN),), decimals=0),
            size,
        ),
        stat_of(
            Text("Configuration", "Whether the last reload succeeded on every exporter."),
            f"min({ALL('vendorwatch_config_last_reload_successful')})",
            Look(words=palette.words({"1": ("✓ current", palette.GOOD), "0": ("✗ RELOAD FAILED", palette.WARN)})),
            size,
        ),
    ]


def _targets() -> Panel:
    queries = {
        "success": POLLS,
        "age": _since("vendorwatch_poll_last_success_timestamp_seconds"),
        "oldest": f"time() - {_least('vendorwatch_oldest_value_timestamp_seconds')}",
        "duration": _most("vendorwatch_poll_duration_seconds"),
        "series": per_target("vendorwatch_target_series", "sum", TARGET),
        "truncated": _most("vendorwatch_poll_truncated"),
        "budget": _most("vendorwatch_budget_used_ratio"),
    }
    columns = [
        Column("collector", "Collector"),
        Column("account", "Account"),
        Column("Value #success", "Last poll", Look(words=palette.POLLED), 120),
        Column("Value #age", "Age", Look("s", palette.AGE, decimals=0), 110),
        Column("Value #oldest", "Oldest value", Look("s", decimals=0), 120),
        Column("Value #duration", "Poll duration", Look("s"), 120),
        Column("Value #series", "Series", Look("none"), 90),
        Column("Value #truncated", "Data", Look(words=palette.TRUNCATED), 120),
        Column("Value #budget", "Budget used", Look("percentunit", ((0.9, palette.WARN),), decimals=0), 120),
    ]
    description = (
        "Age: time since the last successful poll. Oldest value: of data polled in rotation. Budget: last minute."
    )
    return table_of(Text("Targets", description), queries, columns, Size(24, 8), "-Age")


def _polls() -> Panel:
    description = "Whether each target's last polls succeeded. In a gap the exporter did not run."
    return timeline(Text("Polls", description), POLLS, NAME, palette.POLLED, Size(24, 8))


def _age() -> Panel:
    return lines(
        Text("Age", "Age of each target's data; it rises until the next poll."),
        [query(_since("vendorwatch_poll_last_success_timestamp_seconds"), NAME)],
        Look("s", ((1800, palette.BAD),)),
        HALF,
    )


def _durations() -> Panel:
    text = Text("Poll duration", "Duration of the last complete round of polls of each target.")
    return lines(text, [query(_most("vendorwatch_poll_duration_seconds"), NAME)], Look("s"), HALF)


def _rate(by: str, *more: str) -> str:
    return f"60 * sum by ({by}) (rate({TARGET('vendorwatch_api_requests_total', *more)}[$__rate_interval]))"


def _by_outcome() -> Panel:
    text = Text("Requests, by outcome", "Requests per minute to all vendors, stacked.")
    return lines(text, [query(_rate("outcome"), "{{outcome}}")], Look("reqpm", named=OUTCOMES), HALF, stacked=True)


def _failures() -> Panel:
    expr = _rate("collector, account, endpoint, outcome", 'outcome!="ok"')
    return lines(
        Text(
            "Failed requests",
            "Failed requests per minute, by target, endpoint and outcome.",
            "✓ No failed requests.",
        ),
        [query(expr, NAME + " {{endpoint}}: {{outcome}}")],
        Look("reqpm", named=OUTCOMES[1:]),
        HALF,
    )


def _budget() -> Panel:
    return lines(
        Text("Budget used", "Used share of each target's requests_per_minute. At 100 % its data gets older."),
        [query(_most("vendorwatch_budget_used_ratio"), NAME)],
        Look("percentunit", ((0.9, palette.WARN),)),
        HALF,
    )


def _remaining() -> Panel:
    return lines(
        Text(
            "Remaining requests, as reported by the vendor",
            "Remaining requests in the vendor's own window, shared with other clients. At 0 the vendor answers 429.",
            "No vendor reports its remaining requests.",
        ),
        [query(_least("vendorwatch_api_rate_limit_remaining"), NAME)],
        Look("short"),
        HALF,
    )


def _series() -> Panel:
    text = Text("Series", "Series of each target; series_limit is the limit.")
    return lines(text, [query(per_target("vendorwatch_target_series", "sum", TARGET), NAME)], Look("short"), HALF)


def _memory() -> Panel:
    running = f"on (job, instance) group_left () max by (job, instance) ({ALL('vendorwatch_build_info')})"
    return lines(
        Text("Memory", "Resident memory of each exporter."),
        [query(f"{ALL('process_resident_memory_bytes')} * {running}", "{{instance}}")],
        Look("bytes"),
        HALF,
    )
