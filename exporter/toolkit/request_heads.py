"""Heads that the parser accepts and that are rejected: another parser may find the end of the request elsewhere."""

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
