"""Vigilmon: statuses in rounds, uptimes and incidents in rotation, certificates by our own probe."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from exporter.collectors.certificate_observations import (
    CertificateObservation,
    certificate_families,
    certificate_figures,
    certificate_metrics,
    observe,
    shown,
)
from exporter.collectors.contract import Certificate, Endpoint, Figure, Get, Probe, Request, Response, confirmed
from exporter.metrics.families import Family, Metric, gauge
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.text import counted, cut_label, named

from .answers import History, Monitor, Page, read_incidents, read_monitors, read_uptime
from .config import Settings
from .knowledge import Known, Uptime, unsettled, with_answer, with_page, without
from .rotation import DETAIL, LISTING, MOST, gets, probes, rotation, trouble_every


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return gauge(f"vigilmon_{name}", text, "monitor_id", *labels)


UP = _gauge("monitor_up", "Whether the monitor is up; absent while it is paused or unknown.")
ACTIVE = _gauge("monitor_active", "Whether the monitor is checked at all: 0 while it is paused.")
ONGOING = _gauge("monitor_ongoing_incidents", "Ongoing incidents of the monitor.")
STARTED = _gauge(
    "ongoing_incident_start_timestamp_seconds",
    "When the newest ongoing incident of a monitor that is down began.",
    *("incident_id", "cause", "regions"),
)
INFO = _gauge("monitor_info", "Always 1; the URL is without credentials and query.", *("monitor", "url", "method"))
CERTIFICATE = certificate_metrics(
    "vigilmon_certificate", "vigilmon_certificate_probe_success", "vigilmon_tls_probe_failure", "monitor_id"
)
UPTIME = _gauge("monitor_uptime_percent", "Uptime over the window, 0 to 100, as computed by Vigilmon.", "window")
RECORDED = _gauge("monitor_incidents", "Incidents of the monitor that Vigilmon has on record.")
LASTED = _gauge("monitor_last_incident_duration_seconds", "Duration of the monitor's newest resolved incident.")
CHECKED = _gauge("monitor_last_check_timestamp_seconds", "When Vigilmon last checked the monitor.")
INTERVAL = _gauge("monitor_check_interval_seconds", "Interval between Vigilmon's checks of the monitor.")

SHORT: Final = 48
"""Most bytes of a name or a cause in a figure."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Requests the pages of statuses in turn, and spends the rest of the budget on single monitors."""

    settings: Settings

    metrics = (UP, ACTIVE, ONGOING, STARTED, INFO, *CERTIFICATE, UPTIME, RECORDED, LASTED, CHECKED, INTERVAL)
    start = Known

    def requests(self, knowledge: Known, now: float, failing: int = 0) -> Iterator[Request]:
        """Yield the most urgent requests and probes of each kind, and so the earliest that is due."""
        for get in gets(self.settings, knowledge, now, MOST + failing):
            emptied_at = knowledge.emptied.get(get.path)
            yield replace(get, due=confirmed(emptied_at, get.every, get.due)) if emptied_at is not None else get
        if self.settings.certificates:
            yield from probes(self.settings, knowledge)

    def update(self, knowledge: Known, request: Request, response: Response | Certificate) -> Known:
        """Return the knowledge after a response."""
        if isinstance(request, Probe) and isinstance(response, Certificate):
            where, seen = request.to.written, knowledge.observations
            return replace(knowledge, observations=seen | {where: observe(seen.get(where), response)})
        if not isinstance(request, Get) or not isinstance(response, Response):
            raise TypeError("a Get is answered by a Response, a Probe by a Certificate")
        gone = response.status != 200  # noqa: PLR2004  the other expected statuses: there is no such page or monitor
        if request.endpoint == LISTING:
            number = int(dict(request.params).get(self.settings.page_parameter, "1"))
            page, listing = Page((), None, None, None) if gone else read_monitors(response.body), knowledge.listing
            if gone and listing and (listing.total or 0) > listing.told:
                raise Malformed("404, though there are more monitors")
            return with_page(knowledge, number, response.at, page, self.settings.max_pages)
        identity = request.item
        if gone and identity in knowledge.missing:
            return without(knowledge, (identity,))
        answer: Uptime | History
        if request.endpoint == DETAIL:
            answer = Uptime(response.at, {} if gone else read_uptime(response.body))
        else:
            answer = History(response.at) if gone else read_incidents(response.body, response.at)
        return with_answer(knowledge, identity, request.path, answer)

    def families(self, knowledge: Known, now: float) -> Iterator[Family]:
        """Yield the knowledge that is not too old, statuses first."""
        monitors = self._fresh_monitors(knowledge, now)
        yield Family.of(UP, (((one.id,), one.up) for one in monitors))
        yield Family.of(ACTIVE, (((one.id,), one.active) for one in monitors))
        valid = [(one, found) for one in monitors if (found := self._valid(knowledge, one, now))]
        yield Family.of(ONGOING, (((one.id,), each.ongoing) for one, each in valid))
        begun = [(one, each.newest) for one, each in valid if one.up is False and each.newest]
        yield Family(STARTED, [((one.id, last.id, last.cause, last.regions), last.started) for one, last in begun])
        yield Family(INFO, [((one.id, one.name, one.url, one.method), 1.0) for one in monitors])
        yield from certificate_families(CERTIFICATE, self._certificates(knowledge, now), now)
        every = rotation(self.settings, knowledge)
        uptimes = ((one, knowledge.uptimes.get(one)) for one in knowledge.monitors)
        fresh = ((one, known.windows) for one, known in uptimes if known and self.settings.shows(known.at, now, every))
        yield Family(UPTIME, [((one, window), percent) for one, each in fresh for window, percent in each.items()])
        yield Family.of(RECORDED, (((one.id,), each.recorded) for one, each in valid))
        yield Family.of(LASTED, (((one.id,), each.last_duration) for one, each in valid))
        yield Family.of(CHECKED, (((one.id,), one.checked_at) for one in monitors))
        yield Family.of(INTERVAL, (((one.id,), one.check_interval) for one in monitors))

    def _fresh_monitors(self, knowledge: Known, now: float) -> list[Monitor]:
        found = () if knowledge.as_of is None else knowledge.monitors.values()
        return [one for one in found if self.settings.shows(knowledge.seen[one.id], now)]

    def _valid(self, knowledge: Known, monitor: Monitor, now: float) -> History | None:
        """Return the incidents of a monitor while its status confirms them; those of one that is down expire."""
        incidents = knowledge.incidents.get(monitor.id)
        if incidents is None or unsettled(knowledge, monitor.id)[0]:
            return None
        if monitor.up is not False and not incidents.ongoing:
            return incidents
        every = trouble_every(self.settings, knowledge, len(knowledge.troubled))
        return incidents if self.settings.shows(incidents.at, now, every) else None

    def _certificates(self, knowledge: Known, now: float) -> list[tuple[tuple[str, ...], CertificateObservation]]:
        """Return the certificate observations by monitor; none if certificates are disabled."""
        if not self.settings.certificates:
            return []
        found = (((one.id,), knowledge.observations.get(one.place)) for one in knowledge.monitors.values())
        return shown(found, self.settings.max_age_of(self.settings.certificate_interval), now)

    def figures(self, knowledge: Known, now: float) -> Iterator[Figure]:
        """Yield the number of monitors, those that are down and why, paused or unknown, and the certificates."""
        monitors = self._fresh_monitors(knowledge, now)
        down = []
        for one in monitors:
            if one.up is False:
                known = self._valid(knowledge, one, now)
                cause = cut_label(known.newest.cause, SHORT) if known and known.newest else ""
                down.append(cut_label(one.name or one.id, SHORT) + (f" ({cause})" if cause else ""))
        paused = sum(1 for one in monitors if one.active is False)
        yield Figure(counted(len(monitors), "monitor"))
        if down:
            yield Figure(f"{len(down)} down: {named(down)}", bad=True)
        if paused:
            yield Figure(f"{paused} paused")
        unclear = [one for one in monitors if one.up is None and one.active is not False]
        if unknown := [cut_label(f"{one.name or one.id} ({one.status or 'none'})", 2 * SHORT) for one in unclear]:
            yield Figure(f"{len(unknown)} in an unknown state: {named(unknown)}", bad=True)
        names = {one.id: one.name or one.id for one in monitors}
        seen = [(names.get(key, key), each) for (key,), each in self._certificates(knowledge, now)]
        yield from certificate_figures(seen, now)

    def endpoints(self, knowledge: Known, now: float) -> Iterator[Endpoint]:
        """Yield the URL of each monitor that is not paused, also of those whose status cannot be polled."""
        for one in knowledge.monitors.values() if self.settings.shows(knowledge.as_of, now) else ():
            if one.active is not False and one.url:
                labels = (("monitor_id", one.id), ("monitor", one.name), ("status", one.status))
                yield Endpoint(one.url, labels)
