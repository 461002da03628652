"""Text of alerts."""

import pytest

from bridge.domain.alert import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("\xe9t\xe9", "\xe9t\xe9"),
        ("a\0b", "a\ufffdb"),
        ("\xe9\0", "\xe9\ufffd"),
        ("a\ud800b", "a?b"),
    ],
)
def test_text_can_be_stored_and_sent(text, cleaned):
    """No database takes NUL, and no strict JSON a lone surrogate."""
    assert clean(text) == cleaned
