"""The benchmark runs: little of everything, so that it is not found broken on the day it is needed."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.bench import figures, fleet, freshness, webhooks
from tests.bench.account import SERIES, families, settings
from tests.bench.figures import Promise, Table
from tests.bench.soak import grown

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.system
def test_a_quick_run_measures_every_part_and_writes_what_it_found(tmp_path):
    """Markdown and JSON with every table, and a plot for each."""
    subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--out", tmp_path], cwd=ROOT, check=True, timeout=600,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    tables = {table["name"] for table in json.loads((tmp_path / "RESULTS.json").read_text())["tables"]}
    assert tables == {
        "scrapes",
        "memory",
        "rendering",
        "held",
        "polls",
        "webhooks",
        "waits",
        "crowds",
        "freshness",
        "fleet",
    }
    assert {plot.stem for plot in (tmp_path / "plots").glob("*.svg")} == tables
    assert all(f"plots/{table}.svg" in (tmp_path / "RESULTS.md").read_text() for table in tables)


def test_an_account_has_as_many_series_as_it_is_said_to_have():
    """So a figure for 100,000 series is of 100,000 series."""
    assert sum(len(family.samples) for family in families(50, 1e9)) == 50 * SERIES


def test_promises_of_webhooks_are_of_figures_of_the_same_size():
    """A quick run has none, because it sends no webhook of 100 alerts."""
    sizes = {"1 alert a webhook": defaultdict(lambda: 3.0), "100 alerts a webhook": defaultdict(lambda: 5.0)}
    assert {promise.measured for promise in webhooks.promised(sizes, sizes)} == {1.0}


def test_an_hour_is_watched_as_a_scrape_would_see_it():
    """The oldest status is older than the pause between two askings, and younger than two of them."""
    found = freshness.hour(settings(rate=55.0), 100, 0.2, outages=True)
    assert 30 < found.oldest_status <= 30 + 5
    assert (found.refused, found.until_incidents) == (0, 1)


@pytest.mark.parametrize(("rate", "refused"), [(25.0, False), (40.0, True)])
def test_programs_that_share_a_token_are_counted_together(rate, refused):
    """Each within its part, none is refused; each with most of it, some are."""
    found = fleet.simulated(fleet.Fleet(1, 500, 3, rate=rate, programs=2))
    assert (found["answered 429"] > 0) == refused


@pytest.mark.parametrize(
    ("after", "wrong"),
    [((80.0, 70, 12), []), ((95.0, 70, 12), ["memory"]), ((80.0, 100, 40), ["threads", "descriptors"])],
)
def test_a_soak_finds_what_grows(after, wrong):
    """Neither the growth within the first third nor noise counts."""
    seen = [(50.0, 10, 5)] * 10 + [(80.0, 70, 12)] * 10 + [after] * 10
    assert [line.split()[0] for line in grown(seen)] == wrong


def test_a_promise_tells_whether_it_holds():
    """At most, or at least."""
    assert Promise("", 1.0, 1.0).holds
    assert not Promise("", 1.0, 2.0, least=True).holds


def test_a_table_is_drawn_and_written_with_what_is_missing_left_out():
    """A server that is not installed leaves an empty cell, not a zero."""
    table = Table("t", "Title", "ms", {"row <1>": {"a": 1.0}, "row 2": {"a": 2.0, "b": 1234.5}})
    page = figures.markdown([table], {"cores": "2"}, 1.0)
    assert "| row <1> | 1.00 |  |" in page
    assert "| row 2 | 2.00 | 1,234 |" in page
    assert figures.plot(table).count("<rect") == 1 + 2 + 3
