"""Wording of the status page shared by several vendors. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from exporter.collectors.certificate_observations import CertificateObservation
from exporter.metrics.health import Figure
from exporter.toolkit.text import counted

SOON: Final = 14 * 86400.0
"""Seconds before expiry from which a certificate is mentioned."""
_NAMED: Final = 5


def named(names: Sequence[str]) -> str:
    """Return the first names, and the number of further ones."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def certificate_figures(observations: Sequence[tuple[str, CertificateObservation]], now: float) -> Iterator[Figure]:
    """Yield the certificates that a client would not accept, that could not be read, and that expire soon."""
    seen = [(name, each.seen) for name, each in observations if each.seen]
    ends = sorted((each.not_after, name) for name, each in seen if each.not_after is not None)
    labelled = [(f"{name} ({each.reason})" if each.reason else name, each) for name, each in observations]
    found = {
        "not accepted": [text for text, each in labelled if each.seen and each.seen.valid is False],
        "seen by a probe that failed": [
            text
            for text, each in labelled
            if each.reached and each.reason and each.seen and each.seen.valid is not False
        ],
        "not seen": [text for text, each in labelled if not each.reached],
        "expiring within 14 days": [name for at, name in ends if now < at <= now + SOON],
    }
    for what, names in found.items():
        if names:
            yield Figure(f"{counted(len(names), 'certificate')} {what}: {named(names)}", bad=True)
    if ends:
        days = (ends[0][0] - now) / 86400
        when = f"in {counted(round(days), 'day')}" if days >= 0 else "expired"
        yield Figure(f"first certificate to expire: {ends[0][1]}, {when}")
