"""What is known of each target, kept in a directory over a restart: one JSON file per target.

A file is replaced in one step, so that it is whole after a crash. What cannot be read, is of another target (its
base URL changed) or of an older format is left aside: the next poll brings everything anew.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Secret

FORMAT: Final = 1
"""Of the file; the shape of the knowledge in it is the collector's."""
ALONE_EVERY: Final = 10.0
"""Seconds between two writes of what is known: what a kill may lose."""
SHARED_EVERY: Final = 1.0
"""The same where another exporter serves what is stored: what it may be late."""
PIECE: Final = 500
"""Entries of a mapping that are written at a stretch: about a millisecond."""

LEFT: Final = 60.0
"""Seconds since a file on its way was written to, after which nobody writes it any more."""

Stamp = tuple[int, int, int]
"""What is another for each file that was written: when, which, how large."""

_log = logging.getLogger(__name__)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class _Head(BaseModel):
    """What a file says of itself before its parts are of interest."""

    format: Any
    target: Any


class SnapshotStore:
    """A directory with one file per target. Neither `load` nor `save` raises: storage is a convenience."""

    def __init__(self, directory: Path, every: float = ALONE_EVERY) -> None:
        """Use `directory`, which is created when missing; write every so many seconds. OSError when that cannot be."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.every = every
        self._directory = directory
        self._failing = False
        self._unused: dict[Path, str] = {}

    def stamp(self, settings: TargetSettings) -> Stamp | None:
        """Return what changes whenever the target is saved; None when nothing is saved of it."""
        try:
            found = self._path(settings).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def load(self, settings: TargetSettings, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts that were saved for this target, each as its type in `kinds`; none when there are none."""
        path = self._path(settings)
        try:
            content = path.read_bytes()
            if _Head.model_validate_json(content) != _Head(format=FORMAT, target=fingerprint(settings)):
                self._leave(path, logging.INFO, "of another target or format, not used")
                return {}
            parts = _parts(content, kinds)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, ValidationError, RecursionError) as error:
            self._leave(path, logging.WARNING, f"cannot be used, starting anew ({type(error).__name__})")
            return {}
        self._unused.pop(path, None)
        return parts

    def _leave(self, path: Path, level: int, why: str) -> None:
        """Tell why a file is left aside, once for as long as it is the same."""
        if self._unused.get(path) != why:
            _log.log(level, "%s: %s", path.name, why)
        self._unused[path] = why

    def save(self, settings: TargetSettings, parts: Mapping[str, object]) -> None:
        """Keep `parts`. A failure is logged once until it works again."""
        path = self._path(settings)
        try:
            _replace(path, _document(settings, parts))
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                told = error.strerror if isinstance(error, OSError) else type(error).__name__
                _log.warning("%s: cannot be written (%s)", path.name, told)
            self._failing = True
        else:
            self._failing = False

    def _path(self, settings: TargetSettings) -> Path:
        name = f"{settings.collector}-{settings.account}"
        unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
        return self._directory / f"{_UNSAFE.sub('_', name)[:100]}-{unique}.json"


def _parts(content: bytes, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's parts, without objects of Python's in between: a large account's would leave megabytes behind."""
    wanted: dict[str, Any] = {name: (kind, ...) for name, kind in kinds.items()}
    document = create_model("Document", parts=(create_model("Parts", **wanted), ...))
    return dict(dict(document.model_validate_json(content))["parts"])


def fingerprint(settings: TargetSettings) -> str:
    """Return what differs when the settings mean another account or another place. No secret goes in.

    How often, and what of it, is requested makes no difference: a collector goes on from what is known.
    """
    place = [settings.collector, settings.account, _host(settings.url())]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]


def _host(url: str | Secret | None) -> str:
    """Return the URL; of one that is a secret only its host."""
    if not isinstance(url, Secret):
        return url or ""
    try:
        return url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    except (OSError, ValueError):
        return ""


def _document(settings: TargetSettings, parts: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the file in pieces: to write a large one at once would keep every scrape waiting."""
    yield f'{{"format": {FORMAT}, "target": "{fingerprint(settings)}", "parts": {{'.encode()
    for place, (name, part) in enumerate(parts.items()):
        yield f"{',' if place else ''}{json.dumps(name)}:".encode()
        yield from _record(part) if is_dataclass(part) else (_json(type(part), part),)
    yield b"}}"


def _record(part: Any) -> Iterator[bytes]:
    own: Any = type(part)
    kinds = _kinds(own)
    for place, (name, kind) in enumerate(kinds.items()):
        yield f'{", " if place else "{"}"{name}": '.encode()
        value = getattr(part, name)
        if isinstance(value, dict) and len(value) > PIECE:
            yield from _mapping(kind, value)
        else:
            yield _json(kind, value)
    yield b"}" if kinds else b"{}"


def _mapping(kind: Any, value: Mapping[Any, Any]) -> Iterator[bytes]:
    left = iter(value.items())
    separator = b"{"
    while some := dict(islice(left, PIECE)):
        yield separator + _json(kind, some)[1:-1]
        separator = b", "
    yield b"}"


def _json(kind: Any, value: object) -> bytes:
    return json.dumps(_adapter(kind).dump_python(value, mode="json")).encode()


@cache
def _kinds(kind: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with their types."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _replace(path: Path, content: Iterable[bytes]) -> None:
    _sweep(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sweep(path: Path) -> None:
    """Remove what writes of this file left that were killed: one after the other would fill the disk."""
    for left in path.parent.glob(f".{path.name}.*"):
        with contextlib.suppress(OSError):
            if abs(time.time() - left.stat().st_mtime) > LEFT:
                left.unlink()
