"""Several exporters on one account: together they tell what one would, and ask no more than one may."""

import json
from collections import Counter

import pytest

from exporter import config
from exporter.collectors.contract import Certificate, Get, Probe, Response
from exporter.collectors.sharding import ALONE, Shard
from exporter.polling.rate_budget import Budget
from exporter.polling.target_state import Target
from tests.exporter.collectors.test_contract import CASES, named, settings_of
from tests.exporter.polling.test_simulation import Limiter, fullest
from tests.exporter.simulation import START, Run, simulate

PAGE = 20
MOMENT = 1e-6
"""Seconds; a simulation of so long takes one decision."""


class Vigilmon:
    """An account of `count` monitors behind one strict token; each of so many is down."""

    def __init__(self, count, down=7):
        self.count, self.down, self.limiter, self.sent = count, down, Limiter(), []

    def __call__(self, request, now):
        if isinstance(request, Probe):
            return Certificate(now, START - 1e6, START + 1e6, valid=True)
        self.sent.append(now)
        allowed = self.limiter.allows(now)
        return Response(now, 200 if allowed else 429, json.dumps(self.body(request)).encode())

    def body(self, request):
        if request.path == "/monitors":
            page = int(dict(request.params).get("page", "1"))
            numbers = range((page - 1) * PAGE + 1, min(page * PAGE, self.count) + 1)
            return {"data": list(map(self.monitor, numbers)), "meta": {"per_page": PAGE, "total": self.count}}
        number = int(request.path.split("/")[2])
        if request.path.endswith("/incidents"):
            return {"data": [{"status": "ongoing"}] * (number % self.down == 0), "meta": {"total": 1 + number % 3}}
        return {"data": {"id": number, "uptime": {"24h": number % 100, "7d": 99.0, "30d": 98.0}}}

    def monitor(self, number):
        url, status = f"https://svc{number}.example.com/", "down" if number % self.down == 0 else "up"
        return {"id": number, "name": f"svc{number}", "url": url, "is_active": True, "current_status": status}


def vigilmon(**more):
    target = {"collector": "vigilmon", "account": "a", "base_url": "http://vendor", "token": "t"}
    return target | {"requests_per_minute": 55.0, "status_share": 0.75} | more


def certificates():
    endpoints = [f"www{number}.example.com:443" for number in range(40)]
    return {"collector": "certificates", "account": "edge", "endpoints": endpoints}


def run_together(target, vendor, count, seconds, begins=START):
    """Poll as `count` exporters do, request by request in the order of time; return what is told, shard by shard."""
    read = config.read({"targets": [target]})
    parts = [part for number in range(1, count + 1) for part in read.part(Shard(number, count))]
    collectors = [config.collector(part) for part in parts]
    runs = [
        Run(Target(knowledge=one.start(), budget=Budget.start(part.requests_per_minute, begins)), begins)
        for one, part in zip(collectors, parts, strict=True)
    ]
    while (place := min(range(len(runs)), key=lambda place: runs[place].now)) is not None:
        if runs[place].now >= begins + seconds:
            break
        simulate(collectors[place], parts[place], vendor, MOMENT, resume=runs[place])
    now = begins + seconds
    told = [list(one.families(run.target.knowledge, now)) for one, run in zip(collectors, runs, strict=True)]
    return runs, told


def series(families, *, without=()):
    """Return what is told, by metric and labels."""
    return {
        (family.metric.name, labels): value
        for family in families
        for labels, value in family.samples
        if family.metric.name not in without
    }


@pytest.mark.parametrize("target", [vigilmon(), certificates()], ids=lambda target: target["collector"])
def test_together_they_tell_what_one_would(target):
    """The same series with the same values, each on one page alone, and each page has some."""
    _, (alone,) = run_together(target, Vigilmon(60), 1, 900)
    _, told = run_together(target, Vigilmon(60), 3, 900)
    pages = [series(families) for families in told]
    assert len(pages) == 3
    assert all(pages)
    counted = Counter(name for page in pages for name in page)
    assert set(counted.values()) == {1}
    assert {name for page in pages for name in page} == series(alone).keys()
    assert {name: value for page in pages for name, value in page.items()} == pytest.approx(series(alone), abs=0.1)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_every_vendor_is_whole_on_one_exporter_or_divided_among_them(case):
    """Whatever vendor comes: nothing is left out, nothing is there twice, and one that is alone has it as it is."""
    whole = settings_of(case.parent.parent.name, case)
    held = [part for number in range(1, 4) if (part := whole.part(Shard(number, 3))) is not None]
    assert held == [whole] or (len(held) > 1 and whole not in held)
    assert whole.part(ALONE) == whole


def test_an_hour_of_three_exporters_on_one_strict_token():
    """No answer is 429, every status is asked in its turn, and every uptime of 500 monitors is on one page."""
    vendor = Vigilmon(500, down=100)
    runs, told = run_together(vigilmon(), vendor, 3, 3600)
    assert [set(run.outcomes()) for run in runs] == [{"ok"}] * 3
    assert fullest(vendor.sent) <= 55
    assert len(vendor.sent) >= 0.95 * 54 * 60
    monitors = [set(run.target.knowledge.monitors) for run in runs]
    assert sum(map(len, monitors)) == len(set.union(*monitors)) == 500
    assert all(abs(len(own) - 500 / 3) < 40 for own in monitors)
    for name, each in (("vigilmon_monitor_up", 1), ("vigilmon_monitor_uptime_percent", 3)):
        counted = Counter(labels[0] for families in told for metric, labels in series(families) if metric == name)
        assert counted == dict.fromkeys(map(str, range(1, 501)), each)
    asked = [
        {
            request.path.split("/")[2]
            for _, request in run.sent
            if isinstance(request, Get) and request.path != "/monitors"
        }
        for run in runs
    ]
    assert asked == monitors
    assert not any(run.target.knowledge.truncated for run in runs)


def test_one_exporter_more_begins_without_a_burst():
    """Four that know nothing go on where three ended, within the limit; what moved is on its new page alone."""
    vendor = Vigilmon(60)
    before, _ = run_together(vigilmon(), vendor, 3, 600)
    after, told = run_together(vigilmon(), vendor, 4, 600, begins=START + 600)
    assert [set(run.outcomes()) for run in after] == [{"ok"}] * 4
    assert fullest(vendor.sent) <= 55 + 4
    owners = Counter(
        labels for families in told for metric, labels in series(families) if metric == "vigilmon_monitor_up"
    )
    assert owners == {(str(number),): 1 for number in range(1, 61)}
    stayed = [
        old.target.knowledge.monitors.keys() - new.target.knowledge.monitors
        for old, new in zip(before, after[:3], strict=True)
    ]
    assert set().union(*stayed) == set(after[3].target.knowledge.monitors)


def test_an_account_may_stay_whole():
    """With `split_by_monitor: false` one exporter has all of it, at the whole rate."""
    (target,) = config.read({"targets": [vigilmon(split_by_monitor=False)]}).targets
    parts = [target.part(Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(part == target for part in parts) == [False, False, True]
    assert target.part(ALONE) == target
