"""Families → bytes: text 0.0.4 and OpenMetrics 1.0.0, plain and gzip. Pure.

A family of a target is rendered and compressed once. A page is put together from these blocks: gzip members one after
the other are one gzip stream, and the two formats differ only in HELP and TYPE, so that they share the samples.
"""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from exporter.metrics.families import Family, Metric, Sample
from exporter.toolkit.text import LABEL_BYTES, cut_label

SAMPLES = 1500
"""Samples formatted in one call: about a millisecond, for which no other thread has the interpreter."""
_GO_EXPONENT_FROM = 6


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a page, and the same as a gzip member."""

    plain: bytes
    packed: bytes


Rendered = Mapping[str, tuple[Metric, Block]]
"""A target's families by name."""


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
    """Return a family's HELP and TYPE lines. In OpenMetrics a counter's name goes without `_total`."""
    name, text = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total") if metric.kind == "counter" else name, text.replace('"', r"\"")
    return block(f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n".encode("utf-8", "replace"))


def lines(metric: Metric, samples: Sequence[Sample], account: str | None = None) -> Iterator[bytes]:
    """Yield a family's sample lines, the same in both formats, `account` before all other labels."""
    fixed = [] if account is None else [f'account="{escaped(account)}"'.replace("%", "%%")]
    labels = ",".join(fixed + [f'{name}="%s"' for name in metric.labels])
    template = f"{metric.name}{{{labels}}} %s\n" if labels else f"{metric.name} %s\n"
    for start in range(0, len(samples), SAMPLES):
        yield _formatted(template, samples[start : start + SAMPLES]).encode("utf-8", "replace")


def _formatted(template: str, samples: Sequence[Sample]) -> str:
    # One search for all labels, and each value formatted once: most labels are harmless, most values are alike.
    values = list(chain.from_iterable([labels for labels, _ in samples]))
    text = "".join(values)
    if max(map(len, values), default=0) * 4 > LABEL_BYTES:
        # Prometheus refuses the whole scrape over one value beyond its label_value_length_limit.
        samples = [(tuple(map(cut_label, labels)), value) for labels, value in samples]
    if "\\" in text or '"' in text or "\n" in text:
        samples = [(tuple(map(escaped, labels)), value) for labels, value in samples]
    written = {value: number(value) for value in {value for _, value in samples}}
    written.pop(0.0, None)  # 0.0 equals -0.0, which is written differently
    rows = [(*labels, written.get(value) or number(value)) for labels, value in samples]
    return template * len(samples) % tuple(chain.from_iterable(rows))


def render(families: Iterable[Family], account: str | None = None) -> Rendered:
    """Render a target's families. Those without a sample are left out."""
    rendered: dict[str, tuple[Metric, Block]] = {}
    for family in families:
        if family.samples:
            samples = block(b"".join(lines(family.metric, family.samples, account)))
            rendered[family.metric.name] = (family.metric, samples)
    return rendered


def compose(targets: Iterable[Rendered], *, openmetrics: bool) -> list[Block]:
    """Put targets on one page: HELP and TYPE once, and the samples of a family together, whichever target has them."""
    families: dict[str, list[Block]] = {}
    for rendered in targets:
        for name, (metric, samples) in rendered.items():
            if name not in families:
                families[name] = [head(metric, openmetrics=openmetrics)]
            families[name].append(samples)
    return list(chain.from_iterable(families.values()))
