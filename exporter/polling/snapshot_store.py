"""What is known of each target, kept over a restart as one JSON document per target, wherever documents are kept.

One that cannot be read, is of another target (its base URL changed) or of an older format is left aside: the next poll
brings everything anew.
"""

import hashlib
import json
import logging
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import islice
from typing import Any, Final, Protocol, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Secret

FORMAT: Final = 1
"""Of the document; the shape of the knowledge in it is the collector's."""
PIECE: Final = 500
"""Entries of a mapping that are written at a stretch: about a millisecond."""

_log = logging.getLogger(__name__)
_hints = cache(get_type_hints)
_adapter = cache(TypeAdapter)
"""Made once for each type: both are slow."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Place(Protocol):
    """Where documents are kept: a directory, or PostgreSQL."""

    every: float
    """Seconds between two writes of one document."""
    untold: float
    """Seconds; so long a time may have gone by untold when who writes is killed or cut off."""

    def stamp(self, name: str) -> Hashable:
        """Return what changes whenever `name` is written; None when it is not there. Does not block."""

    def read(self, name: str) -> bytes | None:
        """Return what was written as `name`, None when nothing was. OSError when it cannot be read."""

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Replace `name`, in one step. OSError when that cannot be done."""


class _Head(BaseModel):
    """What a document says of itself before its parts are of interest."""

    format: Any
    target: Any


class SnapshotStore:
    """One document per target. Neither `load` nor `save` raises: storage is a convenience."""

    def __init__(self, place: Place) -> None:
        self.every, self.untold = place.every, place.untold
        self._place = place
        self._failing = False
        self._unused: dict[str, str] = {}

    def stamp(self, settings: TargetSettings) -> Hashable:
        """Return what changes whenever the target is saved; None when nothing is saved of it."""
        return self._place.stamp(_name(settings))

    def load(self, settings: TargetSettings, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts that were saved for this target, each as its type in `kinds`; none when there are none."""
        name = _name(settings)
        try:
            content = self._place.read(name)
            if content is None:
                return {}
            if _Head.model_validate_json(content) != _Head(format=FORMAT, target=fingerprint(settings)):
                self._leave(name, logging.INFO, "of another target or format, not used")
                return {}
            # Without objects of Python's in between: a large account's would leave megabytes behind.
            wanted: dict[str, Any] = {part: (kind, ...) for part, kind in kinds.items()}
            document = create_model("Document", parts=(create_model("Parts", **wanted), ...))
            parts = dict(dict(document.model_validate_json(content))["parts"])
        except OSError as error:
            self._leave(name, logging.WARNING, f"cannot be read ({error.strerror})")
            return {}
        except (ValueError, LookupError, TypeError, ValidationError, RecursionError) as error:
            self._leave(name, logging.WARNING, f"cannot be used, starting anew ({type(error).__name__})")
            return {}
        self._unused.pop(name, None)
        return parts

    def _leave(self, name: str, level: int, why: str) -> None:
        """Tell why a document is left aside, once for as long as it is the same."""
        if self._unused.get(name) != why:
            _log.log(level, "Snapshot %s %s", name, why)
        self._unused[name] = why

    def save(self, settings: TargetSettings, parts: Mapping[str, object]) -> None:
        """Keep `parts`. A failure is logged once until it works again."""
        name = _name(settings)
        try:
            self._place.write(name, _document(settings, parts))
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                told = error.strerror if isinstance(error, OSError) else type(error).__name__
                _log.warning("Snapshot %s cannot be written (%s)", name, told)
            self._failing = True
        else:
            self._failing = False


def _name(settings: TargetSettings) -> str:
    name = f"{settings.collector}-{settings.account}"
    unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
    return f"{_UNSAFE.sub('_', name)[:100]}-{unique}"


def fingerprint(settings: TargetSettings) -> str:
    """Return what differs when the settings mean another account or another place. No secret goes in.

    How often, and what of it, is requested makes no difference: a collector goes on from what is known.
    """
    url = settings.url() or ""
    if isinstance(url, Secret):  # of one that is a secret only the host
        try:
            url = url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
        except (OSError, ValueError):
            url = ""
    place = [settings.collector, settings.account, url]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]


def _document(settings: TargetSettings, parts: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the document in pieces: to write a large one at once would keep every scrape waiting."""
    yield f'{{"format": {FORMAT}, "target": "{fingerprint(settings)}", "parts": {{'.encode()
    for place, (name, part) in enumerate(parts.items()):
        yield f"{',' if place else ''}{json.dumps(name)}:".encode()
        if not is_dataclass(part):
            yield _json(type(part), part)
            continue
        yield b"{"
        kinds = _hints(cast(Hashable, type(part)))
        for number, field in enumerate(fields(part)):
            yield f'{", " if number else ""}"{field.name}": '.encode()
            kind, value = kinds[field.name], getattr(part, field.name)
            if isinstance(value, dict) and len(value) > PIECE:
                left, separator = iter(value.items()), b"{"
                while some := dict(islice(left, PIECE)):
                    yield separator + _json(kind, some)[1:-1]
                    separator = b", "
                yield b"}"
            else:
                yield _json(kind, value)
        yield b"}"
    yield b"}}"


def _json(kind: Any, value: object) -> bytes:
    return json.dumps(_adapter(kind).dump_python(value, mode="json")).encode()
