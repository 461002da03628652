"""A body stays a body behind Debian's haproxy and nginx, buffering or not, which reuse connections to us."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
import requests

from tests.system.running import Program, free_port
from tests.toolkit.conftest import serve  # noqa: F401  a fixture
from tests.toolkit.test_framing import (
    BEGUN,
    BROKEN,
    CHUNKED,
    GET,
    LEGAL,
    NEVER,
    RELOAD,
    bridge,
    chunk,
    exporter,
)

pytestmark = pytest.mark.system

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend front
  bind 127.0.0.1:{port}
  http-request deny if {{ path /-/reload }}
  default_backend back
backend back
  http-reuse always
  server us 127.0.0.1:{behind}
"""
NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream us {{ server 127.0.0.1:{behind}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ignore_client_abort on;
    proxy_request_buffering {buffering};
    location = /-/reload {{ deny all; }}
    location / {{ proxy_pass http://us; }}
  }}
}}
"""
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


class Proxy(Program):
    """A proxy, ready once it passes a request on."""

    def _answers(self) -> bool:
        assert self.running, self.tail()
        return requests.get(f"{self.url}/-/healthy", timeout=5).status_code == 200


def haproxy(folder: Path, port: int, behind: int) -> list[str]:
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, behind=behind))
    return ["-db", "-f", str(file)]


def nginx(buffering):
    def configured(folder: Path, port: int, behind: int) -> list[str]:
        folder.chmod(0o755)
        file = folder / "nginx.conf"
        file.write_text(NGINX.format(folder=folder, port=port, behind=behind, buffering=buffering))
        return ["-c", str(file), "-g", "daemon off;"]

    return configured


PROXIES = {
    "haproxy": ("haproxy", haproxy),
    "nginx": ("nginx", nginx("on")),
    "nginx, unbuffered": ("nginx", nginx("off")),
}


@pytest.fixture(params=[exporter, bridge], ids=["exporter", "bridge"])
def program(request, serve):  # noqa: F811  the fixture
    """Return a program's server, and how often it has reloaded."""
    reloads = []
    return serve(**request.param(lambda: reloads.append(1))), reloads


@pytest.fixture(params=PROXIES)
def proxied(request, program, tmp_path):
    """Return where a program is reached through a proxy that forbids reloads, and how often it has reloaded."""
    name, configured = PROXIES[request.param]
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"not installed: {name} (tests/system/programs installs it)")
    served, reloads = program
    port = free_port()
    command = [found, *configured(tmp_path, port, served.address[1])]
    with Proxy(name, command, tmp_path / "proxy.log", f"http://127.0.0.1:{port}"):
        yield ("127.0.0.1", port), reloads


def exchange(address, *pieces):
    """Send pieces, a moment apart, and return what comes back until the other end is silent or has closed."""
    got = b""
    with socket.create_connection(address, 30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(0.002)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                got += piece
        except OSError:
            pass
    return got


def test_chunked_body_is_never_a_request(proxied):
    """Sixty requests cut at places where a careless parser would see an end: sixty responses, and no reload."""
    address, reloads = proxied
    begun = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for number in range(20):
        inner = b"x" * number + NEVER
        cut = number + len(b"0\r\n\r\n")
        for pieces in (
            (begun + b"%x\r\n" % len(inner) + inner[:cut], inner[cut:] + b"\r\n0\r\n\r\n"),
            (begun, chunk(b"data 0\r\n\r\n"), chunk(RELOAD), b"0\r\nX: 0\r\n\r\n"),
            (begun.replace(b"\r\n\r\n", b"\r\nX: 0\r\n\r\n"), chunk(RELOAD), b"0\r\n\r\n"),
        ):
            assert exchange(address, *pieces).count(b"HTTP/1.1 200") == 1
    assert reloads == []


def test_broken_request_does_not_affect_the_next(proxied):
    """There is no reload, and the next request gets its own response."""
    address, reloads = proxied
    for said in [*BROKEN.values(), *(said for said, _ in LEGAL.values())]:
        exchange(address, said)
        body = exchange(address, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert body.count(b"HTTP/1.1 200") == 1
        assert b"healthy" in body
    assert reloads == []


def test_body_with_content_length_is_never_a_request(proxied):
    """The same for a body with Content-Length, cut anywhere."""
    address, reloads = proxied
    head = BEGUN + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(NEVER)
    for cut in range(len(NEVER)):
        assert exchange(address, head, NEVER[:cut], NEVER[cut:]).count(b"HTTP/1.1 200") == 1
    assert reloads == []
