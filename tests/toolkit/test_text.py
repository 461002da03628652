"""Text from outside: valid where it enters, harmless where people read it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.toolkit.text import counted, cut_label, escaped, is_utf8, named, span, valid, valid_json

ANY = st.text(st.characters(exclude_categories=[]))
"""Lone surrogates and NUL among them."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("é😀\x1b", "é😀\x1b"),
        ("a\0b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("\ud83dx\ude00", "\ufffdx\ufffd"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_text_is_valid_without_nul_and_lone_surrogates(text, expected):
    """Two halves of a pair are joined; all other text is unchanged."""
    assert valid(text) == expected


@given(ANY)
def test_valid_text_can_be_stored_by_anything(text):
    """It is UTF-8 without NUL, and unchanged from then on."""
    assert "\0" not in valid(text).encode().decode()
    assert valid(valid(text)) == valid(text)


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=8))
def test_each_string_of_valid_json_is_valid(value):
    """As if each string had been made valid by itself, member names included."""

    def made(one):
        if isinstance(one, dict):
            return {valid(name): made(inner) for name, inner in one.items()}
        return [made(inner) for inner in one] if isinstance(one, list) else valid(one)

    assert json.loads(valid_json(json.dumps(value).encode())) == made(value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\uD83D\uDE00\udc00\u0000\u0041"', rb'"\uD83D\uDE00\ufffd\ufffd\u0041"'),
        (b'"\xff"', '"\ufffd"'.encode()),
        (b'"\xed\xa0\xbd"', '"\ufffd\ufffd\ufffd"'.encode()),
        (b"<html>", b"<html>"),
        (b'"\\', b'"\\'),
        (b"", b""),
    ],
)
def test_json_keeps_escaped_backslashes(body, expected):
    """Such a backslash begins no escape; invalid UTF-8 is replaced."""
    assert valid_json(body) == expected


@given(ANY)
def test_escaped_text_has_no_control_characters(text):
    """Printable text is unchanged, the rest is escaped as in JSON."""
    assert escaped(text).isprintable()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == whole


def test_label_is_truncated_at_whole_characters():
    """At 512 bytes, as Prometheus counts them; shorter ones are unchanged."""
    assert cut_label("x" * 512) == "x" * 512
    assert cut_label("x" * 513) == "x" * 509 + "…"
    assert cut_label("é" * 300) == "é" * 254 + "…"
    assert len(cut_label("😀" * 300).encode()) <= 512
    assert cut_label("\ud83d" * 600).encode()
    assert cut_label("abcdef", 5) == "ab…"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (60, "1m 0s"),
        (3599, "59m 59s"),
        (3600, "1h 0m"),
        (86399, "23h 59m"),
        (90000, "1d 1h"),
    ],
)
def test_time_span_has_two_units(seconds, expected):
    """The two largest; a time in the future is 0."""
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", True),
        ("é€😀".encode(), True),
        pytest.param(b"x" * 999_999 + "€".encode(), True, id="a letter in two pieces"),
        (b"\xff", False),
        (b"caf\xc3", False),
        ("é".encode("latin-1") + b"x", False),
    ],
)
def test_body_is_utf8_to_its_last_byte(body, expected):
    """One that ends within a letter is not, nor one in another encoding."""
    assert is_utf8(body) is expected


def test_one_of_a_thing_is_singular():
    """None and several are plural."""
    assert [counted(count, "alert") for count in (0, 1, 2)] == ["0 alerts", "1 alert", "2 alerts"]


def test_long_list_of_names_is_shortened():
    """Five names, and the number of others."""
    assert named(["a", "b"]) == "a, b"
    assert named(list("abcdefg")) == "a, b, c, d, e and 2 more"
