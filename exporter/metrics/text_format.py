"""Families → bytes: text 0.0.4 and OpenMetrics 1.0.0, plain and gzip. Pure.

A target's family is rendered and compressed once, in blocks, and a page is joined from these, plain or as one gzip
stream. The two formats share the samples. They differ in HELP, TYPE and UNIT, and in counters: OpenMetrics has a
`_created` sample beside each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from types import MappingProxyType

from prometheus_client.utils import floatToGoString

from exporter.metrics.families import Family, Metric, Sample
from exporter.metrics.gzip_stream import Block, block, blocks
from exporter.toolkit.exposition import unit_of
from exporter.toolkit.text import LABEL_BYTES, cut_label

SAMPLES = 1500
"""Samples formatted in one call: about a millisecond, during which no other thread runs."""
number: Callable[[float], str] = floatToGoString
"""Formats a value as Go does."""


@dataclass(frozen=True, slots=True)
class RenderedFamily:
    """A target's samples of a metric in text 0.0.4 and in OpenMetrics: the same blocks, unless it has `created`."""

    metric: Metric
    text: Sequence[Block] = ()
    openmetrics: Sequence[Block] = ()


Rendered = Mapping[str, RenderedFamily]
"""A target's families by name."""


def escaped(value: str) -> str:
    """Escape a label value for use between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@cache
def head(metric: Metric, *, openmetrics: bool) -> Block:
    """Return a family's HELP, TYPE and UNIT lines. In OpenMetrics a counter's name has no `_total` here."""
    name, text = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total") if metric.kind == "counter" else name, text.replace('"', r"\"")
    header = f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n"
    if openmetrics and (unit := unit_of(name)):
        header += f"# UNIT {name} {unit}\n"
    return block(header.encode("utf-8", "replace"))


def lines(metric: Metric, samples: Sequence[Sample], account: str | None = None) -> Iterator[bytes]:
    """Yield a family's sample lines, the same in both formats, `account` before all other labels."""
    fixed = [] if account is None else [f'account="{escaped(account)}"'.replace("%", "%%")]
    labels = ",".join(fixed + [f'{name}="%s"' for name in metric.labels])
    template = f"{metric.name}{{{labels}}} %s\n" if labels else f"{metric.name} %s\n"
    for start in range(0, len(samples), SAMPLES):
        some = samples[start : start + SAMPLES]
        # Search all labels at once and format each distinct value once: few labels need escaping, most values repeat.
        values = list(chain.from_iterable([labels for labels, _ in some]))
        text = "".join(values)
        if max(map(len, values), default=0) * 4 > LABEL_BYTES:
            # Prometheus rejects the whole scrape if one label value exceeds its label_value_length_limit.
            some = [(tuple(map(cut_label, labels)), value) for labels, value in some]
        if "\\" in text or '"' in text or "\n" in text:
            some = [(tuple(map(escaped, labels)), value) for labels, value in some]
        written = {value: number(value) for value in {value for _, value in some}}
        written.pop(0.0, None)  # 0.0 equals -0.0, which is written differently
        rows = [(*labels, written.get(value) or number(value)) for labels, value in some]
        yield (template * len(some) % tuple(chain.from_iterable(rows))).encode("utf-8", "replace")


def samples(family: Family, account: str | None = None, *, openmetrics: bool) -> Iterator[bytes]:
    """Yield a family's sample lines; in OpenMetrics each sample of a counter is followed by its `_created` sample."""
    text = lines(family.metric, family.samples, account)
    if not (openmetrics and family.created):
        yield from text
        return
    created = replace(family.metric, name=f"{family.metric.name.removesuffix('_total')}_created")
    at = [(labels, since) for (labels, _), since in zip(family.samples, family.created, strict=False)]
    for some, starts in zip(text, lines(created, at, account), strict=True):
        yield b"\n".join(chain.from_iterable(zip(some.split(b"\n"), starts.split(b"\n"), strict=True)))[:-1]


def render(families: Iterable[Family], account: str, earlier: Rendered = MappingProxyType({})) -> Rendered:
    """Render a target's families, except those without samples. What is as in `earlier` is not compressed again."""
    rendered: dict[str, RenderedFamily] = {}
    for family in families:
        if family.samples:
            metric = family.metric
            before = earlier.get(metric.name, RenderedFamily(metric))
            text = counted = blocks(samples(family, account, openmetrics=False), before.text)
            if family.created:
                counted = blocks(samples(family, account, openmetrics=True), before.openmetrics)
            rendered[metric.name] = RenderedFamily(metric, text, counted)
    return rendered


def plain(families: Iterable[Family], *, openmetrics: bool) -> bytes:
    """Return families without an account as text, leaving out those without samples."""
    return b"".join(
        b"".join([head(family.metric, openmetrics=openmetrics).plain, *samples(family, openmetrics=openmetrics)])
        for family in families
        if family.samples
    )


def compose(targets: Iterable[Rendered], *, openmetrics: bool) -> list[Block]:
    """Join targets into one page: each family's HELP and TYPE once, followed by the samples of all targets."""
    families: dict[str, list[Block]] = {}
    for rendered in targets:
        for name, each in rendered.items():
            if name not in families:
                families[name] = [head(each.metric, openmetrics=openmetrics)]
            families[name].extend(each.openmetrics if openmetrics else each.text)
    return list(chain.from_iterable(families.values()))
