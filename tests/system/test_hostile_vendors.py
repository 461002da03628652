"""The memory for a vendor's responses, just below the limits of accepted sizes."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.fetch.session import MOST_OBJECTS
from tests.system.running import Program, free_port, python, until
from tests.toolkit.talking import serving

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROWS = MOST_OBJECTS - 10
ANSWERS = {
    "vigilmon": ('{"data": [', '{"id":%d,"url":"https://h%d.invalid","current_status":"down"}', "]}"),
    "thousandeyes": ('{"alerts": [', '{"id":"%d","alertType":"kind %d"}', "]}"),
    "packetvis": ('{"data":{"warning":true,"notifications":[', '{"id":"%d","type":"kind-%d"}', "]}}"),
    "bigpanda": ("[", '{"id":"%d","name":"place %d"}', "]"),
}


def answering(body):
    """Answer each request of a connection with `body`."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def act(connection, _server):
        while connection.recv(65536):
            connection.sendall(head + body)

    return act


def peak(program):
    """Return the most memory that it had, in MB."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000


@pytest.mark.parametrize("vendor", ANSWERS)
def test_no_response_needs_more_than_256_megabytes(started, tmp_path, vendor):
    """It is read, served, stored, and read again at the next start."""
    head, row, tail = ANSWERS[vendor]
    body = (head + ",".join(row % (number, number) for number in range(ROWS)) + tail).encode()
    assert len(body) < 8_000_000
    with serving(answering(body)) as server:
        target = {"collector": vendor, "account": "a", "poll_interval": "5s", "max_age": "10m"}
        target |= {"url": f"{server.url}/?key=x"} if vendor == "packetvis" else {"base_url": server.url, "token": "x"}
        target |= {"certificates": False} if vendor == "vigilmon" else {}  # or its hosts would be looked up
        (tmp_path / "exporter.yml").write_text(yaml.safe_dump({"targets": [target]}))
        address = f"127.0.0.1:{free_port()}"
        command = python("exporter", f"--config.file={tmp_path}/exporter.yml", f"--web.listen-address={address}",
                         f"--storage.path={tmp_path}/state")  # fmt: skip
        exporter = started(
            Program("exporter", command, tmp_path / "exporter.log", f"http://{address}", ready="/-/healthy")
        )
        asked = f'vendorwatch_api_requests_total{{collector="{vendor}"'
        until("it was asked", lambda: asked in exporter.get("/metrics").text)
        least = 0 if vendor == "bigpanda" else ROWS  # so many environments are refused
        until("it was stored", lambda: any(each.stat().st_size > least for each in tmp_path.glob("state/*.json")))
        peaks = [peak(exporter)]
        exporter.restart()
        until("it was asked again", lambda: asked in exporter.get("/metrics").text)
        peaks.append(peak(exporter))
    assert max(peaks) < 256
    assert "Traceback" not in exporter.log.read_text()
