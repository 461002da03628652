"""bridge.yml: what is read, every problem by its exact line, receivers as modules, who may go without credentials."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge.receivers
from bridge import config
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.receivers.contract import sender, senders, translate
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.flags import address

BAD = sorted((Path(__file__).parent / "badconfigs").glob("*.yml"))
GOOD = """
database: postgresql://user:hunter2@db/bridge
bigpanda: {app_key: app, token_file: %(token)s}
receivers:
  - receiver: alertmanager
    source: prod
    bearer_token_file: %(token)s
    statuses: {Page: critical}
    reconcile: {urls: ["http://am-1:9093/", "http://am-2:9093"], receiver: bigpanda}
    watchdog: {alertname: Watchdog, max_silence: 1m}
  - {receiver: alertmanager, source: lab, update_interval: 0s, primary_property: [host]}
"""


@pytest.fixture
def file(tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    written = tmp_path / "bridge.yml"
    written.write_text(GOOD % {"token": token})
    return written


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_each_invalid_file_has_exactly_its_problems(file):
    """All problems at once, a line each, with the path in the file."""
    lines = file.read_text().splitlines()
    expected = [line.removeprefix("# expected: ") for line in lines if line.startswith("# expected: ")]
    with pytest.raises(ConfigError) as raised:
        config.load(file)
    assert list(raised.value.problems) == [line.replace("{known}", ", ".join(senders())) for line in expected]
    assert "geheim" not in str(raised.value)


def test_missing_file_is_one_problem(tmp_path):
    """With the system's reason."""
    with pytest.raises(ConfigError) as raised:
        config.load(tmp_path / "bridge.yml")
    assert raised.value.problems == ("cannot read: No such file or directory",)


def test_valid_file_is_read_with_its_defaults(file):
    """Durations are seconds, sizes bytes."""
    found = config.load(file)
    assert (found.retention, found.max_body) == (30 * 86400.0, 64_000_000)
    panda = found.bigpanda
    assert (panda.url, panda.events_per_minute, panda.batch_size, panda.timeout) == (
        "https://api.bigpanda.io/data/v2/alerts",
        300.0,
        100,
        10.0,
    )
    prod, lab = found.receivers
    assert (prod.update_interval, prod.statuses, prod.reconcile.urls) == (
        900.0,
        {"page": "critical"},
        ("http://am-1:9093", "http://am-2:9093"),
    )
    assert (prod.reconcile.interval, prod.reconcile.min_uptime, prod.watchdog.max_silence) == (60.0, 300.0, 60.0)
    assert (lab.update_interval, lab.primary_property, lab.reconcile) == (0.0, ("host",), None)


@pytest.mark.parametrize(
    ("receiver", "section", "defaults"),
    [
        ("alertmanager", "", {"severity_label": "severity", "silenced": "keep", "resolve_after": 0}),
        ("alertmanager", "", {"primary_property": ("host", "instance", "monitor", "service", "job")}),
        ("alertmanager", "", {"update_interval": 900}),
        ("alertmanager", "reconcile", {"interval": 60, "min_uptime": 300, "receiver": None, "open_missed": True}),
        ("alertmanager", "watchdog", {"alertname": "Watchdog", "max_silence": 300, "forget_after": 7 * 86400}),
        ("alertmanager", "identity", {"without": ()}),
        ("vigilmon", "", {"certificate_critical_days": 7, "certificate_resolve_after": 0, "update_interval": 900}),
        ("thousandeyes", "", {"resolve_after": 0, "update_interval": 900}),
        ("alerts_api", "", {"resolve_after": 0, "update_interval": 0}),
        ("bigpanda", "", {"reopen_after": 0}),
        ("bigpanda", "callback", {"url": "https://api.bigpanda.io/resources/v2.1/outbound/callback", "timeout": 10}),
        ("bigpanda", "silences", {"sources": None, "timeout": 10}),
    ],
)  # fmt: skip
def test_receivers_have_the_documented_defaults(receiver, section, defaults):
    """Whoever leaves a key out relies on them."""
    required = {
        "reconcile": {"urls": ["http://am:9093"]},
        "callback": {"api_key": "k", "app_key": "a"},
        "silences": {"alertmanager": "http://am:9093"},
    }
    given = {section: required.get(section, {})} if section else {}
    found = sender(receiver).Settings.model_validate({"receiver": receiver, "source": "s"} | given)
    found = getattr(found, section) if section else found
    assert {name: getattr(found, name) for name in defaults} == defaults


def test_optional_apis_of_bigpanda_have_the_documented_defaults():
    """Five minutes between two confirmations, ten seconds for a request."""
    panda = {"app_key": "a", "token": "t", "confirm": {"api_key": "k"}}
    incidents, receivers = {"api_key": "k"}, [{"receiver": "vigilmon", "source": "s"}]
    found = config.read({"database": "sqlite:////b", "bigpanda": panda, "incidents": incidents, "receivers": receivers})
    assert (found.bigpanda.confirm.interval, found.bigpanda.confirm.url) == (300, None)
    assert (found.incidents.url, found.incidents.timeout) == ("https://api.bigpanda.io", 10)


