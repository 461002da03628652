import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from bridge.__main__ import main
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SECRETS = ("bp-token", "am-token")
HEADERS = {"Authorization": "Bearer am-token"}
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")


@pytest.fixture
def config(tmp_path, panda):
    """Write a configuration; return its path."""
    (tmp_path / "bp").write_text("bp-token")
    file = tmp_path / "bridge.yml"
    file.write_text(
        f"database: sqlite:///{tmp_path}/bridge.db\n"
        f"bigpanda: {{url: '{panda.url}', app_key: app, token_file: {tmp_path}/bp, timeout: 2s, "
        "events_per_minute: 6000}\n"
        "receivers:\n"
        "  - {receiver: alertmanager, source: prod, bearer_token: am-token}\n"
    )
    return file


class Running:
    """The bridge as a process."""

    def __init__(self, config, *more, command=(sys.executable, "-m", "bridge")):
        self.log = config.with_name("log")
        with self.log.open("ab") as log:
            began = log.tell()
            self.process = subprocess.Popen(
                [*command, f"--config.file={config}", "--web.listen-address=127.0.0.1:0", *more],
                stderr=log,
            )
        eventually(lambda: LISTENING.search(self.log.read_text()[began:]) or self.process.poll() is not None)
        self.url = f"http://127.0.0.1:{LISTENING.search(self.log.read_text()[began:])[1]}"

    def post(self, *names, firing=True, at=1):
        moment = f"2026-11-20T20:{at:02}:00Z"
        alerts = [
            {
                "status": "firing" if firing else "resolved",
                "labels": {"alertname": "Down", "severity": "critical", "host": name},
                "annotations": {},
                "startsAt": "2026-11-20T20:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z" if firing else moment,
                "fingerprint": name,
            }
            for name in names
        ]
        body = {"version": "4", "alerts": alerts}
        return requests.post(f"{self.url}/webhooks/alertmanager/prod", json=body, headers=HEADERS, timeout=30)

    def metric(self, name):
        page = requests.get(f"{self.url}/metrics", timeout=30).text
        return float(re.search(rf"^vendorwatch_bridge_{re.escape(name)} (\S+)$", page, re.MULTILINE)[1])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start(config):
    """Start bridges; all end with the test."""
    started = []

    def begin(*more, **how):
        started.append(Running(config, *more, **how))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def test_an_alert_and_its_end_arrive(start, panda):
    """After a 200; no secret is in the log or on a page."""
    bridge = start("--log.level=debug")
    assert bridge.post("a").status_code == 200
    eventually(lambda: panda.statuses("prod:a") == ["critical"])
    assert bridge.post("a").status_code == 200
    assert bridge.post("a", firing=False).status_code == 200
    eventually(lambda: panda.statuses("prod:a") == ["critical", "ok"])
    assert requests.get(f"{bridge.url}/-/ready", timeout=30).status_code == 200
    page = requests.get(f"{bridge.url}/metrics", timeout=30).text
    assert bridge.stop() == 0
    assert not [secret for secret in SECRETS if secret in page + bridge.log.read_text()]


def test_nothing_is_lost_when_bigpanda_hangs_and_the_bridge_is_killed(start, panda):
    """Webhooks are answered meanwhile; after SIGKILL and a restart all events arrive, in order."""
    panda.flowing.clear()
    bridge = start()
    for names, firing in ((("a", "b"), True), (("a",), False), (("c", "d", "e"), True), (("b",), False)):
        assert bridge.post(*names, firing=firing).status_code == 200
    eventually(lambda: bridge.metric('outbox_events{state="waiting"}') == 7)
    bridge.stop(signal.SIGKILL)
    bridge = start()
    assert bridge.post("f").status_code == 200
    panda.flowing.set()
    eventually(lambda: len({json.dumps(event) for event in panda.events}) == 8, 90)
    assert panda.statuses("prod:a") == ["critical", "ok"]
    assert panda.statuses("prod:b") == ["critical", "ok"]
    eventually(lambda: bridge.metric('outbox_events{state="waiting"}') == 0)
    assert bridge.metric("destination_up") == 1


def test_a_signal_ends_it_while_bigpanda_hangs(start, panda):
    """Status 0, and the event is sent after the next start, which an interrupt ends."""
    panda.flowing.clear()
    bridge = start()
    bridge.post("a")
    assert bridge.stop() == 0
    panda.flowing.set()
    bridge = start()
    eventually(lambda: panda.statuses("prod:a") == ["critical"])
    assert bridge.stop(signal.SIGINT) == 0


