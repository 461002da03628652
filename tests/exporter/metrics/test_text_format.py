"""Families → bytes: both formats, plain and gzip, read back by prometheus_client's parsers."""

import gzip
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.utils import floatToGoString

from exporter.metrics.families import Family, Metric
from exporter.metrics.gzip_stream import begin, block, end
from exporter.metrics.text_format import SAMPLES, compose, head, render

UP = Metric("demo_up", "gauge", "Whether it is up.", ("host", "path"))
AGE = Metric("demo_age_seconds", "gauge", "Its age.")
SEEN = Metric("demo_seen_total", "counter", 'Seen: a "quote", a \\ and a\nbreak.', ("kind",))
HOSTILE = ["", " ", '"', "\\", "\n", "\\n", '\\"', "a\r\nb", "%s %d %%", "{}", "é", "\U0001f600", "a,b=c", "#", "\0"]


def whole(*targets, openmetrics=False, packed=False):
    """Return what a scrape of these targets gets, unpacked."""
    blocks = compose(targets, openmetrics=openmetrics)
    sent = gzip.decompress(end(begin(blocks), block(b""))) if packed else b"".join(each.plain for each in blocks)
    return sent.decode() + ("# EOF\n" if openmetrics else "")


def samples(text, parse):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in parse(text) for s in family.samples}


def test_equal_values_keep_their_spelling():
    """Zero and minus zero are equal, and so are one and True; NaN equals nothing."""
    values = [0.0, -0.0, 1.0, True, 0, math.nan, math.nan, float("nan"), -0.0]
    page = render([Family(SEEN, [((str(i),), value) for i, value in enumerate(values)])], "a")
    written = [line.rpartition(" ")[2] for line in whole(page).splitlines() if not line.startswith("#")]
    assert written == [floatToGoString(value) for value in values]


@pytest.mark.parametrize(("openmetrics", "parse"), [(False, text_families), (True, openmetrics_families)])
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_labels_and_values_round_trip(openmetrics, parse, packed):
    """The parsers read back the exported labels and values."""
    values = [1.0, math.inf, -math.inf, 2.0**60, -1e-9]
    stated = [((label, str(i)), values[i % len(values)]) for i, label in enumerate(HOSTILE)]
    for account in HOSTILE:
        page = render([Family(UP, stated)], account)
        read = samples(whole(page, openmetrics=openmetrics, packed=packed), parse)
        assert read == {
            ("demo_up", (("account", account), ("host", host), ("path", path))): value for (host, path), value in stated
        }


@given(st.text(), st.text())
def test_any_label_round_trips_in_openmetrics(host, path):
    """Any Unicode is read back; invalid Unicode becomes a question mark."""
    page = render([Family(UP, [((host, path), 1.0)])], "a")
    assert ("demo_up", (("account", "a"), ("host", host), ("path", path))) in samples(
        whole(page, openmetrics=True), openmetrics_families
    )


def test_family_that_stays_the_same_is_kept():
    """In both formats; what has changed is rendered anew, though only its `_created` did."""
    seen = Family(SEEN, [(("a",), 2.0)], [1000.0])
    first = render([Family(AGE, [((), 1.0)]), seen], "a")
    again = render([Family(AGE, [((), 2.0)]), seen], "a", first)
    assert again[SEEN.name] == first[SEEN.name]
    assert again[AGE.name] != first[AGE.name]
    known, later = first[SEEN.name], render([replace(seen, created=[2000.0])], "a", first)[SEEN.name]
    assert (later.metric == known.metric, later.text == known.text) == (True, True)
    assert later.openmetrics != known.openmetrics
    assert b"demo_seen_created" in later.openmetrics[0].plain


def test_large_family_is_compressed_in_blocks():
    """Only those that have changed are compressed again."""
    values = [((str(number), ""), 1.0) for number in range(2 * SAMPLES + 1)]
    first = render([Family(UP, values)], "a")
    values[SAMPLES] = (("changed", ""), 1.0)
    again = render([Family(UP, values)], "a", first)
    blocks = zip(again[UP.name].text, first[UP.name].text, strict=True)
    assert [kept is known for kept, known in blocks] == [True, False, True]


def test_created_samples_are_beside_theirs_in_a_large_family():
    """From its first block to its last."""
    values = [((str(number),), 1.0) for number in range(2 * SAMPLES + 1)]
    page = whole(render([Family(SEEN, values, [1000.0] * len(values))], "a"), openmetrics=True)
    names = [line.partition("{")[0] for line in page.splitlines() if not line.startswith("#")]
    assert names == ["demo_seen_total", "demo_seen_created"] * len(values)


