"""The servers that are compared, as programs: ours, nginx, prometheus_client's own, pushgateway."""

import gzip
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

from exporter.collectors.vigilmon.config import Settings
from tests.bench.account import remember
from tests.system.running import Program, free_port, python

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PUSHGATEWAY = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
_NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=16;
  default_type "text/plain; version=0.0.4; charset=utf-8";
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port};
    root {folder};
    location / {{ gzip_static on; }}
  }}
}}
"""


def nginx(folder: Path, page: bytes, packed: bytes) -> Program:
    """Make nginx with a page and its gzipped twin, `/metrics` for both, by Accept-Encoding."""
    (folder / "metrics").write_bytes(page)
    (folder / "metrics.gz").write_bytes(packed)
    folder.chmod(0o755)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    command = [NGINX or "nginx", "-c", str(config), "-g", "daemon off;"]
    return Program("nginx", command, folder / "nginx.out", f"http://127.0.0.1:{port}", "/metrics")


def stock(folder: Path, page: bytes) -> Program:
    """Make prometheus_client's own server with the families of a page."""
    file = folder / "stock.prom"
    file.write_bytes(page)
    port = free_port()
    command = python("tests.bench.stock", str(port), str(file))
    return Program("prometheus_client", command, folder / "stock.log", f"http://127.0.0.1:{port}", "/favicon.ico")


def pushgateway(folder: Path, page: bytes) -> Program:
    """Make pushgateway; `push` fills it once it runs."""
    port = free_port()
    command = [PUSHGATEWAY or "", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    return Program("pushgateway", command, folder / "pushgateway.log", f"http://127.0.0.1:{port}", "/-/ready")


def push(gateway: Program, page: bytes) -> None:
    """Let pushgateway hold a page's series."""
    reply = requests.put(f"{gateway.url}/metrics/job/bench", data=gzip.compress(page, 1), timeout=120,
                         headers={"Content-Encoding": "gzip"})  # fmt: skip
    if reply.status_code == requests.codes.bad_request:
        reply = requests.put(f"{gateway.url}/metrics/job/bench", data=page, timeout=120)
    reply.raise_for_status()


def exporter(folder: Path, targets: Sequence[tuple[Mapping[str, Any], int]], name: str = "exporter") -> Program:
    """Make the exporter with Vigilmon accounts of which everything is known already, as after a restart.

    `targets`: what exporter.yml says of each, and how many monitors it has; none: it begins with nothing.
    """
    known = [(Settings.model_validate(dict(target)), count) for target, count in targets if count]
    remember(folder / f"{name}.state", known)
    config = folder / f"{name}.yml"
    config.write_text(yaml.safe_dump({"targets": [dict(target) for target, _ in targets]}))
    port = free_port()
    flags = (f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
             f"--storage.path={folder / f'{name}.state'}")  # fmt: skip
    return Program(name, python("exporter", *flags), folder / f"{name}.log", f"http://127.0.0.1:{port}", "/-/ready")


def port_of(program: Program) -> int:
    """Return where a program listens."""
    return int(program.url.rpartition(":")[2])


def quiet(account: str = "a", **more: object) -> dict[str, Any]:
    """Return a target that is not polled for an hour: what is stored is what is served."""
    return {
        "collector": "vigilmon",
        "account": account,
        "base_url": "http://127.0.0.1:1",
        "token": "t",
        "poll_interval": "1h",
        "max_age": "2h",
        "series_limit": 1_000_000,
        "uptime_interval": "2h",
        "incidents_interval": "24h",
        "certificate_interval": "24h",
        **more,
    }
