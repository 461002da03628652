"""Families → bytes: text 0.0.4 and OpenMetrics 1.0.0, plain and gzip. Pure.

A family of a target is rendered and compressed once. A page is put together from these blocks: gzip members one after
the other are one gzip stream, and the two formats share the samples. They differ in HELP, TYPE and UNIT, and in the
counters: beside each sample OpenMetrics wants the time since when it counts.
"""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, groupby

from exporter.metrics.families import Family, Metric, Sample
from exporter.toolkit.exposition import unit_of
from exporter.toolkit.text import LABEL_BYTES, cut_label

SAMPLES = 1500
"""Samples formatted in one call: about a millisecond, for which no other thread has the interpreter."""
LARGE = 1_000_000
"""Bytes of a piece that is rather sent alone than copied: 50 slow readers then share one copy of a large page."""
_GO_EXPONENT_FROM = 6


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a page, and the same as a gzip member."""

    plain: bytes
    packed: bytes


Rendered = Mapping[str, tuple[Metric, Block, Block]]
"""A target's families by name, in text 0.0.4 and in OpenMetrics: the same block, unless it has `created`."""


def number(value: float) -> str:
    """Return a value as Go writes it, like prometheus_client's floatToGoString."""
    text = repr(float(value))
    dot = text.find(".")
    if dot > _GO_EXPONENT_FROM and value > 0:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    if dot < 0 and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    return text


def escaped(value: str) -> str:
    """Return a label's value as it stands between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def block(plain: bytes) -> Block:
    """Compress some lines; zlib lets other threads run meanwhile."""
    return Block(plain, gzip.compress(plain, compresslevel=6, mtime=0))


@cache
def head(metric: Metric, *, openmetrics: bool) -> Block:
    """Return a family's HELP, TYPE and UNIT lines. In OpenMetrics a counter's name goes without `_total`."""
    name, text = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total") if metric.kind == "counter" else name, text.replace('"', r"\"")
    told = f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n"
    if openmetrics and (unit := unit_of(name)):
        told += f"# UNIT {name} {unit}\n"
    return block(told.encode("utf-8", "replace"))


def lines(metric: Metric, samples: Sequence[Sample], account: str | None = None) -> Iterator[bytes]:
    """Yield a family's sample lines, the same in both formats, `account` before all other labels."""
    fixed = [] if account is None else [f'account="{escaped(account)}"'.replace("%", "%%")]
    labels = ",".join(fixed + [f'{name}="%s"' for name in metric.labels])
    template = f"{metric.name}{{{labels}}} %s\n" if labels else f"{metric.name} %s\n"
    for start in range(0, len(samples), SAMPLES):
        some = samples[start : start + SAMPLES]
        # One search for all labels, and each value formatted once: most labels are harmless, most values are alike.
        values = list(chain.from_iterable([labels for labels, _ in some]))
        text = "".join(values)
        if max(map(len, values), default=0) * 4 > LABEL_BYTES:
            # Prometheus refuses the whole scrape over one value beyond its label_value_length_limit.
            some = [(tuple(map(cut_label, labels)), value) for labels, value in some]
        if "\\" in text or '"' in text or "\n" in text:
            some = [(tuple(map(escaped, labels)), value) for labels, value in some]
        written = {value: number(value) for value in {value for _, value in some}}
        written.pop(0.0, None)  # 0.0 equals -0.0, which is written differently
        rows = [(*labels, written.get(value) or number(value)) for labels, value in some]
        yield (template * len(some) % tuple(chain.from_iterable(rows))).encode("utf-8", "replace")


def render(families: Iterable[Family], account: str | None = None) -> Rendered:
    """Render a target's families. Those without a sample are left out."""
    rendered: dict[str, tuple[Metric, Block, Block]] = {}
    for family in families:
        if family.samples:
            text = b"".join(lines(family.metric, family.samples, account))
            samples = counted = block(text)
            if family.created:
                # OpenMetrics: each sample of a counter is followed by the one that tells since when it counts.
                created = replace(family.metric, name=f"{family.metric.name.removesuffix('_total')}_created")
                at = [(labels, since) for (labels, _), since in zip(family.samples, family.created, strict=False)]
                told = b"".join(lines(created, at, account))
                both = zip(text.split(b"\n"), told.split(b"\n"), strict=True)
                counted = block(b"\n".join(chain.from_iterable(both))[:-1])
            rendered[family.metric.name] = (family.metric, samples, counted)
    return rendered


def compose(targets: Iterable[Rendered], *, openmetrics: bool) -> list[Block]:
    """Put targets on one page: HELP and TYPE once, and the samples of a family together, whichever target has them."""
    families: dict[str, list[Block]] = {}
    for rendered in targets:
        for name, (metric, text, counted) in rendered.items():
            if name not in families:
                families[name] = [head(metric, openmetrics=openmetrics)]
            families[name].append(counted if openmetrics else text)
    return list(chain.from_iterable(families.values()))


def joined(blobs: Iterable[bytes]) -> list[bytes]:
    """Join small blobs with their neighbours, so that each piece is worth a write; leave large ones uncopied."""
    pieces: list[bytes] = []
    for are_large, run in groupby(blobs, lambda blob: len(blob) >= LARGE):
        some = list(run)
        pieces.extend(some if are_large else [b"".join(some)])
    return pieces