def test_reload_uses_a_valid_file_and_rejects_an_invalid_one(start, config, panda):
    """By SIGHUP and POST /-/reload; the errors are logged."""
    bridge = start("--web.enable-lifecycle")
    good = config.read_text()
    config.write_text(good.replace("app_key: app", "app_key: other"))
    assert requests.post(f"{bridge.url}/-/reload", timeout=30).status_code == 200
    bridge.post("a")
    eventually(lambda: panda.requests)
    assert panda.requests[0]["app_key"] == "other"
    config.write_text(good.replace("app_key: app", "app_kee: app"))
    answer = requests.post(f"{bridge.url}/-/reload", timeout=30)
    assert answer.status_code == 500
    assert "bigpanda.app_kee: unknown key" in answer.text
    assert bridge.metric("config_last_reload_successful") == 0
    assert bridge.post("b").status_code == 200
    config.write_text(good.replace("source: prod", "source: new"))
    bridge.process.send_signal(signal.SIGHUP)
    eventually(lambda: bridge.post("c").status_code == 404)
    assert bridge.metric("config_last_reload_successful") == 1


def test_corrected_token_is_used_after_a_reload(start, config, panda):
    """Rejected credentials stop delivery; a reload with valid ones tries at once."""
    config.with_name("bp").write_text("wrong")
    bridge = start()
    bridge.post("a")
    eventually(lambda: bridge.metric("destination_up") == 0)
    assert requests.get(f"{bridge.url}/-/ready", timeout=30).status_code == 200
    config.with_name("bp").write_text("bp-token")
    bridge.process.send_signal(signal.SIGHUP)
    eventually(lambda: panda.statuses("prod:a") == ["critical"])
    assert bridge.metric("dead_letters") == 0


FEW_DESCRIPTORS = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", sys.executable, "-m", "bridge")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "said", [b"", b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /web"], ids=["mute", "idle", "half"]
)
def test_more_connections_than_descriptors_starve_nobody(start, panda, said):
    """256 descriptors, 276 connections: webhooks are accepted and delivered, scrapes answered, without a busy loop."""
    bridge = start(command=FEW_DESCRIPTORS)
    address = ("127.0.0.1", int(bridge.url.rpartition(":")[2]))
    kept = requests.Session()
    assert kept.get(f"{bridge.url}/metrics", timeout=30).status_code == 200
    with contextlib.ExitStack() as crowd:
        for _ in range(276):
            client = crowd.enter_context(socket.create_connection(address, 30))
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
        used, began = cpu_seconds(bridge.process.pid), time.monotonic()
        for number in range(5):
            assert bridge.post(f"a{number}").status_code == 200
            assert kept.get(f"{bridge.url}/metrics", timeout=30).status_code == 200
            time.sleep(0.3)
        eventually(lambda: panda.statuses("prod:a4") == ["critical"])
        took = time.monotonic() - began
        assert cpu_seconds(bridge.process.pid) - used < 0.4 * took
    assert bridge.post("b").status_code == 200
    assert "Traceback" not in bridge.log.read_text()


def test_unauthenticated_bodies_need_no_memory(start):
    """32 bodies of 30 MB at once: each gets a 401, and none is kept."""
    bridge = start()
    url = f"{bridge.url}/webhooks/alertmanager/prod"

    def ask(_number):
        return requests.post(url, data=bytes(30_000_000), headers={"Content-Type": "application/json"}, timeout=120)

    with ThreadPoolExecutor(32) as strangers:
        assert {answer.status_code for answer in strangers.map(ask, range(32))} == {401}
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{bridge.process.pid}/status").read_text(), re.MULTILINE)
    assert int(peak[1]) * 1024 < 200_000_000
    assert bridge.metric('http_refusals_total{reason="unauthorized"}') == 32


