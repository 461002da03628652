"""Families → bytes: both formats, plain and gzip, read back by prometheus_client's parsers."""

import gzip
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.utils import floatToGoString

from exporter.metrics.families import Family, Metric
from exporter.metrics.gzip_stream import stream
from exporter.metrics.text_format import SAMPLES, compose, head, number, render

UP = Metric("demo_up", "gauge", "Whether it is up.", ("host", "path"))
AGE = Metric("demo_age_seconds", "gauge", "Its age.")
SEEN = Metric("demo_seen_total", "counter", 'Seen: a "quote", a \\ and a\nbreak.', ("kind",))
HOSTILE = ["", " ", '"', "\\", "\n", "\\n", '\\"', "a\r\nb", "%s %d %%", "{}", "é", "\U0001f600", "a,b=c", "#", "\0"]


def whole(*targets, openmetrics=False, packed=False):
    """Return what a scrape of these targets gets, unpacked."""
    blocks = compose(targets, openmetrics=openmetrics)
    sent = gzip.decompress(b"".join(stream(blocks))) if packed else b"".join(block.plain for block in blocks)
    return sent.decode() + ("# EOF\n" if openmetrics else "")


def samples(text, parse):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in parse(text) for s in family.samples}


@pytest.mark.parametrize(
    "value",
    [0, 1, True, -0.0, 0.1, 1e5, 1e6, 1763679586.123, 2**53, 1e15, 1e16, 1e-7, -1e6, math.nan, math.inf, -math.inf],
)
def test_a_value_is_written_as_client_python_writes_it(value):
    """Go's float formatting, as Prometheus' own libraries have it."""
    assert number(value) == floatToGoString(value)


@given(st.floats())
def test_any_value_is_written_as_client_python_writes_it(value):
    """The same for every float."""
    assert number(value) == floatToGoString(value)


def test_equal_values_are_written_each_as_itself():
    """Zero and minus zero are equal, and so are one and True; nothing equals not-a-number."""
    values = [0.0, -0.0, 1.0, True, 0, math.nan, math.nan, float("nan"), -0.0]
    page = render([Family(SEEN, [((str(i),), value) for i, value in enumerate(values)])], "a")
    written = [line.rpartition(" ")[2] for line in whole(page).splitlines() if not line.startswith("#")]
    assert written == [floatToGoString(value) for value in values]


@pytest.mark.parametrize(("openmetrics", "parse"), [(False, text_families), (True, openmetrics_families)])
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_labels_and_values_survive(openmetrics, parse, packed):
    """What the parsers read is what was stated, whatever the labels and the account hold."""
    values = [1.0, math.inf, -math.inf, 2.0**60, -1e-9]
    stated = [((label, str(i)), values[i % len(values)]) for i, label in enumerate(HOSTILE)]
    for account in HOSTILE:
        page = render([Family(UP, stated)], account)
        read = samples(whole(page, openmetrics=openmetrics, packed=packed), parse)
        assert read == {
            ("demo_up", (("account", account), ("host", host), ("path", path))): value for (host, path), value in stated
        }


@given(st.text(), st.text())
def test_any_label_survives_in_openmetrics(host, path):
    """Whatever Unicode a vendor sends is read back; what is no Unicode becomes a question mark."""
    page = render([Family(UP, [((host, path), 1.0)])], "a")
    assert ("demo_up", (("account", "a"), ("host", host), ("path", path))) in samples(
        whole(page, openmetrics=True), openmetrics_families
    )


def test_what_is_no_unicode_does_not_spoil_the_page():
    """A lone surrogate, which JSON can carry, becomes a question mark."""
    page = render([Family(UP, [(("\ud800x", "/"), math.nan)])], "a")
    assert 'host="?x",path="/"} NaN\n' in whole(page)


def test_account_stands_before_all_other_labels():
    """Every sample of a collector carries it, first."""
    page = render([Family(SEEN, [(("x",), 3.0)])], "prod")
    assert 'demo_seen_total{account="prod",kind="x"} 3.0\n' in whole(page)


def test_openmetrics_names_a_counter_without_its_suffix_and_escapes_quotes():
    """HELP and TYPE of the two formats differ."""
    assert head(SEEN, openmetrics=False).plain.decode() == (
        '# HELP demo_seen_total Seen: a "quote", a \\\\ and a\\nbreak.\n# TYPE demo_seen_total counter\n'
    )
    assert head(SEEN, openmetrics=True).plain.decode() == (
        '# HELP demo_seen Seen: a \\"quote\\", a \\\\ and a\\nbreak.\n# TYPE demo_seen counter\n'
    )


def test_openmetrics_tells_units_and_since_when_each_sample_counts():
    """The start stands beside its sample, as the specification demands; the text format knows neither."""
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


def test_a_family_is_told_once_with_its_samples_together():
    """Two targets of one group share HELP and TYPE, in order of the families."""
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


def test_a_family_without_samples_is_not_on_the_page():
    """What is not known is absent, its HELP too."""
    assert whole(render([Family(UP, [])], "a")) == ""


def test_both_formats_and_codings_say_the_same_of_a_large_page():
    """The samples are rendered once, and shared."""
    many = [((f"host-{i:06}.example.com", "/some/path"), float(i % 2)) for i in range(5 * SAMPLES)]
    target = render([Family(SEEN, [(("x",), 1.0)]), Family(UP, many)], "a")
    assert whole(target, packed=True) == whole(target)
    assert whole(target, openmetrics=True, packed=True) == whole(target, openmetrics=True)
    assert whole(target).count("demo_up{") == len(many)


def test_rendering_costs_at_most_a_fifth_of_client_python():
    """The same families, the same process; the best of a few rounds of each."""
    many = [((f"host-{i:06}.example.com", "/some/path"), float(i % 2)) for i in range(10_000)]
    theirs = GaugeMetricFamily("demo_up", "Whether it is up.", labels=["account", *UP.labels])
    for labels, value in many:
        theirs.add_metric(["prod", *labels], value)
    registry = CollectorRegistry()
    registry.register(type("Fixed", (), {"collect": lambda _self: [theirs]})())
    own = min(_took(lambda: render([Family(UP, many)], "prod")) for _ in range(7))
    stock = min(_took(lambda: gzip.compress(generate_latest(registry), mtime=0)) for _ in range(3))
    assert own <= 0.2 * stock


def _took(work):
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("name", ["x" * 3000, "é" * 3000, "\U0001f600" * 3000, '"' * 3000])
def test_a_label_is_cut_at_512_bytes(name):
    """Prometheus refuses a whole scrape over one value beyond its limit; what is shorter stays as it is."""
    text = whole(render([Family(UP, [((name, "/"), 1.0), (("short", "/"), 1.0)])], "a"))
    values = {sample.labels["host"] for family in text_families(text) for sample in family.samples}
    (cut,) = values - {"short"}
    assert 505 < len(cut.encode()) <= 512
    assert cut == name[: len(cut) - 1] + "…"
