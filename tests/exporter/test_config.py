"""exporter.yml: what is read, every problem by its exact line, vendors as folders."""

import importlib
import shutil
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

import exporter.collectors
from exporter import config
from exporter.collectors.sharding import ALONE, Shard
from exporter.toolkit.config_types import ConfigError

BAD = sorted((Path(__file__).parent / "badconfigs").glob("*.yml"))
EDGE = {"collector": "certificates", "account": "edge", "endpoints": ["example.com:443"]}


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_each_invalid_file_has_exactly_its_problems(file):
    """All problems at once, a line each, with the path in the file."""
    lines = file.read_text().splitlines()
    expected = [line.removeprefix("# expected: ") for line in lines if line.startswith("# expected: ")]
    with pytest.raises(ConfigError) as raised:
        config.load(file)
    assert list(raised.value.problems) == [line.replace("{known}", ", ".join(config.known())) for line in expected]


def test_missing_file_is_one_problem(tmp_path):
    """With the system's reason."""
    with pytest.raises(ConfigError) as raised:
        config.load(tmp_path / "exporter.yml")
    assert raised.value.problems == ("cannot read: No such file or directory",)


def test_valid_file_becomes_settings(tmp_path):
    """Targets keep their order, and durations are seconds."""
    file = tmp_path / "exporter.yml"
    file.write_text("targets: [{collector: certificates, account: edge, endpoints: ['a.example:443'], timeout: 1m}]")
    (target,) = config.load(file).targets
    assert (target.collector, target.account, target.timeout) == ("certificates", "edge", 60.0)


def test_problems_contain_no_secret():
    """A value in the wrong place is not repeated."""
    with pytest.raises(ConfigError) as raised:
        config.read({"targets": [EDGE | {"tokn": "s3cr3t", "proxy_url": ["s3cr3t"]}]})
    assert "s3cr3t" not in str(raised.value)


def test_a_value_beyond_the_vendors_advice_is_a_warning():
    """With its place; the value is used."""
    (target,) = config.read({"targets": [EDGE]}).targets
    hasty = type("Hasty", (type(target),), {"shortest_poll_interval": 1e6})
    read = config.Config((target, hasty.model_validate(EDGE)))
    assert read.warnings() == ["targets[1].poll_interval: the vendor advises 1e+06 s or more"]


def test_targets_of_one_token_beyond_the_vendors_limit_are_a_warning(tmp_path):
    """Each has a budget of its own, and the vendor counts them together."""
    (tmp_path / "token").write_text("secret\n")
    groups = [{"collector": "thousandeyes", "account": str(one), "token": "secret"} for one in range(5)]
    groups[4] = {"collector": "thousandeyes", "account": "4", "token_file": str(tmp_path / "token")}
    others = [{"collector": "thousandeyes", "account": "other", "token": "another"}, EDGE, EDGE | {"account": "b"}]
    assert config.read({"targets": [*groups[1:], *others]}).warnings() == []
    (line,) = config.read({"targets": [*others, *groups]}).warnings()
    same = "targets[4], targets[5], targets[6], targets[7], which have the same token"
    assert line == f"targets[3].requests_per_minute: 300 together with {same}: the vendor allows 240"


@pytest.mark.parametrize(
    ("given", "max_age"),
    [({}, 1800.0), ({"poll_interval": "1h"}, 10800.0), ({"poll_interval": "1h", "max_age": "90m"}, 5400.0)],
)
def test_default_max_age_follows_the_poll_interval(given, max_age):
    """Series outlive three failed polls; a vendor's own default is the minimum."""
    (target,) = config.read({"targets": [EDGE | given]}).targets
    assert target.max_age == max_age


@pytest.mark.parametrize("max_age", ["10m", "5m"])
def test_max_age_shorter_than_the_interval_is_an_error(max_age):
    """Shorter than two intervals is a warning."""
    with pytest.raises(ConfigError) as raised:
        config.read({"targets": [EDGE | {"poll_interval": "10m", "max_age": max_age}]})
    assert raised.value.problems == (
        "targets[0].max_age: must be longer than poll_interval: series would be withdrawn between two polls",
    )
    with pytest.raises(ConfigError) as raised:
        config.read({"targets": [EDGE | {"max_age": "15m", "requests_per_minute": 0.05}]})
    (problem,) = raised.value.problems
    assert problem.startswith("targets[0].requests_per_minute: less than one request within max_age")
    assert config.read({"targets": [EDGE | {"timeout": "16m", "max_age": "15m"}]}).warnings() == [
        "targets[0].timeout: longer than max_age: a single hanging request withdraws the series"
    ]
    just = {"timeout": "10m", "poll_interval": "5m", "max_age": "10m", "requests_per_minute": 0.1}
    assert config.read({"targets": [EDGE | just]}).warnings() == []
    assert config.read({"targets": [EDGE | {"poll_interval": "10m", "max_age": "15m"}]}).warnings() == [
        "targets[0].max_age: less than two poll intervals: a single failed poll withdraws the series"
    ]


def test_each_target_belongs_to_one_shard():
    """With its full rate; every shard has some of many targets, and a single exporter has all."""
    url = "https://packetvis.com/api?auth=k3y"
    targets = [{"collector": "packetvis", "account": f"noc{number}", "url": url} for number in range(12)]
    read = config.read({"targets": targets})
    parts = [read.part(Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(one.account for part in parts for one in part) == sorted(one.account for one in read.targets)
    assert all(one in read.targets for part in parts for one in part)
    assert all(parts)
    assert read.part(ALONE) == read.targets


def test_a_new_folder_is_a_new_vendor(tmp_path, monkeypatch):
    """A copied collector folder works under its new name without another change."""
    original = Path(exporter.collectors.__path__[0]) / "certificates"
    shutil.copytree(original, tmp_path / "copied_vendor")
    monkeypatch.setattr(exporter.collectors, "__path__", [*exporter.collectors.__path__, str(tmp_path)])
    (target,) = config.read({"targets": [EDGE | {"collector": "copied_vendor"}]}).targets
    made = config.collector(target)
    assert "copied_vendor" in config.known()
    assert type(made).__module__ == "exporter.collectors.copied_vendor.collector"
    assert made.metrics


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(config.known()), st.data())
def test_any_value_is_one_line_per_problem(vendor, data):
    """For any value under any key: no traceback and no control characters."""
    model = importlib.import_module(f"exporter.collectors.{vendor}.config").Settings
    target = {"collector": vendor, "account": "a", "token": "t", "endpoints": ["example.com:443"]}
    target[data.draw(st.sampled_from(sorted(model.model_fields)) | st.text())] = data.draw(ANYTHING)
    found = ()
    try:
        config.read({"targets": [target]})
    except ConfigError as error:
        found = error.problems
    assert all(line.isprintable() for line in found)


def test_paths_are_relative_to_exporter_yml(tmp_path, monkeypatch):
    """As with Prometheus, whatever the working directory."""
    (tmp_path / "conf").mkdir()
    for name in ("token", "proxy"):
        (tmp_path / "conf" / name).write_text("http://proxy:3128\n")
    trustme.CA().cert_pem.write_to_path(tmp_path / "conf" / "ca.pem")
    (tmp_path / "conf" / "exporter.yml").write_text(
        "targets: [{collector: vigilmon, account: a, token_file: token, proxy_url_file: proxy, ca_file: ca.pem}]"
    )
    monkeypatch.chdir(tmp_path)
    (target,) = config.load(Path("conf/exporter.yml")).targets
    monkeypatch.chdir("/")
    assert target.token.read() == "http://proxy:3128"
    assert target.ca_file == str(tmp_path / "conf" / "ca.pem")
