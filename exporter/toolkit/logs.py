"""The log on standard error: one line per record, as logfmt or JSON, without terminal control characters."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Literal

from exporter.toolkit.text import escaped

_WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}
_BARE = re.compile(r"[^\s\"=\\]+")


def start(program: str, level: str, form: Literal["logfmt", "json"]) -> None:
    """Log to standard error from now on: `program` and the toolkit from `level` up, libraries from warnings up.

    urllib3 is silenced: it logs URLs, and a URL can hold a secret. So is psycopg: it repeats errors that we log.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if form == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for own in (program, "exporter.toolkit"):
        logging.getLogger(own).setLevel(level.upper())
    for library in ("urllib3", "psycopg"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.captureWarnings(capture=True)


class Json(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        return escaped(json.dumps(_fields(record), ensure_ascii=False))


class Logfmt(logging.Formatter):
    """`key=value` pairs; a value that is not one bare word is quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        pairs = []
        for key, value in _fields(record).items():
            is_bare = _BARE.fullmatch(value) and value.isprintable()
            pairs.append(f"{key}={value if is_bare else escaped(json.dumps(value, ensure_ascii=False))}")
        return " ".join(pairs)


class Conditions:
    """Logs a condition when it is new, when its message changes and when it is over, not each time."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._reported: dict[str, str] = {}

    def report(self, about: str, message: str, level: int = logging.WARNING) -> None:
        """Log the message unless it is unchanged; "": the condition is over."""
        before = self._reported.pop(about, "")
        if message:
            self._reported[about] = message
        if message != before:
            self._log.log(level if message else logging.INFO, "%s", message or f"Cleared: {before}")


def _fields(record: logging.LogRecord) -> dict[str, str]:
    at = datetime.fromtimestamp(record.created, UTC)
    fields = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _WORDS.get(record.levelno, "error"),
        "logger": record.name,
        "msg": record.getMessage(),
    }
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields
