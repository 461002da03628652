"""The style sheets of the programs' pages."""

import pytest

from exporter.toolkit.page_style import styled
from tests.system.running import ROOT


@pytest.mark.parametrize("own", ["bridge/web/templates/console.css", "exporter/web/templates/style.css"])
def test_every_block_is_closed(own):
    """A browser closes one at the end by itself, and the next rule would belong to it."""
    style, _ = styled(ROOT / own)
    assert style.count("{") == style.count("}") > 0
