"""The state of each target, kept across restarts as one JSON document per target in a directory or a database.

A document that cannot be read, belongs to another target (its base URL changed) or has an older format is ignored: the
next poll fetches everything again.
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
"""Version of the document's format; the knowledge inside is shaped by the collector."""
PIECE: Final = 500
"""Entries of a mapping written at once: about a millisecond."""

_log = logging.getLogger(__name__)
_hints = cache(get_type_hints)
_adapter = cache(TypeAdapter)
"""Created once for each type: both are slow."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Place(Protocol):
    """Storage of documents: a directory, or PostgreSQL."""

    every: float
    """Seconds between two writes of one document."""
    loss_window: float
    """Seconds of requests that may be missing from a document when its writer is killed or cut off."""

    def stamp(self, name: str) -> Hashable:
        """Return a value that changes whenever `name` is written; None if it does not exist. Does not block."""

    def read(self, name: str) -> bytes | None:
        """Return the content of `name`, None if it does not exist. Raises OSError if it cannot be read."""

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Replace `name` atomically. Raises OSError if that fails."""


class _Head(BaseModel):
    """The head of a document, read before its parts."""

    format: Any
    target: Any


class SnapshotStore:
    """One document per target. Neither `load` nor `save` raises: storage is a convenience."""

    def __init__(self, place: Place) -> None:
        self.every, self.loss_window = place.every, place.loss_window
        self._place = place
        self._failing = False
        self._unused: dict[str, str] = {}

    def stamp(self, settings: TargetSettings) -> Hashable:
        """Return a value that changes whenever the target is saved; None if nothing is saved."""
        return self._place.stamp(_name(settings))

    def load(self, settings: TargetSettings, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts saved for this target, each as its type in `kinds`; {} if there are none."""
        name = _name(settings)
        try:
            content = self._place.read(name)
            if content is None:
                return {}
            if _Head.model_validate_json(content) != _Head(format=FORMAT, target=fingerprint(settings)):
                self._leave(name, logging.INFO, "not used: it is of another target or format")
                return {}
            # Parse straight from bytes: intermediate Python objects of a large account would leave megabytes behind.
            wanted: dict[str, Any] = {part: (kind, ...) for part, kind in kinds.items()}
            document = create_model("Document", parts=(create_model("Parts", **wanted), ...))
            parts = dict(dict(document.model_validate_json(content))["parts"])
        except OSError as error:
            self._leave(name, logging.WARNING, f"cannot be read ({error.strerror})")
            return {}
        except (ValueError, LookupError, TypeError, ValidationError, RecursionError) as error:
            self._leave(name, logging.WARNING, f"cannot be used, starting without it ({type(error).__name__})")
            return {}
        self._unused.pop(name, None)
        return parts

    def _leave(self, name: str, level: int, why: str) -> None:
        """Log why a document is ignored, once for as long as the reason is the same."""
        if self._unused.get(name) != why:
            _log.log(level, "Snapshot %s %s", name, why)
        self._unused[name] = why

    def save(self, settings: TargetSettings, parts: Mapping[str, object]) -> None:
        """Save `parts`. A failure is logged once until a save succeeds again."""
        name = _name(settings)
        try:
            self._place.write(name, _document(settings, parts))
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                _log.warning("Snapshot %s cannot be written (%s)", name, reason)
            self._failing = True
        else:
            self._failing = False


def _name(settings: TargetSettings) -> str:
    name = f"{settings.collector}-{settings.account}"
    unique = hashlib.sha256(f"{settings.collector}\0{settings.account}".encode()).hexdigest()[:8]
    return f"{_UNSAFE.sub('_', name)[:100]}-{unique}"


def fingerprint(settings: TargetSettings) -> str:
    """Return a value that identifies the account and place of these settings. It contains no secret.

    Polling settings are left out: a collector continues from its earlier knowledge when they change.
    """
    url = settings.url() or ""
    if isinstance(url, Secret):  # only the host of a URL that is secret
        try:
            url = url.read().partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
        except (OSError, ValueError):
            url = ""
    place = [settings.collector, settings.account, url]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]


def _document(settings: TargetSettings, parts: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the document in pieces: serialising a large one at once would block every scrape."""
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
