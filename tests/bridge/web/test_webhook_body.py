import json
import tracemalloc

import pytest

from bridge.errors import Unreadable
from bridge.web import webhook_body


def parsed(content):
    return webhook_body.parsed(webhook_body.readable(content))


def test_parsed_accepts_every_json_encoding():
    """A UTF-8 byte order mark, and UTF-16."""
    assert parsed(json.dumps({"a": "ü"}).encode("utf-16")) == {"a": "ü"}
    assert parsed(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    with pytest.raises(Unreadable):
        parsed(b"{'a': 1}")


def test_text_is_made_valid_as_it_enters():
    """Invalid UTF-8, half an emoji and NUL become a replacement character; the rest is read."""
    body = b'{"a": "\\ud83d", "b": "\\u0000", "c": "\xff", "d": "\\ud83d\\ude00", "\\udc00": NaN}'
    found = parsed(body)
    assert (found["a"], found["b"], found["c"], found["d"]) == ("\ufffd", "\ufffd", "\ufffd", "\U0001f600")
    assert "\ufffd" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"DISK CRITICAL\n/var\t99 %\r\n\x1b[0m", "DISK CRITICAL\n/var\t99 %\r\n\x1b[0m"),
        (rb"C:\Windows \u00e9 \user \(D:\) \\srv\\\d \"q\"", 'C:\\Windows \xe9 \\user \\(D:\\) \\srv\\\\d "q"'),
    ],
)
def test_line_breaks_and_backslashes_need_no_escape(text, expected):
    """Scripts and templates put names, and the output of a check, into JSON as they are."""
    assert parsed(b'{"description": "' + text + b'"}') == {"description": expected}


def test_unescaped_nul_is_rejected():
    """No database stores it."""
    with pytest.raises(Unreadable, match="Invalid control character at character 7"):
        parsed(b'{"a": "\0"}')


def test_millions_of_unescaped_backslashes_are_rejected():
    """To correct them takes too much memory."""
    assert parsed(b'{"a": "' + rb"\d" * 100_000 + b'"}') == {"a": r"\d" * 100_000}
    with pytest.raises(Unreadable):
        parsed(b'{"a": "' + rb"\d" * 100_001 + b'"}')
    body = b'{"a": "' + rb"\d" * 4_000_000 + b'"}'
    tracemalloc.start()
    with pytest.raises(Unreadable, match=r"Invalid .escape at character 7"):
        parsed(body)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(body)


@pytest.mark.parametrize("piece", [b"1,", b"1.5,", b'"ab",', b'"[",', b"{},", b'{"a":"b"},'])
def test_body_with_too_many_values_is_rejected_unparsed(piece):
    """Numbers and texts of a few bytes need as much memory."""
    assert len(parsed(b'{"alerts": [' + piece * 99_000 + b"1]}")["alerts"]) == 99_001
    with pytest.raises(Unreadable, match="more than"):
        parsed(b'{"alerts": [' + piece * 1_000_000 + b"1]}")


def test_large_body_of_invalid_utf_8_is_rejected():
    """Replacement characters would multiply its size; a small one is read."""
    assert parsed(b'{"a": "\xff"}') == {"a": "\ufffd"}
    with pytest.raises(Unreadable, match="UTF-8"):
        parsed(b'{"a": "' + b"\xff" * 4_000_000 + b'"}')


def test_largest_body_of_alertmanager_is_read():
    """The limits leave room for 33,000 alerts with a dozen labels."""
    entry = {
        "status": "firing",
        "labels": {f"l{number}": "" for number in range(12)},
        "annotations": {},
        "startsAt": "2026-11-20T20:54:08.9Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "59b0d025d8e99da7",
    }
    assert len(parsed(json.dumps({"alerts": [entry] * 33_000}).encode())["alerts"]) == 33_000


@pytest.mark.parametrize("piece", [",", "[{", '\\"[', "\\[", '{\\"', "\\\\[", '"', "\\"])
def test_brackets_in_text_are_no_objects(piece):
    """However many and however escaped: an alert's text may be code."""
    text = piece * 1_000_001
    assert parsed(json.dumps({"[": text, text: ["{"]}).encode()) == {"[": text, text: ["{"]}


def test_text_ends_after_an_escaped_backslash():
    """Otherwise the text after it would seem to be none."""
    body = {"path": "C:\\", "text": "[" * 100_001}
    assert parsed(json.dumps(body).encode()) == body