def test_config_check_starts_nothing(config, capsys):
    """It prints ok, or each problem with its place."""
    assert main([f"--config.file={config}", "--config.check"]) == 0
    assert capsys.readouterr().out == f"{config}: ok\n"
    config.write_text("database: mysql://x\nreceivers: []\n")
    assert main([f"--config.file={config}", "--config.check"]) == 1
    output = capsys.readouterr().err.splitlines()
    assert len(output) == 3
    assert all(line.startswith(f"{config}: ") for line in output)
    assert not config.with_name("bridge.db").exists()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://v:s3cret@h:port/d", "not a URL: write it like sqlite:////var/lib/vendorwatch/bridge.db"),
        ("postgresql://v:s3cret@h/d?bogus=1", 'invalid connection option "bogus"'),
        ("postgresql://v:s3cret@nowhere.invalid/d", ""),
    ],
)
def test_config_check_reports_an_unusable_database_url(config, capsys, url, problem):
    """One line without the URL; no connection is made."""
    config.write_text(re.sub(r"(?m)^database: .*$", f"database: {url}", config.read_text()))
    assert main([f"--config.file={config}", "--config.check"]) == bool(problem)
    assert capsys.readouterr().err == (f"{config}: database: {problem}\n" if problem else "")


def test_invalid_web_config_is_named(config, tmp_path, capsys):
    """The problem has the name of the file of --web.config.file; those of bridge.yml are listed as well."""
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: x}\n")
    assert main([f"--config.file={config}", f"--web.config.file={web}", "--config.check"]) == 1
    problem = f"{web}: tls_server_config: missing: give key or key_file\n"
    assert capsys.readouterr().err == problem
    config.write_text("database: here\n")
    assert main([f"--config.file={config}", f"--web.config.file={web}", "--config.check"]) == 1
    *others, last = capsys.readouterr().err.splitlines(keepends=True)
    assert last == problem
    assert [line for line in others if line.startswith(f"{config}: database: ")]


@pytest.mark.parametrize("command", [[], ["serve"], ["check"], ["send-test"], ["dead-letters", "list"]])
def test_a_bad_configuration_ends_every_command(config, capsys, command):
    """Status 1, a line for each problem, no traceback, no secret."""
    config.write_text(config.read_text().replace("app_key: app, ", "").replace("source: prod", "source: '!'"))
    assert main([*command, "--config.file", str(config)]) == 1
    output = capsys.readouterr()
    assert f"{config}: bigpanda.app_key: missing\n" in output.err
    assert "receivers[0].source" in output.err
    assert not [secret for secret in SECRETS if secret in output.err + output.out]


def test_unauthenticated_receiver_beyond_loopback_is_an_error(config, capsys):
    """A receiver that anyone may write to is served on loopback only."""
    config.write_text(config.read_text().replace(", bearer_token: am-token", ""))
    assert main([f"--config.file={config}", "--web.listen-address=0.0.0.0:0"]) == 1
    assert "has no credentials and 0.0.0.0 is not loopback" in capsys.readouterr().err
    config.write_text(config.read_text().replace("source: prod", "source: prod, allow_unauthenticated: true"))
    assert main([f"--config.file={config}", "--web.listen-address=0.0.0.0:0", "--config.check"]) == 0


def test_address_in_use_is_one_line(config):
    """Status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "bridge", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"],
            capture_output=True, text=True, check=False, env=os.environ, timeout=60,
        )  # fmt: skip
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()[-1:]
    assert line == f"vendorwatch-bridge: cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert "Traceback" not in ended.stderr


FLAWED = """
import sys
from bridge import __main__
from {module} import {name}
{name}.{method} = lambda self: 1 / 0
sys.exit(__main__.main())
"""


def test_unexpected_error_at_start_ends_the_bridge(config):
    """Half started, it would accept webhooks without delivering them."""
    flawed = FLAWED.format(module="bridge.delivery.worker", name="Delivery", method="start")
    flags = [f"--config.file={config}", "--web.listen-address=127.0.0.1:0"]
    ended = subprocess.run(
        [sys.executable, "-c", flawed, *flags], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_unexpected_error_at_reload_keeps_it_running(start, config):
    """The error is logged, the metric is 0, and SIGTERM still works."""
    flawed = FLAWED.format(module="bridge.delivery.worker", name="Delivery", method="change")
    bridge = start(command=[sys.executable, "-c", flawed])
    bridge.process.send_signal(signal.SIGHUP)
    eventually(lambda: "failed unexpectedly" in bridge.log.read_text())
    assert bridge.metric("config_last_reload_successful") == 0
    bridge.post("a")
    assert bridge.stop() == 0
