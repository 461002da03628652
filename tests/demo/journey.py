"""One alert on its way: the stations it must pass, and when it passed each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.demo.world import Trouble
from tests.system.running import NotInTime
from tests.system.way import Way

PATIENCE = 60.0
"""Seconds for a journey; it takes about ten."""

UNTOLD = "no word of it, for it is silenced: the bridge's reconciler finds out"


@dataclass(frozen=True, slots=True)
class Station:
    """A step on the path: `short` heads the table's column, `description` is the line, `reached` checks it."""

    short: str
    description: str
    reached: Callable[[], bool]


@dataclass(slots=True)
class Journey:
    """One trouble, its stations and the seconds after which each was passed."""

    title: str
    stations: Sequence[Station]
    passed: list[float] = field(default_factory=list)

    @property
    def arrived(self) -> bool:
        """Whether the last station was passed."""
        return len(self.passed) == len(self.stations)

    @property
    def next(self) -> Station:
        """The next station."""
        return self.stations[len(self.passed)]


def follow(journeys: Sequence[Journey], passed: Callable[[Journey, Station], None]) -> None:
    """Watch until all have arrived, telling each station as it is passed. NotInTime names what is still on its way."""
    began = time.monotonic()
    while not all(journey.arrived for journey in journeys):
        for journey in journeys:
            _advance(journey, began, passed)
        if time.monotonic() - began > PATIENCE:
            late = [f"{journey.title}: {journey.next.description}" for journey in journeys if not journey.arrived]
            raise NotInTime(f"not within {PATIENCE:g} s: {'; '.join(late)}")
        time.sleep(0.05)


def _advance(journey: Journey, began: float, passed: Callable[[Journey, Station], None]) -> None:
    try:
        while not journey.arrived and journey.next.reached():
            station = journey.next
            journey.passed.append(time.monotonic() - began)
            passed(journey, station)
    except requests.RequestException:
        return


def outage(way: Way, trouble: Trouble, queued: Callable[[], bool]) -> Journey:
    """Return the way of a trouble from the exporter's page to BigPanda. `queued`: the bridge took one more event."""
    stations = [
        Station("exporter", f"exporter serves {trouble.metric}", lambda: page_is(way, trouble, wrong=True)),
        Station("Prometheus", "Prometheus has the sample", lambda: sample_is(way, trouble, wrong=True)),
        Station("pending", f"rule {trouble.alertname} pending", lambda: bool(way.query(trouble.alerts))),
        Station("firing", f"rule {trouble.alertname} firing", lambda: fires(way, trouble)),
        Station("Alertmanager", "Alertmanager has the alert", lambda: is_notified(way, trouble)),
        Station("bridge", "bridge has the event on disk", queued),
        Station("BigPanda", "BigPanda accepted: critical", lambda: last_status(way, trouble) == "critical"),
    ]
    return Journey(trouble.title, stations)


def recovery(way: Way, trouble: Trouble, queued: Callable[[], bool]) -> Journey:
    """Return the way of its end."""
    stations = [
        Station("exporter", f"exporter serves {trouble.metric}", lambda: page_is(way, trouble, wrong=False)),
        Station("Prometheus", "Prometheus has the sample", lambda: sample_is(way, trouble, wrong=False)),
        Station("resolved", f"rule {trouble.alertname} resolved", lambda: not way.query(trouble.alerts)),
        Station("Alertmanager", "Alertmanager closed the alert", lambda: not is_notified(way, trouble)),
        Station("bridge", UNTOLD if trouble.silenced else "bridge has the event on disk", queued),
        Station("BigPanda", "BigPanda accepted: ok", lambda: last_status(way, trouble) == "ok"),
    ]
    return Journey(trouble.title, stations)


def counter_of_queued(way: Way) -> Callable[[], bool]:
    """Return what tells, once for each event more in the bridge's outbox since now, that there is one."""

    def queued() -> float:
        """Count the events from webhooks and the reconciler's corrections."""
        queued = way.counted("vendorwatch_bridge_events_total", outcome="queued")
        return queued + way.counted("vendorwatch_bridge_reconciled_alerts_total")

    seen = queued()

    def one_more() -> bool:
        nonlocal seen
        there = queued() > seen
        seen += there
        return there

    return one_more


def page_is(way: Way, trouble: Trouble, *, wrong: bool) -> bool:
    """Return whether the exporter's page says so."""
    page = way.exporter.get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    values = [
        sample.value
        for sample in samples
        if sample.name == trouble.metric and trouble.labels.items() <= sample.labels.items()
    ]
    return any(map(trouble.wrong, values)) == wrong and (wrong or bool(values))


def sample_is(way: Way, trouble: Trouble, *, wrong: bool) -> bool:
    """Return whether Prometheus says so."""
    values = [float(series["value"][1]) for series in way.query(trouble.selector)]
    return any(map(trouble.wrong, values)) == wrong


def fires(way: Way, trouble: Trouble) -> bool:
    """Return whether the rule fires."""
    return any(series["metric"]["alertstate"] == "firing" for series in way.query(trouble.alerts))


def is_notified(way: Way, trouble: Trouble) -> bool:
    """Return whether Alertmanager holds the alert."""
    return any(trouble.alert_labels.items() <= alert["labels"].items() for alert in way.notified(trouble.alertname))


def last_status(way: Way, trouble: Trouble) -> str:
    """Return the status that BigPanda accepted last for this alert, "" before the first."""
    events = way.accepted(check=trouble.alertname, **trouble.alert_labels)
    return str(events[-1]["status"]) if events else ""
