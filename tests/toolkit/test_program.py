"""A program's signals, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from bridge.__main__ import main as bridge
from exporter.__main__ import main as exporter
from exporter.toolkit import program
from tests.waiting import eventually

DEMO = """
import threading, time
from pathlib import Path
from exporter.toolkit import program
from exporter.toolkit.config_types import ConfigError

class Demo:
    def start(self):
        print("started", flush=True)
        {start}

    def reload(self):
        print("reloaded", flush=True)
        with program.reloading(Path("demo.yml"), lambda: print("failed", flush=True)):
            {reload}

    def stop(self):
        print("stopped", flush=True)

program.run(Demo())
"""


def ended(*signals, start="pass", reload="pass"):
    """Run a program, send it signals once it has started; return its status and what it wrote."""
    command = [sys.executable, "-c", DEMO.format(start=start, reload=reload)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout.readline() == "started\n"
        for number in signals:
            process.send_signal(number)
        written = process.stdout.read()
        words = [word for word in written.splitlines() if word in {"reloaded", "failed", "stopped"}]
        return process.wait(60), words, written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("reload", "logged"),
    [("pass", False), ("raise ConfigError(['a: unknown key'])", False), ("raise OSError", True), ("1 / 0", True)],
)
def test_a_failed_reload_does_not_end_it(number, reload, logged):
    """An error that nobody expected is logged and counts as failed; then a signal still stops it cleanly."""
    status, said, log = ended(signal.SIGHUP, number, reload=reload)
    assert (status, said) == (0, ["reloaded", *(["failed"] if reload != "pass" else []), "stopped"])
    assert ("Reload failed unexpectedly" in log) == logged


ROOT = Path(__file__).parents[2]
TARGETS = "targets: [{collector: certificates, account: edge, endpoints: ['127.0.0.1:9']}]"
RECEIVERS = (
    "{database: 'sqlite:///b.db', bigpanda: {app_key: a, token: b}, receivers: [{receiver: vigilmon, source: c}]}"
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config"), [("exporter", TARGETS), ("bridge", RECEIVERS)], ids=["exporter", "bridge"])
def test_a_reload_requested_during_the_start_follows_it(tmp_path, name, config):
    """SIGHUP while the configuration is read for the first time; then it is read again."""
    file, second, environment = tmp_path / "config.yml", tmp_path / "second", os.environ | {"PYTHONPATH": str(ROOT)}
    for pipe in (file, second):
        os.mkfifo(pipe)
    command = [sys.executable, "-m", name, f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        with file.open("w") as first:  # once the program reads it
            second.replace(file)
            process.send_signal(signal.SIGHUP)
            first.write(config)
        again = threading.Thread(target=file.write_text, args=(config,), daemon=True)
        again.start()
        again.join(30)
        assert not again.is_alive(), process.poll()
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config"), [("exporter", TARGETS), ("bridge", RECEIVERS)], ids=["exporter", "bridge"])
def test_a_reload_with_an_invalid_web_config_fails(tmp_path, name, config):
    """Over HTTP and in the log with its name and problem: it stays in force meanwhile, and nothing else would tell."""
    file, web, log = tmp_path / "config.yml", tmp_path / "web.yml", tmp_path / "log"
    file.write_text(config)
    web.write_text("{}")
    flags = [f"--config.file={file}", f"--web.config.file={web}", "--web.listen-address=127.0.0.1:0"]
    command = [sys.executable, "-m", name, "--web.enable-lifecycle", *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as errors, subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=errors) as process:
        port = eventually(lambda: re.search(r"Listening on [\d.]+:(\d+)", log.read_text()))[1]
        statuses = []
        for text in ("basic_auth: {}", "{}"):
            web.write_text(text)
            answer = requests.post(f"http://127.0.0.1:{port}/-/reload", timeout=30)
            statuses.append((answer.status_code, answer.text))
        process.terminate()
    failed = "Reload failed, keeping the current configuration:"
    assert statuses == [(500, f"{failed}\n{web}: basic_auth: unknown key\n"), (200, "Reloaded.\n")]
    assert f"{failed} {web}: basic_auth: unknown key" in log.read_text()


def test_a_thread_that_hangs_does_not_keep_it():
    """It exits once it has stopped."""
    assert ended(signal.SIGTERM, start="threading.Thread(target=time.sleep, args=(600,)).start()")[:2] == (
        0,
        ["stopped"],
    )


def test_what_has_started_is_stopped_if_the_rest_cannot_start():
    """Open sockets would go on accepting connections."""
    status, said, log = ended(start="raise OSError('cannot listen')")
    assert (status, said) == (1, ["stopped"])
    assert "OSError: cannot listen\n" in log


def test_interrupted_command_has_the_status_of_a_signal():
    """As in a shell, and without a traceback."""

    def interrupted():
        raise KeyboardInterrupt

    assert program.command(interrupted) == 130
    assert program.command(lambda: 1) == 1


@pytest.mark.parametrize("main", [exporter, bridge])
def test_closed_standard_output_is_no_error(monkeypatch, main):
    """As with `>&-`: what would be printed is discarded."""
    monkeypatch.setattr("sys.stdout", None)
    assert main(["init", "--stdout"]) == 0
    sys.stdout.close()


@pytest.mark.parametrize("main", [exporter, bridge])
def test_closed_standard_error_is_no_error(monkeypatch, tmp_path, main):
    """The exit status still says that something is wrong."""
    monkeypatch.setattr("sys.stderr", None)
    assert main([f"--config.file={tmp_path}/none.yml", "--config.check"]) == 1
    sys.stderr.close()