def test_lone_surrogate_becomes_a_question_mark():
    """JSON can contain one."""
    page = render([Family(UP, [(("\ud800x", "/"), math.nan)])], "a")
    assert 'host="?x",path="/"} NaN\n' in whole(page)


def test_account_is_the_first_label():
    """On every sample of a collector."""
    page = render([Family(SEEN, [(("x",), 3.0)])], "prod")
    assert 'demo_seen_total{account="prod",kind="x"} 3.0\n' in whole(page)


def test_openmetrics_names_a_counter_without_its_suffix_and_escapes_quotes():
    """HELP and TYPE differ between the two formats."""
    assert head(SEEN, openmetrics=False).plain.decode() == (
        '# HELP demo_seen_total Seen: a "quote", a \\\\ and a\\nbreak.\n# TYPE demo_seen_total counter\n'
    )
    assert head(SEEN, openmetrics=True).plain.decode() == (
        '# HELP demo_seen Seen: a \\"quote\\", a \\\\ and a\\nbreak.\n# TYPE demo_seen counter\n'
    )


def test_openmetrics_has_units_and_created_timestamps():
    """The text format has neither."""
    seen = [(("x",), 3.0), (("a\r\nb",), 1.0)]
    page = render([Family(SEEN, seen, [1.5, 2.5]), Family(AGE, [((), 7.0)])], "prod")
    counted, age = openmetrics_families(whole(page, openmetrics=True, packed=True))
    assert [(each.name, each.labels["kind"], each.value) for each in counted.samples] == [
        ("demo_seen_total", "x", 3.0),
        ("demo_seen_created", "x", 1.5),
        ("demo_seen_total", "a\r\nb", 1.0),
        ("demo_seen_created", "a\r\nb", 2.5),
    ]
    assert (counted.unit, age.unit) == ("", "seconds")
    assert "created" not in whole(page)
    assert "UNIT" not in whole(page)


def test_family_has_one_help_and_contiguous_samples():
    """Two targets of a group share HELP and TYPE, in the order of the families."""
    first = render([Family(UP, [(("a", "/"), 1.0)]), Family(SEEN, [(("x",), 1.0)])], "one")
    second = render([Family(SEEN, [(("x",), 2.0)]), Family(UP, [(("a", "/"), 0.0)])], "two")
    lines = whole(first, second).splitlines()
    assert [line.split("{")[0] if line[0] != "#" else line[:15] for line in lines] == [
        "# HELP demo_up ",
        "# TYPE demo_up ",
        "demo_up",
        "demo_up",
        "# HELP demo_see",
        "# TYPE demo_see",
        "demo_seen_total",
        "demo_seen_total",
    ]


def test_family_without_samples_is_absent():
    """Its HELP too."""
    assert whole(render([Family(UP, [])], "a")) == ""


def test_formats_and_encodings_of_a_large_page_are_equal():
    """The samples are rendered once, and shared."""
    many = [((f"host-{i:06}.example.com", "/some/path"), float(i % 2)) for i in range(5 * SAMPLES)]
    target = render([Family(SEEN, [(("x",), 1.0)]), Family(UP, many)], "a")
    assert whole(target, packed=True) == whole(target)
    assert whole(target, openmetrics=True, packed=True) == whole(target, openmetrics=True)
    assert whole(target).count("demo_up{") == len(many)


def test_rendering_takes_at_most_half_of_prometheus_clients_time():
    """The same families in the same process, the best of a few rounds of each; the bench promises a fifth."""
    many = [((f"host-{i:06}.example.com", "/some/path"), float(i % 2)) for i in range(10_000)]
    theirs = GaugeMetricFamily("demo_up", "Whether it is up.", labels=["account", *UP.labels])
    for labels, value in many:
        theirs.add_metric(["prod", *labels], value)
    registry = CollectorRegistry()
    registry.register(type("Fixed", (), {"collect": lambda _self: [theirs]})())
    own = min(_took(lambda: render([Family(UP, many)], "prod")) for _ in range(7))
    stock = min(_took(lambda: gzip.compress(generate_latest(registry), mtime=0)) for _ in range(3))
    assert own <= 0.5 * stock


def _took(work):
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("name", ["€" * 200, "x" * 3000, "é" * 3000, "\U0001f600" * 3000, '"' * 3000])
def test_label_is_truncated_at_512_bytes(name):
    """Prometheus rejects a whole scrape because of one longer value; shorter ones are unchanged."""
    text = whole(render([Family(UP, [((name, "/"), 1.0), (("short", "/"), 1.0)])], "a"))
    values = {sample.labels["host"] for family in text_families(text) for sample in family.samples}
    (cut,) = values - {"short"}
    assert 505 < len(cut.encode()) <= 512
    assert cut == name[: len(cut) - 1] + "…"
