"""The files of `deploy/` with a test's addresses and intervals: rules and routing as shipped."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.system.commands import write
from tests.system.running import ROOT

DEPLOY = ROOT / "deploy"


def prometheus(folder: Path, exporter: str, bridge: str, alertmanagers: Sequence[str], *, wait: str = "1s") -> Path:
    """Write prometheus.yml with these addresses (host:port) and an interval of one second; return its path.

    `wait`: the rules are a copy in which every `for` is this, so that nobody waits for minutes; "": as shipped.
    """
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": list(alertmanagers)}]}]
    addresses = {"vendorwatch-exporter": exporter, "vendorwatch-bridge": bridge}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
    rules = quick_rules(folder, wait) if wait else DEPLOY / "prometheus/rules"
    config["rule_files"] = [f"{rules}/*.yml"]
    return write(folder / "prometheus.yml", config)


def quick_rules(folder: Path, wait: str) -> Path:
    """Copy the rules with every `for` replaced; expressions, labels and texts stay. Return the copy's folder."""
    copies = folder / "rules"
    copies.mkdir(exist_ok=True)
    for path in (DEPLOY / "prometheus/rules").glob("*.yml"):
        (copies / path.name).write_text(re.sub(r"(?m)^(\s+for:) \S+$", rf"\1 {wait}", path.read_text()))
    return copies


def alertmanager(
    folder: Path, bridge: str, token_file: Path, *, group_interval: str = "2s", repeat_interval: str = "1h"
) -> Path:
    """Write alertmanager.yml with the shipped routes, without group_wait, to this bridge; return its path."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    config["route"] |= {"group_wait": "0s", "group_interval": group_interval, "repeat_interval": repeat_interval}
    for route in config["route"]["routes"]:
        route |= {name: group_interval for name in ("group_interval", "repeat_interval") if name in route}
    for webhook in _webhooks(config):
        webhook["url"] = f"{bridge}/webhooks/alertmanager/prod"
        webhook["http_config"]["authorization"]["credentials_file"] = str(token_file)
    return write(folder / "alertmanager.yml", config)


def _webhooks(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [webhook for receiver in config["receivers"] for webhook in receiver.get("webhook_configs", [])]
