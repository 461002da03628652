"""Families → bytes: text 0.0.4 and OpenMetrics 1.0.0, plain and gzip. Pure.

A target is rendered in pieces of about 200 kB, each compressed on its own: gzip members one after the other are one
gzip stream, and the formats differ only in a few HELP and TYPE lines. So both share the bytes of the samples.
"""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from exporter.metrics.families import Family, Metric, Sample

SAMPLES = 1500
"""Samples rendered at a stretch: about a millisecond, so that nobody waits long for the interpreter."""
SMALL = 64 * 1024
"""Bytes; smaller pieces are put together before they are compressed."""
LARGE = 1024 * 1024
"""Bytes that are handed to a socket at once."""
_GO_EXPONENT_FROM = 6


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


def head(metric: Metric, *, openmetrics: bool) -> bytes:
    """Return a family's HELP and TYPE lines. In OpenMetrics a counter's name goes without `_total`."""
    name, text = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total") if metric.kind == "counter" else name, text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n".encode("utf-8", "replace")


def lines(metric: Metric, samples: Sequence[Sample], account: str | None = None) -> Iterator[bytes]:
    """Yield a family's sample lines, the same in both formats, `account` before all other labels."""
    fixed = [] if account is None else [f'account="{escaped(account)}"'.replace("%", "%%")]
    labels = ",".join(fixed + [f'{name}="%s"' for name in metric.labels])
    template = f"{metric.name}{{{labels}}} %s\n" if labels else f"{metric.name} %s\n"
    for start in range(0, len(samples), SAMPLES):
        yield _stretch(template, samples[start : start + SAMPLES]).encode("utf-8", "replace")


def _stretch(template: str, samples: Sequence[Sample]) -> str:
    text = "".join(chain.from_iterable([labels for labels, _ in samples]))
    if "\\" in text or '"' in text or "\n" in text:
        samples = [(tuple(map(escaped, labels)), value) for labels, value in samples]
    told = {value: number(value) for value in {value for _, value in samples}}
    told.pop(0.0, None)  # 0.0 equals -0.0
    rows = [(*labels, told.get(value) or number(value)) for labels, value in samples]
    return template * len(samples) % tuple(chain.from_iterable(rows))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines, and the same as a gzip member."""

    plain: bytes
    packed: bytes = b""


def pack(plain: bytes) -> Piece:
    """Compress a piece; zlib lets other threads run meanwhile."""
    return Piece(plain, gzip.compress(plain, compresslevel=6, mtime=0))


@dataclass(frozen=True, slots=True)
class Body:
    """A part of the page in one format: the bytes to send, in blobs of a good size for a socket."""

    plain: tuple[bytes, ...] = ()
    packed: tuple[bytes, ...] = ()

    def extended(self, plain: bytes) -> "Body":
        """Return the body with some more lines at its end."""
        piece = pack(plain)
        return Body(tuple(joined((*self.plain, piece.plain))), tuple(joined((*self.packed, piece.packed))))


@dataclass(frozen=True, slots=True)
class Page:
    """What a group's targets add to the page; `expires`: epoch second from which it may not be served as it is."""

    text: Body
    openmetrics: Body
    expires: float | None = None


Rendered = Mapping[str, tuple[Metric, Sequence[Piece]]]
"""A target's families by name. Small pieces are not packed yet."""


def render(families: Iterable[Family], account: str | None = None) -> Rendered:
    """Render a target's families. Those without a sample are left out."""
    rendered: dict[str, tuple[Metric, list[Piece]]] = {}
    for family in families:
        if family.samples:
            pieces = rendered.setdefault(family.metric.name, (family.metric, []))[1]
            chunks = lines(family.metric, family.samples, account)
            pieces.extend(Piece(chunk) if len(chunk) < SMALL else pack(chunk) for chunk in chunks)
    return rendered


def compose(targets: Sequence[tuple[str, Rendered]], expires: float | None = None) -> Page:
    """Put the targets of a group, each with its account, on one page: a family's samples stand together."""
    metrics: dict[str, Metric] = {}
    for _, rendered in targets:
        for name, (metric, _) in rendered.items():
            metrics.setdefault(name, metric)
    crowded = len({account for account, _ in targets}) < len(targets)
    text, openmetrics = _Join(), _Join()
    shared = _Shared(text, openmetrics)
    for name, metric in metrics.items():
        shared.differing(head(metric, openmetrics=False), head(metric, openmetrics=True))
        pieces = chain.from_iterable(rendered[name][1] for _, rendered in targets if name in rendered)
        for piece in _once(pieces) if crowded else pieces:
            shared.add(piece)
    shared.flush()
    return Page(text.body(), openmetrics.body(), expires)


def _once(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Leave out series that two collectors state with the same account: the first one counts."""
    seen: set[bytes] = set()
    for piece in pieces:
        series = {line.rpartition(b" ")[0]: line for line in reversed(piece.plain.splitlines(keepends=True))}
        yield Piece(b"".join(line for name, line in reversed(series.items()) if name not in seen))
        seen |= series.keys()


class _Join:
    """Collects one format's pieces."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)

    def body(self) -> Body:
        return Body(
            tuple(joined(piece.plain for piece in self._pieces)),
            tuple(joined((piece.packed for piece in self._pieces), LARGE)),
        )


class _Shared:
    """Hands pieces to both formats; what is small is put together, and told apart only where they differ."""

    def __init__(self, text: _Join, openmetrics: _Join) -> None:
        self._text, self._openmetrics = text, openmetrics
        self._small: list[bytes] = []
        self._size = 0

    def differing(self, text: bytes, openmetrics: bytes) -> None:
        if text == openmetrics:
            self.add(Piece(text))
            return
        self.flush()
        self._text.add(pack(text))
        self._openmetrics.add(pack(openmetrics))

    def add(self, piece: Piece) -> None:
        if piece.packed:
            self.flush()
            self._give(piece)
            return
        self._small.append(piece.plain)
        self._size += len(piece.plain)
        if self._size >= 2 * SMALL:
            self.flush()

    def flush(self) -> None:
        if self._size:
            self._give(pack(b"".join(self._small)))
        self._small, self._size = [], 0

    def _give(self, piece: Piece) -> None:
        self._text.add(piece)
        self._openmetrics.add(piece)


def joined(blobs: Iterable[bytes], most: int = 2 * SMALL) -> Iterator[bytes]:
    """Put small blobs together, to at most `most` bytes: sockets like few writes; a large blob is never copied."""
    waiting: list[bytes] = []
    size = 0
    for blob in blobs:
        if waiting and size + len(blob) > most:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(blob)
        size += len(blob)
    if waiting:
        yield b"".join(waiting)
