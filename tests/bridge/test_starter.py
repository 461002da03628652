"""`vendorwatch-bridge init`: from nothing to a configuration that starts."""

import pytest

from bridge.__main__ import main
from bridge.config import load, starter_for
from bridge.receivers.contract import senders
from tests.starting import uncommented, with_secrets


@pytest.mark.parametrize("receiver", senders())
def test_init_of_every_sender_passes_the_check(receiver, tmp_path, capsys):
    """Once its secrets exist."""
    path = tmp_path / "bridge.yml"
    assert main(["init", receiver, f"--config.file={path}"]) == 0
    assert f"  {tmp_path}/bigpanda.token: the organisation's token\n" in capsys.readouterr().out
    assert main([f"--config.file={with_secrets(path)}", "--config.check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("receiver", senders())
def test_every_key_in_a_comment_exists(receiver, tmp_path):
    """Uncommenting it is no error."""
    path = tmp_path / "bridge.yml"
    path.write_text(uncommented(starter_for([receiver])), encoding="utf-8")
    assert len(load(with_secrets(path)).receivers) == 1


def test_init_without_names_has_all_senders(capsys):
    """Printed with --stdout, without writing a file."""
    assert main(["init", "--stdout"]) == 0
    assert capsys.readouterr().out == starter_for(senders())


def test_unknown_sender_is_named(capsys):
    """With the existing ones."""
    assert main(["init", "nagios", "--stdout"]) == 1
    assert "vendorwatch-bridge: no such receiver: nagios: must be one of alertmanager, " in capsys.readouterr().err
