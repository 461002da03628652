"""The program as it is started: exit statuses, signals, reload, secrets."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.__main__ import main
from exporter.collectors.sharding import Shard

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECRETS = ("t0ken-of-vigilmon", "s3cret-of-packetvis", "p4ss-of-proxy")


def target(account, collector="certificates", **more):
    """Return a target that needs no vendor: an endpoint where nobody listens."""
    return {"collector": collector, "account": account, "endpoints": ["127.0.0.1:9"], "timeout": "2s"} | more


@pytest.fixture
def config_file(tmp_path):
    """Return a function that writes exporter.yml: JSON is YAML."""
    file = tmp_path / "exporter.yml"

    def write(*targets):
        file.write_text(json.dumps({"targets": targets}))
        return file

    return write


class Running:
    """The program on a free port, with its log in a file."""

    def __init__(self, folder, *flags, path=""):
        self.log = folder / "log"
        self._stderr = self.log.open("wb")
        command = [sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0", "--log.format=json", *flags]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT)]))}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=self._stderr)
        self.url = f"http://127.0.0.1:{self.eventually(self._port)}"

    def _port(self):
        messages = [json.loads(line)["msg"] for line in self.log.read_text().splitlines()]
        return next((line.rpartition(":")[2] for line in messages if line.startswith("Listening on")), None)

    def eventually(self, condition):
        deadline = time.monotonic() + 60
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return found

    def get(self, path="/metrics"):
        return requests.get(self.url + path, timeout=30).text

    def end(self, number=signal.SIGTERM):
        """Return the exit status and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(60)
        return status, time.monotonic() - began

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self._stderr.close()


@pytest.fixture
def run(tmp_path):
    """Start the program, and end it with the test."""
    with contextlib.ExitStack() as stack:

        def start(*flags, folder=tmp_path, **more):
            return stack.enter_context(contextlib.closing(Running(folder, *flags, **more)))

        yield start


def test_config_check_says_ok_and_starts_nothing(config_file, capsys):
    """Status 0 and one line."""
    file = config_file(target("edge"), target("core"))
    assert main([f"--config.file={file}", "--config.check"]) == 0
    assert capsys.readouterr() == (f"{file}: ok, 2 targets\n", "")


def test_config_check_prints_the_targets_of_a_shard(config_file, capsys):
    """Each target is on one of the shards."""
    file = config_file(target("edge"), target("core"))
    outputs = []
    for number in (1, 2, 3):
        assert main([f"--config.file={file}", "--config.check", f"--shard={number}/3"]) == 0
        outputs.append(
            re.fullmatch(rf"{file}: ok, 2 targets, (\d) of them on shard {number}/3\n", capsys.readouterr().out)
        )
    assert sum(int(line[1]) for line in outputs) == 2


