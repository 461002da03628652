"""What the programs' pages share."""

import pytest
from markupsafe import Markup

from exporter.toolkit.page_style import finalize, styled
from tests.system.running import ROOT


@pytest.mark.parametrize("own", ["bridge/web/templates/console.css", "exporter/web/templates/style.css"])
def test_every_block_is_closed(own):
    """A browser closes one at the end by itself, and the next rule would belong to it."""
    style, _ = styled(ROOT / own)
    assert style.count("{") == style.count("}") > 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 日本語\tand\nlines", "plain, ünïcode, 日本語\tand\nlines"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\x1b[31m\x00\x7f\x9b", "\\u001b[31m\\u0000\\u007f\\u009b"),
        ("half \ud83d an emoji", "half \\ud83d an emoji"),
        ("one\r\ntwo\rthree", "one\ntwo\\u000dthree"),
        ("\u200bhidden\ufeff", "\\u200bhidden\\ufeff"),
        ("\N{FAMILY}\u200d\N{BOY}", "\N{FAMILY}\u200d\N{BOY}"),
    ],
)
def test_invisible_characters_are_escaped(text, shown):
    """Control characters, direction marks and lone surrogates; joiners of letters and emoji are kept."""
    assert finalize(text) == shown


def test_own_markup_is_not_escaped():
    """Only others' text is."""
    assert finalize(Markup("<b>\u202e</b>")) == "<b>\u202e</b>"
    assert finalize(7) == 7
