"""Heads that the parser accepts and that are not taken as they are.

The end of the request would be ambiguous, or its body be taken for that of another protocol.
"""

import re

from exporter.toolkit.wsgi import Headers

_HOST = re.compile(rb"(\[[A-Za-z0-9._~%:-]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(:\d{0,5})?")
_LENGTH = re.compile(rb"\d{1,18}")


def problem_of(version: str, headers: Headers) -> str:
    """Return why a head that the parser accepts must be rejected; "" if it need not be."""
    if version not in {"1.0", "1.1"}:
        return "not HTTP/1.1"
    hosts, lengths, codings = (
        [value for name, value in headers if name == wanted]
        for wanted in (b"host", b"content-length", b"transfer-encoding")
    )
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "exactly one Host header is required"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "invalid Host header"
    if codings and (lengths or version == "1.0" or len(codings) > 1 or codings[0].lower() != b"chunked"):
        return "Transfer-Encoding must be chunked, without a Content-Length"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        return "invalid Content-Length header"
    return ""


def without_offer(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """Return a head without its offer of another protocol: the parser leaves the request's body to that."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
