import pytest

from exporter.collectors.lenient_json import amount_of, count_of, objects, percent_of, read_json, read_object, text_of
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import number_of


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *((b"{", "not JSON"), (b"\xff", "not JSON"), (b"[" * 100_000, "not JSON")),
        *((b" \r\n", "empty"), (b"\n<html>a login</html>", "a web page, not JSON")),
    ],
)
def test_invalid_json_is_malformed(body, message):
    """HTML, a truncated body and deep nesting are malformed, and the message quotes nothing of them."""
    with pytest.raises(Malformed, match=f"^body: {message}$"):
        read_json(body)


@pytest.mark.parametrize(
    "member",
    [
        *('"errors": ["x"]', '"error": "x"', '"errors": {"code": 5}'),
        *('"success": false', '"ok": "false"', '"status": "error"', '"statusCode": 503', '"code": "403"'),
    ],
)
def test_response_with_errors_is_malformed(member):
    """Even with a 200 and an empty list beside the errors. An empty error list is none."""
    with pytest.raises(Malformed, match=r"^body: reports errors$"):
        read_json(f'{{"data": [], {member}}}'.encode())
    assert read_object(b'{"errors": [], "error": null}') == {"errors": [], "error": None}
    assert read_object(b'{"success": true, "status": "ok", "code": 200}')["code"] == 200


def test_huge_number_does_not_affect_other_members():
    """Python does not parse it; it is beyond any count and time."""
    assert number_of(read_object(b'{"total": ' + b"9" * 5000 + b', "b": 1}')["total"]) is None


def test_null_in_a_list_is_skipped():
    """A null among rows is ignored, and a null instead of them is an empty list."""
    assert objects([None, {"a": 1}, None], "items") == [{"a": 1}]
    assert objects(None, "items") == []


def test_list_with_gaps_may_be_a_map():
    """As PHP writes it, with the indices as keys."""
    assert objects({"0": {"a": 1}, "3": {"a": 2}}, "items") == [{"a": 1}, {"a": 2}]


def test_list_instead_of_an_object_is_malformed():
    """A response that must be an object is not read from a list."""
    assert read_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(Malformed, match=r"^body: not an object$"):
        read_object(b"[]")


@pytest.mark.parametrize(
    ("rows", "message"),
    [({}, "^items: not a list$"), ({"a": {}}, "^items: not a list$"), ([{}, 5], r"^items\[1\]: not an")],
)
def test_malformed_list_is_named_with_its_row(rows, message):
    """The message names the member and the row."""
    with pytest.raises(Malformed, match=message):
        objects(rows, "items")


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), (5, "5"), (5.0, "5"), (True, ""), (None, ""), (1.5, ""), ([], "")]
)
def test_an_id_may_be_a_number(value, expected):
    """Vendors use both; anything but text or a whole number counts as missing."""
    assert text_of(value) == expected


@pytest.mark.parametrize(
    ("value", "percentage"),
    [(99.5, 99.5), ("99.5", 99.5), (100.0005, 100.0), (-0.0005, 0.0), (100.01, None), (-0.01, None), (True, None)],
)
def test_a_percentage_is_between_0_and_100(value, percentage):
    """But for rounding, which is corrected: an availability above 1 would look like an error of ours."""
    assert percent_of(value) == percentage


@pytest.mark.parametrize(
    ("value", "amount", "count"), [(3, 3.0, 3), ("2.0", 2.0, 2), (0, 0.0, 0), (2.5, 2.5, None), (-1, None, None)]
)
def test_fractional_counts_and_negative_numbers_count_as_missing(value, amount, count):
    """A count must be whole, and neither a count nor a duration is negative."""
    assert (amount_of(value), count_of(value)) == (amount, count)