@pytest.mark.parametrize("written", ["0/3", "4/3", "a/b", "1/0"])
def test_a_bad_shard_ends_with_status_2(config_file, capsys, written):
    """One line, before any socket opens."""
    with pytest.raises(SystemExit) as ended:
        main([f"--config.file={config_file(target('edge'))}", f"--shard={written}"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vendorwatch-exporter: argument --shard: {written}: ")


def test_shard_without_targets_is_ready(config_file, run):
    """With the exporter's own families; the status page gives the reason."""
    file = config_file(target("edge"))
    without = next(number for number in (1, 2) if not Shard(number, 2).owns("certificates", "edge"))
    program = run(f"--config.file={file}", f"--shard={without}/2")
    program.eventually(lambda: requests.get(f"{program.url}/-/ready", timeout=30).status_code == 200)
    assert f'vendorwatch_shard_info{{shard="{without}",shards="2"}} 1' in program.get()
    assert "No target is assigned to this exporter" in program.get("/")
    assert f"1 target, 0 of them on shard {without}/2" in program.log.read_text()


@pytest.mark.parametrize("check", [["--config.check"], []])
def test_a_bad_configuration_ends_with_status_1_and_a_line_per_problem(config_file, tmp_path, capsys, check):
    """Problems of both files, before any socket opens; no traceback."""
    file = config_file(target("edge", timeout="soon"), target("edge", collector="nagios"))
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {ann: h1dden}")
    assert main([f"--config.file={file}", f"--web.config.file={web}", *check]) == 1
    out, error = capsys.readouterr()
    first, second, third = error.splitlines()
    assert first == f"{file}: targets[0].timeout: not a duration: write it like 30s, 5m or 1h30m"
    assert second.startswith(f"{file}: targets[1].collector: no such collector: must be one of ")
    assert third == f"{web}: basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME"
    assert out == ""


def test_bad_flags_end_with_status_2(capsys):
    """One line."""
    with pytest.raises(SystemExit) as ended:
        main(["--web.listen-address=nowhere"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("vendorwatch-exporter: argument --web.listen-address: nowhere: ")


def test_an_address_in_use_ends_with_status_1(config_file):
    """One line on standard error that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flag = f"--web.listen-address=127.0.0.1:{port}"
        command = [sys.executable, "-m", "exporter", f"--config.file={config_file(target('edge'))}", flag]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line == f"vendorwatch-exporter: cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.system
def test_pair_follows_a_new_configuration(config_file, run, tmp_path, postgresql_cluster):
    """The follower has the new target once the leader has it, and does not poll it."""
    flags = (f"--config.file={config_file(target('edge'))}", f"--storage.url={postgresql_cluster.database()}")
    leader = run(*flags)
    leader.eventually(lambda: "\nvendorwatch_leader 1.0\n" in leader.get())
    (tmp_path / "other").mkdir()
    follower = run(*flags, folder=tmp_path / "other")
    config_file(target("edge"), target("core", endpoints=["127.0.0.1:10"]))
    for program in (follower, leader):
        program.process.send_signal(signal.SIGHUP)
    for program in (follower, leader):
        program.eventually(lambda program=program: 'tls_probe_success{account="core"' in program.get())
        program.eventually(lambda program=program: 'tls_probe_success{account="edge"' in program.get())
    assert "vendorwatch_api_requests_total{" not in follower.get()


def test_storage_path_and_url_exclude_each_other(config_file, capsys):
    """Status 2, and one line that names both flags and repeats no value."""
    with pytest.raises(SystemExit) as ended:
        main(["--storage.path=/s3cret", "--storage.url=postgresql://v:s3cret@h/d"])
    assert ended.value.code == 2
    message = "vendorwatch-exporter: argument --storage.url: not allowed with argument --storage.path\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("flag", ["--storage.path", "--storage.url-file"])
def test_empty_storage_path_is_an_error(capsys, flag):
    """As of a variable that is not set: the working directory became the storage."""
    with pytest.raises(SystemExit) as ended:
        main([f"{flag}="])
    assert (ended.value.code, capsys.readouterr().err) == (2, f"vendorwatch-exporter: argument {flag}: an empty path\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot use --storage.url: cannot read {path}: No such file or directory\n"),
        ("", "cannot use --storage.url: {path} is empty\n"),
        ("mysql://v:s3cret@h/d", "cannot use --storage.url: write it like postgresql://"),
    ],
)
def test_unusable_storage_url_is_reported_by_the_check(config_file, tmp_path, capsys, content, message):
    """One line with the reason, without the URL."""
    path = tmp_path / "database.url"
    if content is not None:
        path.write_text(content)
    assert main([f"--config.file={config_file(target('edge'))}", f"--storage.url-file={path}", "--config.check"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"vendorwatch-exporter: {message.format(path=path)}")
    assert "s3cret" not in error
    assert error.count("\n") == 1


def test_unusable_storage_url_ends_with_status_1(config_file):
    """One line, without the URL."""
    flags = (f"--config.file={config_file(target('edge'))}", "--storage.url=mysql://v:s3cret@h/d")
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *flags], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("vendorwatch-exporter: cannot use --storage.url: write it like postgresql://")
    assert "s3cret" not in line


def test_missing_driver_names_the_extra(config_file, tmp_path):
    """One line, status 1."""
    (tmp_path / "psycopg.py").write_text("raise ImportError")
    flags = (f"--config.file={config_file(target('edge'))}", "--storage.url=postgresql://v:s3cret@h/d")
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert ended.returncode == 1
    message = "vendorwatch-exporter: --storage.url needs the extra: pip install 'vendorwatch[postgresql]'\n"
    assert ended.stderr == message


def test_a_directory_that_another_exporter_uses_ends_with_status_1(config_file, run, tmp_path):
    """Before any poll; a shard has its own folder below it."""
    flags = (f"--config.file={config_file(target('edge'))}", f"--storage.path={tmp_path / 'stored'}")
    run(*flags)
    command = [sys.executable, "-m", "exporter", *flags, "--web.listen-address=127.0.0.1:0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"vendorwatch-exporter: another exporter uses --storage.path {tmp_path / 'stored'}: ")
    assert "--storage.url" in line
    (tmp_path / "other").mkdir()
    assert "vendorwatch_shard_info" in run(*flags, "--shard=1/2", folder=tmp_path / "other").get()


def test_unusable_storage_path_ends_with_status_1(config_file, tmp_path):
    """One line that names it."""
    (tmp_path / "file").write_text("")
    flags = (f"--config.file={config_file(target('edge'))}", f"--storage.path={tmp_path / 'file'}")
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *flags], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == f"vendorwatch-exporter: cannot use --storage.path {tmp_path / 'file'}: File exists\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(config_file, run, number):
    """Status 0, though clients keep their connections open and one never reads."""
    program = run(f"--config.file={config_file(target('edge'))}")
    program.eventually(lambda: requests.get(f"{program.url}/-/ready", timeout=30).status_code == 200)
    port = int(program.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(b"GET /metrics HTTP/1.1\r\n")
        status, took = program.end(number)
    assert status == 0
    assert took < 30
    assert "Traceback" not in program.log.read_text()


def test_first_scrape_after_a_restart_has_the_stored_data(config_file, run, tmp_path):
    """A page without the targets would make every series stale in Prometheus."""
    flags = (f"--config.file={config_file(target('edge'))}", f"--storage.path={tmp_path / 'stored'}")
    before = run(*flags)
    assert 'vendorwatch_target_series{collector="certificates",account="edge"}' in before.get()
    before.eventually(lambda: "tls_probe_success{" in before.get())
    assert before.end()[0] == 0
    page = run(*flags).get()
    assert "tls_probe_success{" in page
    assert "\nvendorwatch_config_last_reload_successful 1.0\n" in page


def test_sighup_reloads_without_affecting_other_targets(config_file, run):
    """Targets are added, removed and changed; the others keep their data."""
    file = config_file(target("stays"), target("goes"), target("changes"))
    program = run(f"--config.file={file}")
    program.eventually(lambda: program.get().count("tls_probe_success{") == 3)
    config_file(target("stays"), target("comes"), target("changes", endpoints=["127.0.0.1:10"]))
    before = _success_of(program.get(), "stays")
    program.process.send_signal(signal.SIGHUP)
    program.eventually(lambda: 'account="comes",endpoint' in program.get())
    program.eventually(lambda: 'account="changes",endpoint="127.0.0.1:10"' in program.get())
    page = program.get()
    assert 'account="goes"' not in page
    assert _success_of(page, "stays") == before


def _success_of(page, account):
    (line,) = (
        line
        for line in page.splitlines()
        if line.startswith("vendorwatch_poll_last_success_timestamp_seconds{") and f'account="{account}"' in line
    )
    return line


def test_reload_over_http_with_a_bad_file_changes_nothing(config_file, run):
    """500 with every problem, and the metric is 0; a valid file afterwards is used."""
    file = config_file(target("edge"))
    program = run(f"--config.file={file}", "--web.enable-lifecycle")
    program.eventually(lambda: "tls_probe_success{" in program.get())
    config_file()
    response = requests.post(f"{program.url}/-/reload", timeout=30)
    assert (response.status_code, response.text) == (
        500,
        f"Reload failed, keeping the current configuration:\n{file}: targets: give a list of at least one target\n",
    )
    assert "\nvendorwatch_config_last_reload_successful 0.0\n" in program.get()
    assert "tls_probe_success{" in program.get()
    config_file(target("edge"))
    assert requests.put(f"{program.url}/-/reload", timeout=30).status_code == 200
    assert "\nvendorwatch_config_last_reload_successful 1.0\n" in program.get()


def test_no_secret_is_logged_or_served(config_file, run, tmp_path):
    """Not in a log line at debug, not on a page, not in an error."""
    token, url, proxy = SECRETS
    (tmp_path / "token").write_text(token)
    packetvis = {"collector": "packetvis", "account": "noc", "url": f"http://127.0.0.1:9/rest?key={url}"}
    vigilmon = {
        "collector": "vigilmon",
        "account": "prod",
        "base_url": "http://127.0.0.1:9/api/v1",
        "token_file": str(tmp_path / "token"),
        "proxy_url": f"http://me:{proxy}@127.0.0.1:9",
    }
    program = run(f"--config.file={config_file(vigilmon, packetvis)}", "--log.level=debug", "--web.enable-lifecycle")
    program.eventually(lambda: program.get("/-/ready").endswith("is ready.\n"))
    config_file(vigilmon | {"token": token}, packetvis | {"uri": url})
    said = [requests.post(f"{program.url}/-/reload", timeout=30).text]
    said += [program.get(path) for path in ("/metrics", "/", "/-/ready", f"/{token}")]
    program.end()
    said.append(program.log.read_text())
    assert not [secret for secret in SECRETS for text in said if secret in text]


def test_a_copied_folder_is_served_as_another_vendor(config_file, run, tmp_path):
    """The collector under its new name, with its families once on the page."""
    vendors = tmp_path / "vendors"
    shutil.copytree(ROOT / "exporter", vendors / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    original = vendors / "exporter" / "collectors" / "certificates"
    shutil.copytree(original, original.parent / "another")
    file = config_file(target("edge"), target("edge", collector="another", endpoints=["127.0.0.1:10"]))
    program = run(f"--config.file={file}", path=str(vendors))
    program.eventually(lambda: program.get().count("tls_probe_success{") == 2)
    headers = {"Accept": "application/openmetrics-text"}
    page = requests.get(f"{program.url}/metrics", headers=headers, timeout=30).text
    families = [family.name for family in text_string_to_metric_families(page)]
    assert len(families) == len(set(families))
    assert 'vendorwatch_poll_success{collector="another",account="edge"}' in page


@pytest.mark.system
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_only_the_days(config_file, run):
    """`…_days` is intended; everything else follows Prometheus's conventions."""
    program = run(f"--config.file={config_file(target('edge'))}")
    program.eventually(lambda: "tls_probe_success{" in program.get())
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=program.get(), capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in (checked.stdout + checked.stderr).splitlines() if "_days" not in line] == []
