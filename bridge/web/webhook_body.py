"""The body of a webhook, as JSON: of bounded size, and with the mistakes of scripts and templates corrected. Pure."""

import json
import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from bridge.errors import Unreadable
from exporter.toolkit.text import is_utf8, valid_json
from exporter.toolkit.wsgi import LARGE

_MOST: Final = (("objects and lists", b"{[", 100_000), ("values", b"{[,", 1_000_000))
"""Limits of a body's content: values of a few bytes each take up to two hundred times their size in memory.

An Alertmanager alert has three objects and some thirty values in about two kilobytes, so this allows 33,000 alerts, or
64 MB.
"""
_STRING: Final = re.compile(rb'"[^"]*"?')
_ESCAPE: Final = re.compile(rb'(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\')
"""An escape in JSON, or a backslash that begins none."""
_MOST_ESCAPES: Final = 100_000
"""Most of them in a body that is corrected: a hostile one has millions."""


def readable(content: bytes) -> bytes:
    """Return JSON with every string in it valid. Raises Unreadable."""
    if len(content) > LARGE and not is_utf8(content):
        raise Unreadable("the body is not UTF-8")  # escaping it would take six times its size
    return valid_json(content)


def parsed(body: bytes) -> Any:
    """Parse JSON of a bounded number of parts. Raises Unreadable."""
    for what, marks, most in _MOST:
        if _holds_more(body, marks, most):
            raise Unreadable(f"the body has more than {most} {what}")
    with suppress(ValueError, RecursionError):  # json accepts some input that this parser does not, such as NaN
        return msgspec.json.decode(body)
    # Scripts and templates write backslashes and line breaks into strings as they are. NUL, no database stores.
    if body.count(b"\\") <= _MOST_ESCAPES:
        body = _ESCAPE.sub(lambda found: found[1] or rb"\\", body)
    try:
        return json.loads(body, strict=b"\0" in body)
    except json.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    except (ValueError, RecursionError):
        raise Unreadable("the body is not readable JSON") from None


def _holds_more(body: bytes, marks: bytes, most: int) -> bool:
    """Return whether a body contains more than `most` of these marks outside strings."""
    if sum(body.count(mark) for mark in marks) <= most:
        return False
    # Remove escaped quotes, which would seem to end strings, then the strings.
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, bytes({*range(256)} - {*marks, *b'"'}))
    if bare.count(b'"') > 4 * most:
        return True  # two quotes for each name and value
    # Adjacent quotes only end one string and begin the next.
    bare = bare.replace(b'""', b"")
    return len(bare) - sum(string.end() - string.start() for string in _STRING.finditer(bare)) > most
