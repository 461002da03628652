import pytest

from exporter.collectors.lenient_json import (
    amount_of,
    count_of,
    number_of,
    objects,
    read_json,
    read_object,
    text_of,
    time_of,
)
from exporter.errors import Malformed


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_malformed(body):
    """A page of HTML, a cut answer and a bomb of brackets all end alike, and the message holds nothing of them."""
    with pytest.raises(Malformed, match=r"^body: not JSON$"):
        read_json(body)


@pytest.mark.parametrize("member", ['"errors": ["x"]', '"error": "x"', '"errors": {"code": 5}'])
def test_an_answer_that_tells_of_errors_is_malformed(member):
    """With a 200, and an empty list beside them: nothing of it is believed. No errors are none."""
    with pytest.raises(Malformed, match=r"^body: reports errors$"):
        read_json(f'{{"data": [], {member}}}'.encode())
    assert read_object(b'{"errors": [], "error": null}') == {"errors": [], "error": None}


def test_a_number_of_thousands_of_digits_spoils_nothing_beside_it():
    """Python reads none; it is beyond any count and time."""
    assert number_of(read_object(b'{"total": ' + b"9" * 5000 + b', "b": 1}')["total"]) is None


def test_null_in_a_list_is_nothing():
    """As the list's writer means it."""
    assert objects([None, {"a": 1}, None], "items") == [{"a": 1}]


def test_an_answer_that_must_be_an_object_is_one():
    """A list where an object is promised is malformed."""
    assert read_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(Malformed, match=r"^body: not an object$"):
        read_object(b"[]")


@pytest.mark.parametrize(
    ("rows", "message"), [({}, "^items: not a list$"), (None, "^items: not a list$"), ([{}, 5], r"^items\[1\]: not an")]
)
def test_the_message_names_what_is_no_list_of_objects(rows, message):
    """Whoever reads the log knows which member, and which row."""
    with pytest.raises(Malformed, match=message):
        objects(rows, "items")


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), (5, "5"), (True, ""), (None, ""), (1.5, ""), ([], "")])
def test_an_id_may_be_a_number(value, expected):
    """Vendors write ids both ways; what is neither text nor a whole number is not told."""
    assert text_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        ("2", 2.0),
        (-3, -3.0),
        (True, None),
        ("x", None),
        (None, None),
        (10**400, None),
        (float("nan"), None),
    ],
)
def test_a_number_may_be_text(value, expected):
    """Databases hand numbers out as text; what is none, or beyond any count and time, is not told."""
    assert number_of(value) == expected


@pytest.mark.parametrize(
    ("value", "amount", "count"), [(3, 3.0, 3), ("2.0", 2.0, 2), (0, 0.0, 0), (2.5, 2.5, None), (-1, None, None)]
)
def test_a_count_is_whole_and_neither_it_nor_a_duration_is_negative(value, amount, count):
    """What is, is not told."""
    assert (amount_of(value), count_of(value)) == (amount, count)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T00:00:00", 1767225600.0),
        ("2026-01-01T01:00:00+01:00", 1767225600.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 1767225600.0),
        ("Thursday, 99", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        (1767225600, 1767225600.0),
        ("1767225600", 1767225600.0),
        (1767225600000, 1767225600.0),
        (1e300, None),
        (-1, None),
        ("yesterday", None),
        (5, None),
    ],
)
def test_a_moment_without_a_zone_is_utc(value, expected):
    """What cannot be read is not told."""
    assert time_of(value) == expected
