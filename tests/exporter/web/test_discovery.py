"""Prometheus' http_sd over HTTP."""

import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from exporter.collectors.contract import Endpoint
from exporter.metrics.exporter_metrics import Running
from exporter.polling.page_cache import PageCache
from exporter.web.pages import application
from tests.exporter.web import serving

SHOP = Endpoint("https://shop.example.com/health", (("monitor_id", "42"), ("monitor", "shop"), ("status", "up")))


@dataclass
class Target:
    identity: tuple[str, str]
    known: list[Endpoint] | None = None
    discovers: bool = True

    def endpoints(self):
        return self.known


class Served(PageCache):
    """An exposition of these targets."""

    def __init__(self, *targets):
        super().__init__(lambda: 1000.0, Running("1.2.3"))
        self.targets = targets

    def pollers(self):
        return self.targets


def asked(path, *targets, method="GET"):
    """Return the status, the headers and the body of an answer."""
    return serving.asked(application(Served(*targets), None), quote(path), method)


def test_each_endpoint_is_a_group_with_labels():
    """In Prometheus' http_sd format: JSON, every label a string, with its account."""
    targets = (Target(("vigilmon", "prod"), [SHOP]), Target(("vigilmon", "eu"), []), Target(("demo", "x"), [SHOP]))
    status, headers, body = asked("/sd/vigilmon", *targets)
    assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
    assert json.loads(body) == [
        {
            "targets": ["https://shop.example.com/health"],
            "labels": {
                "__meta_vigilmon_account": "prod",
                "__meta_vigilmon_monitor_id": "42",
                "__meta_vigilmon_monitor": "shop",
                "__meta_vigilmon_status": "up",
            },
        }
    ]


@pytest.mark.parametrize("account", ["prod", "Zürich/ä"])
def test_account_has_its_own_path(account):
    """For any name; other accounts are left out, and need not have data."""
    targets = (Target(("vigilmon", "other")), Target(("vigilmon", account), [SHOP]))
    status, _, body = asked(f"/sd/vigilmon/{account}", *targets)
    assert (status, len(json.loads(body))) == ("200 OK", 1)


def test_long_label_is_truncated():
    """At the same length as in metrics."""
    _, _, body = asked("/sd/demo", Target(("demo", "x"), [Endpoint("x:1", (("monitor", "n" * 3000),))]))
    (group,) = json.loads(body)
    assert len(group["labels"]["__meta_demo_monitor"].encode()) == 512


@pytest.mark.parametrize("path", ["/sd/", "/sd/nobody", "/sd/packetvis", "/sd/vigilmon/", "/sd/vigilmon/nobody", "/sd"])
def test_unknown_or_unsupported_target_is_404(path):
    """A missing collector or account, and a collector without endpoints."""
    targets = (Target(("vigilmon", "prod"), [SHOP]), Target(("packetvis", "noc"), discovers=False))
    assert asked(path, *targets)[0] == "404 Not Found"


def test_missing_data_is_503():
    """An empty list would end every probe. So it is when all data is older than `max_age`."""
    status, _, body = asked("/sd/vigilmon", Target(("vigilmon", "prod"), [SHOP]), Target(("vigilmon", "eu")))
    assert (status, body) == (
        "503 Service Unavailable",
        b"Endpoints not known yet, keep the previous targets: vigilmon eu\n",
    )


def test_head_is_answered_and_post_is_not():
    """As on other read-only paths."""
    target = Target(("vigilmon", "prod"), [SHOP])
    status, headers, body = asked("/sd/vigilmon", target, method="HEAD")
    assert (status, body) == ("200 OK", b"")
    assert int(headers["Content-Length"]) > 100
    assert asked("/sd/vigilmon", target, method="POST")[0] == "405 Method Not Allowed"