def test_database_may_be_written_as_for_the_exporter(file):
    """Both read the same file, which often has the provider's form."""
    file.write_text(file.read_text().replace("postgresql://", "postgres://"))
    assert config.load(file).database.read().startswith("postgres://")


def test_repr_of_the_config_has_no_secret(file):
    """Neither the tokens nor the database's password."""
    found = config.load(file)
    assert found.bigpanda.token.read() == "s3cret"
    assert found.database.read().startswith("postgresql://")
    assert not {"s3cret", "hunter2"} & set(repr(found).replace("@", " ").replace(":", " ").split())


@pytest.mark.parametrize(
    ("addresses", "problems"),
    [
        (["127.0.0.1:9789"], 0),
        (["localhost:9789", "[::1]:9789"], 0),
        (["0.0.0.0:9789"], 1),
        (["127.0.0.1:9789", "[::]:9789"], 1),
        ([":9789"], 1),
        (["bridge.example.com:9789"], 1),
    ],
)
def test_a_receiver_without_credentials_is_for_loopback_only(file, addresses, problems):
    """Otherwise anyone could resolve every alert."""
    found = config.unauthenticated(config.load(file), [address(one)[0] for one in addresses])
    assert len(found) == problems
    assert all(line.startswith("receivers[1]: alertmanager/lab has no credentials") for line in found)


def test_allow_unauthenticated_opens_a_receiver(file):
    """allow_unauthenticated: true overrides."""
    file.write_text(file.read_text().replace("source: lab,", "source: lab, allow_unauthenticated: true,"))
    assert config.unauthenticated(config.load(file), ["192.0.2.1"]) == []


def test_headers_are_secrets_too(tmp_path):
    """`NAME_file: PATH` reads a header's value from a file."""
    (tmp_path / "key").write_text("k3y")

    written = {"x-api-key_file": str(tmp_path / "key"), "x-more": "m"}
    found = BigPandaSettings(receiver="bigpanda", source="s", headers=written).headers
    assert {name: secret.read() for name, secret in found.items()} == {"x-api-key": "k3y", "x-more": "m"}


def test_a_receiver_is_one_module(file, tmp_path, monkeypatch):
    """A new module in the folder is a receiver, without another change."""
    folder = tmp_path / "more"
    folder.mkdir()
    shutil.copy(Path(bridge.receivers.__path__[0]) / "alertmanager.py", folder / "copied.py")
    monkeypatch.setattr(bridge.receivers, "__path__", [*bridge.receivers.__path__, str(folder)])
    file.write_text(file.read_text().replace("{receiver: alertmanager", "{receiver: copied"))
    assert config.load(file).receivers[1].receiver == "copied"
    assert translate({"alerts": []}, config.load(file).receivers[1], 0.0).alerts == ()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(senders()), st.data())
def test_any_value_is_one_line_per_problem(name, data):
    """For any value under any key: no traceback and no control characters."""
    content = {"database": "sqlite:////var/lib/vendorwatch/bridge.db", "bigpanda": {"app_key": "a", "token": "t"}}
    receiver = {"receiver": name, "source": "s"}
    keys = st.sampled_from(sorted({*sender(name).Settings.model_fields, *config.Config.model_fields})) | st.text()
    place = data.draw(st.sampled_from([content, content["bigpanda"], receiver]))
    place[data.draw(keys)] = data.draw(ANYTHING)
    found = ()
    try:
        config.read({"receivers": [receiver]} | content)
    except ConfigError as error:
        found = error.problems
    assert all(line.isprintable() for line in found)


def test_paths_are_relative_to_bridge_yml(tmp_path, monkeypatch):
    """At the top, in a receiver, among its headers and below, in any working directory."""
    (tmp_path / "s3cret").write_text("k3y\n")
    (tmp_path / "bridge.yml").write_text(
        "database: sqlite:///bridge.db\n"
        "bigpanda: {app_key: app, token_file: s3cret}\n"
        "receivers:\n"
        "  - receiver: bigpanda\n"
        "    source: panda\n"
        "    headers: {x-api-key_file: s3cret}\n"
        "    callback: {api_key_file: s3cret, app_key: a}\n"
    )
    monkeypatch.chdir("/")
    found = config.load(tmp_path / "bridge.yml")
    assert found.database.read() == f"sqlite:///{tmp_path}/bridge.db"
    (panda,) = found.receivers
    secrets = [found.bigpanda.token, panda.headers["x-api-key"], panda.callback.api_key]
    assert [secret.read() for secret in secrets] == ["k3y"] * 3


def test_every_url_has_ca_file_proxy_url_and_max_response(file):
    """Alertmanager's limit is higher."""
    file.write_text(file.read_text().replace("app_key: app,", "app_key: app, proxy_url: 'http://me:p3ss@proxy:3128',"))
    found = config.load(file)
    assert (found.bigpanda.proxy_url.read(), found.bigpanda.max_response) == ("http://me:p3ss@proxy:3128", 8_000_000)
    assert found.receivers[0].reconcile.max_response == 64_000_000
    assert "p3ss" not in repr(found)
