"""The image and the compose file: every input exists, and containers run with the least privileges."""

import contextlib
import importlib.util
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
import trustme
import yaml

import bridge.__main__
import exporter.__main__
from tests.system.commands import exporter as exporter_program
from tests.system.running import Program, free_port, python, until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text())
SANDBOX = DEPLOY / "compose/sandbox"
OURS = ("exporter", "bridge")


def instructions() -> Iterator[tuple[str, str]]:
    for line in re.sub(r"#.*\n", "", DOCKERFILE).replace("\\\n", " ").splitlines():
        if line.strip():
            yield tuple(line.split(maxsplit=1))


def copied() -> list[str]:
    """Return the files and folders that the image copies from the checkout."""
    return [
        source
        for name, rest in instructions()
        if name == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]


def last_stage() -> list[tuple[str, str]]:
    found = list(instructions())
    return found[max(place for place, (name, _) in enumerate(found) if name == "FROM") :]


def test_copied_files_exist_and_are_not_ignored():
    """Every source of a COPY exists and is not excluded by the ignore file."""
    let_through = [
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_through), source


def test_packages_are_installed_by_hash():
    """Each pip install uses a lock file with hashes, or the wheel that was just built."""
    installs = re.findall(r"pip (?:--python \S+ )?install ([^\n&]*)", DOCKERFILE)
    assert len(installs) == 4
    assert all("--require-hashes" in one or "--no-index /wheels" in one for one in installs)


def test_build_lock_matches_the_developers_lock():
    """build.lock has the same setuptools as requirements-dev.lock."""
    block = re.search(
        r"^setuptools==.*?[^\\]\n", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block
    assert (DEPLOY / "build.lock").read_text().endswith(block[0])


def test_image_runs_as_an_unprivileged_user():
    """The image has a numeric non-root user, one volume, both ports and a health check."""
    found = dict(last_stage())
    assert found["USER"] == "10001:10001"
    assert found["VOLUME"] == "/var/lib/vendorwatch"
    assert found["EXPOSE"].split() == ["9788", "9789"]
    assert "healthy.py" in found["HEALTHCHECK"]
    assert json.loads(found["CMD"])[0] == "vendorwatch-exporter"


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (401, 0), (503, 1), (404, 1)])
def test_health_check_maps_the_status_code(status, expected):
    """200 is healthy, and so is 401; every other status is not."""
    with serving(status) as url:
        assert health_check(f"{url}/-/healthy") == expected


def test_health_check_accepts_any_certificate():
    """A certificate for the program's public name does not fail the check on 127.0.0.1."""
    with serving(200, trustme.CA().issue_cert("vendorwatch.example.com")) as url:
        assert health_check(f"{url}/-/healthy") == 0


def test_health_check_fails_without_a_listener():
    """Without a listener the check fails."""
    assert health_check(f"http://127.0.0.1:{free_port()}/-/healthy") == 1


def health_check(url: str) -> int:
    spec = importlib.util.spec_from_file_location("healthy", DEPLOY / "healthy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main([url])


@contextlib.contextmanager
def serving(status: int, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_is_restricted(name):
    """Each is read-only, without capabilities, in the pod's network, at a fixed version."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name != "pod":
        assert service["network_mode"] == "service:pod"
        assert "ports" not in service
    assert "build" in service or re.search(r":v?\d", service["image"])


def test_ports_are_published_on_loopback_only():
    """Every published port is bound to loopback."""
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["pod"]["ports"])


def test_mounted_folders_and_volumes_exist():
    """Each mounted folder of the repository exists; each volume is declared."""
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", []):
            source = mount.replace("${VENDORWATCH_CONFIG:-/etc/vendorwatch}", "./compose/sandbox").split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), mount


def test_grafana_mounts_its_dashboards():
    """The folder in Grafana's provisioning is mounted."""
    mounted = [mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]]
    providers = [
        provider
        for path in (ROOT / "grafana/provisioning/dashboards").glob("*.y*ml")
        for provider in yaml.safe_load(path.read_text())["providers"]
    ]
    assert all(provider["options"]["path"] in mounted for provider in providers)


def test_prometheus_and_alertmanager_use_the_containers_ports():
    """The addresses in the shipped files are those on which the containers listen."""
    flags = [flag for name in OURS for flag in COMPOSE["services"][name]["command"]]
    for path in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml"):
        for port in re.findall(r"127\.0\.0\.1:(97\d\d)", (DEPLOY / path).read_text()):
            assert f"--web.listen-address=:{port}" in flags


@pytest.mark.parametrize(("program", "name"), [(exporter, "exporter.yml"), (bridge, "bridge.yml")])
def test_sandbox_configuration_passes_the_check(program, name, tmp_path, capsys):
    """Both files for the sandbox pass their program's --config.check."""
    path = tmp_path / name
    path.write_text((SANDBOX / name).read_text().replace("/etc/vendorwatch/am.token", str(SANDBOX / "am.token")))
    status = program.__main__.main([f"--config.file={path}", "--config.check", "--web.listen-address=:9789"])
    problems = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert (status, problems) == (0, [])


def test_docker_compose_accepts_the_file():
    """`docker compose config` finds no error, if Docker is installed."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("not installed: docker compose")
    files = ["-f", str(DEPLOY / "compose.yml"), "--env-file", str(DEPLOY / "compose/sandbox.env")]
    done = subprocess.run(
        ["docker", "compose", *files, "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.system
def test_polls_of_the_sandbox_succeed_within_a_minute(tmp_path):
    """With the sandbox's exporter.yml the polls of every vendor succeed."""
    address, served = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = python("tests.sandbox", "--listen", address)
    (tmp_path / "exporter.yml").write_text((SANDBOX / "exporter.yml").read_text().replace("127.0.0.1:9700", address))
    with (
        Program("sandbox", command, tmp_path / "sandbox.log", f"http://{address}", "/control/"),
        exporter_program(tmp_path, served),
    ):
        until(
            "polls of every vendor succeed",
            lambda: polled(served) >= {"vigilmon", "packetvis", "thousandeyes", "bigpanda"},
        )


def polled(address: str) -> set[str]:
    page = requests.get(f"http://{address}/metrics", timeout=10).text
    return set(re.findall(r'^vendorwatch_poll_success\{collector="(\w+)".*\} 1(?:\.0)?$', page, re.MULTILINE))
