"""Polling without sockets, threads or waiting: an hour passes as fast as the decisions are made."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.collectors.contract import Certificate, Collector, Request, Response
from exporter.collectors.settings import TargetSettings
from exporter.polling.rate_budget import Budget
from exporter.polling.target_state import Target, begin, drop_future_state, next_action, update
from exporter.toolkit.http_errors import HttpError

START = 1_800_000_000.0

Vendor = Callable[[Request, float], Response | Certificate | HttpError]
"""(ask, when it arrives) → what the vendor says."""


@dataclass
class Run:
    """The result: every request with its time and outcome, and the target at the end."""

    target: Target
    now: float
    sent: list[tuple[float, Request]] = field(default_factory=list)

    def outcomes(self):
        """Return how often each outcome was."""
        counts = {}
        for (_, outcome), count in self.target.requests.items():
            counts[outcome] = counts.get(outcome, 0) + count
        return counts


def simulate(  # noqa: PLR0913  what is simulated is named once
    collector: Collector,
    settings: TargetSettings,
    vendor: Vendor,
    seconds: float,
    *,
    latency: float = 0.1,
    observe: Callable[[Target, float], None] = lambda _target, _now: None,
    resume: Run | None = None,
) -> Run:
    """Poll `vendor` for `seconds`; each request takes `latency` seconds. `observe` sees every moment after a change."""
    begun = resume.now if resume else START
    run = resume or Run(
        Target(knowledge=collector.start(), budget=Budget.start(settings.requests_per_minute, START)), START
    )
    while run.now < begun + seconds:
        step(collector, run, vendor, latency)
        observe(run.target, run.now)
    return run


def step(collector: Collector, run: Run, vendor: Vendor, latency: float) -> None:
    """Do what is to be done now: a probe, a request that takes `latency` seconds, or wait."""
    run.target = drop_future_state(collector, run.target, run.now)
    action = next_action(collector, run.target, run.now)
    if action.probe:
        _carry_out(collector, run, vendor, action.probe, 0.0)
    elif action.get:
        _carry_out(collector, run, vendor, action.get, latency)
    else:
        run.now += max(action.wait, 0.001)


def _carry_out(collector: Collector, run: Run, vendor: Vendor, request: Request, latency: float) -> None:
    run.sent.append((run.now, request))
    run.target = begin(run.target, request, run.now)
    response = vendor(request, run.now)
    run.now += latency
    run.target = update(collector, run.target, request, response, run.now).target
