"""`python -m tests.pictures`: a bad day on loopback, and README's pictures of it (needs Chromium)."""

import json
import tempfile
from pathlib import Path

from tests.grafana.boards import FOLDER
from tests.pictures.drawing import page
from tests.system.browsing import Browser
from tests.system.running import ROOT, until
from tests.system.way import ACCOUNTS, Way

PICTURES = ROOT / "deploy/pictures"
BOARDS = {"overview": ("Current problems", 476), "thousandeyes": ("By test", 552)}
"""The dashboards, with the last panel in the picture and its height in pixels."""
ALERTS = {"VigilmonMonitorDown", "PacketVisCriticalNotification", "ThousandEyesAlerts", "CertificateExpiring"}


def bad_day(folder: Path) -> Way:
    """Start the whole way where a monitor is down, a prefix hijacked, a certificate near its end and an agent away."""
    reading = {"test_results": "all", "agents_interval": "1s"}
    way = Way(folder, targets={"thousandeyes": reading, "vigilmon": {"certificates": False}})
    way.start_sandbox()
    way.change("populate", monitors=24, tests=12, alerts=6, notifications=4, incidents=5)
    endpoint = way.change("certificates/open", kind="good", days=9)
    root = folder / "root.pem"
    root.write_bytes(way.sandbox.get("/control/certificates/root.pem").content)
    way.endpoints, way.targets = [endpoint["endpoint"]], {**way.targets, "certificates": {"ca_file": str(root)}}
    way.change("packetvis/notify", type="hijack", severity=4)
    return way.start()


def main() -> None:
    """Draw every picture."""
    PICTURES.mkdir(exist_ok=True)
    browser = Browser()
    with tempfile.TemporaryDirectory() as name, bad_day(folder := Path(name)) as way:
        until("every vendor is polled", lambda: len(way.query("vendorwatch_poll_success == 1")) == len(ACCOUNTS))
        until("BigPanda has the events", lambda: {event["check"] for event in way.accepted()} >= ALERTS)
        until("results are read", lambda: way.query("thousandeyes_test_availability_ratio"))
        try:
            for program, height in ((way.exporter, 890), (way.bridge, 740)):
                browser.look(f"{program.url}/")
                browser.picture(PICTURES / f"{program.name}.png", height)
            for board, (last, height) in BOARDS.items():
                drawn = folder / f"{board}.html"
                content = json.loads((FOLDER / f"vendorwatch-{board}.json").read_text(encoding="utf-8"))
                drawn.write_text(page(content, way.query, last), encoding="utf-8")
                browser.look(drawn.as_uri())
                browser.picture(PICTURES / f"{board}.png", height)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
