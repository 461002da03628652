"""The settings that every receiver has in bridge.yml."""

import pytest
from pydantic import ValidationError

from bridge.receivers.alertmanager import Reconcile
from bridge.receivers.bigpanda import Silences
from exporter.toolkit.config_types import problems


@pytest.mark.parametrize(
    ("section", "rest"), [(Reconcile, {"urls": ["http://am:9093"]}), (Silences, {"alertmanager": "http://am:9093"})]
)
def test_invalid_ca_file_is_an_error(section, rest, tmp_path):
    """A missing file, and one without certificates, for every Alertmanager connection."""
    gone, empty = tmp_path / "none.pem", tmp_path / "empty.pem"
    empty.write_text("")
    for file, why in [
        (gone, f"cannot read {gone}: No such file or directory"),
        (empty, "no certificate authority in PEM form"),
    ]:
        with pytest.raises(ValidationError) as caught:
            section.model_validate({**rest, "ca_file": str(file)})
        assert problems(caught.value) == [f"ca_file: {why}"]
