"""Text from outside, valid from where it enters and harmless where people read it; numbers and time spans in words."""

import codecs
import io
import json
import re
from collections.abc import Sequence
from typing import Final

LABEL_BYTES: Final = 512
"""Most bytes of a label value, in UTF-8. Prometheus rejects a whole scrape if one exceeds its limit."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_SUSPECT: Final = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE: Final = re.compile(_PAIR + rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2}|0000)|\\.", re.DOTALL)

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, changes of text direction, lone surrogates: shown as escapes, so that a reader sees them."""

_PIECE: Final = 1_000_000
_NAMED: Final = 5
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def valid(text: str) -> str:
    """Return the text with U+FFFD in place of lone surrogates and NUL, which databases and strict JSON reject."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", _REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def valid_json(body: bytes) -> bytes:
    """Return the same JSON in UTF-8, with U+FFFD in place of lone surrogates, NUL and undecodable bytes.

    Each string in it is `valid`. Invalid JSON stays invalid.
    """
    encoding = json.detect_encoding(body)
    if encoding != "utf-8" or not is_utf8(body):
        body = body.decode(encoding, "replace").encode()
    if not _SUSPECT.search(body):
        return body
    mended = io.BytesIO(body)  # in place, and not as text: a hostile body has millions of them
    # A backslash may itself be escaped, so escapes are read in order from the start.
    for found in _ESCAPE.finditer(body):
        if found[1]:
            mended.seek(found.start())
            mended.write(rb"\ufffd")
    return mended.getvalue()


def is_utf8(body: bytes) -> bool:
    """Return whether a body is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:  # in pieces: a large body decoded at once may take four times its size
        for start in range(0, len(body), _PIECE):
            decoder.decode(body[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def is_page(body: bytes) -> bool:
    """Return whether a body is a web page, or other markup."""
    return body.lstrip().startswith(b"<")


def escaped(text: str) -> str:
    r"""Return the text with control, bidi and invisible characters as \uXXXX, safe to show on a terminal."""
    if text.isprintable():
        return text
    shown = []
    for one in text:
        units = b"" if one.isprintable() else one.encode("utf-16-be", "surrogatepass")
        shown.append("".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) or one)
    return "".join(shown)


def visible(text: str) -> str:
    """Return text with invisible and direction-changing characters written as escapes."""
    return _INVISIBLE.sub(lambda found: escaped(found[0]), text.replace("\r\n", "\n"))


def cut_label(text: str, most: int = LABEL_BYTES) -> str:
    """Cut a label value to at most `most` bytes; a cut value ends in an ellipsis."""
    if len(text) * 4 <= most or len(encoded := text.encode("utf-8", "replace")) <= most:
        return text
    return encoded[: most - 3].decode("utf-8", "ignore") + "…"


def counted(count: int, what: str) -> str:
    """Return `1 alert`, `2 alerts`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def named(names: Sequence[str]) -> str:
    """Return the first names, and the number of further ones."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def span(seconds: float) -> str:
    """Return a time span in its two largest units: `3d 4h`, `2m 5s`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"
