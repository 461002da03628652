"""The notices that need an operator's attention, worst first. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from bridge.outbox.status import Circuit, Counts
from bridge.web.current import ReceiverStatus
from bridge.web.formatting import times
from exporter.toolkit.text import counted, span

_LATE: Final = 300.0
"""Seconds that an event may be queued before it is mentioned: when the rule VendorwatchBridgeOutboxOld fires."""
_FEW: Final = 5
"""Most silences listed here; each is also shown at its alert."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice: subject, explanation and link. `urgent`: BigPanda shows something wrong because of it."""

    subject: str
    text: str
    path: str = ""
    link: str = ""
    urgent: bool = False


def attention(  # noqa: PLR0913  everything that can go wrong
    circuit: Circuit,
    counts: Counts,
    receivers: Sequence[ReceiverStatus],
    *,
    unwritable: str,
    unconfirmed: int,
    refused_silences: Mapping[str, str],
    exhausted_quotas: Sequence[str],
    now: float,
) -> Iterator[Notice]:
    """Yield the notices, urgent ones first; none while all is well."""
    if unwritable:
        words = f"{unwritable}. Their senders retry, but until this is fixed BigPanda receives nothing new."
        yield Notice("Webhooks are rejected:", words, urgent=True)
    yield from _urgent(circuit, counts, receivers, now)
    sources = {one.source for one in receivers}
    if left := sum(number for (source, _), number in counts.open_alerts.items() if source not in sources):
        words = (
            "their receiver is no longer configured, so their end is never reported. Close them, or configure it again."
        )
        yield Notice(f"{counted(left, 'open alert')} without a receiver:", words, "alerts", "Alerts")
    for one in receivers:
        if one.reconciler is not None and one.reconciler.late(now):
            words = f"{one.reconciler.unanswered or 'no answer'}. Alerts whose resolution was missed stay open."
            yield Notice(f"Reconciling {one.receiver}/{one.source} is late:", words, "#receivers", "Receivers")
    if others := counts.dead - counts.dead_resolutions:
        words = "rejected by BigPanda. Fix the cause and requeue, or discard."
        yield Notice(counted(others, "dead letter"), words, "dead-letters", "Dead letters")
    if counts.quarantined:
        yield Notice(f"{counts.quarantined} in quarantine:", "unreadable, not sent.", "quarantine", "Quarantine")
    if unconfirmed:
        words = "accepted by BigPanda, but not processed. Each is resent."
        yield Notice(counted(unconfirmed, "unconfirmed event"), words, "#confirmation", "Confirmation")
    for key, reason in sorted(refused_silences.items())[:_FEW]:
        path = f"alert?{urlencode({'key': key})}"
        yield Notice("Snoozed, but not silenced:", f"its silence cannot be created or checked: {reason}", path, key)
    for source in exhausted_quotas:
        words = "BigPanda shares no more incidents through it until the quota is reset."
        yield Notice(f"Share quota of {source} used up:", words)


def _urgent(circuit: Circuit, counts: Counts, receivers: Iterable[ReceiverStatus], now: float) -> Iterator[Notice]:
    """Yield the conditions that make BigPanda show something wrong, or nothing at all."""
    if not circuit.up:
        again = f" Next try in {span(circuit.not_before - now)}." if circuit.not_before > now else ""
        failed = f"Failed {times(circuit.failures)} in a row."
        words = f"{circuit.reason}. {failed}{again} Nothing is lost: events are queued."
        yield Notice("BigPanda unavailable:", words, urgent=True)
    # While BigPanda is unavailable, that explains a slow queue.
    elif counts.oldest is not None and now - counts.oldest > _LATE:
        words = f"the oldest event has been queued for {span(now - counts.oldest)}."
        yield Notice("The queue is slow:", words, "waiting", "Queue", urgent=True)
    if counts.dead_resolutions:
        words = "resolved, but BigPanda rejected the resolution: still open there."
        yield Notice(counted(counts.dead_resolutions, "alert"), words, "dead-letters", "Dead letters", urgent=True)
    for one in receivers:
        for watchdog in (found for found in one.watchdogs if found.silent):
            subject = f"{watchdog.name} of {one.receiver}/{one.source} is silent:"
            words = "alerts from Prometheus may not arrive this way."
            yield Notice(subject, words, "#receivers", "Receivers", urgent=True)
