"""`vendorwatch-exporter init`: from nothing to a configuration that starts."""

import pytest

from exporter.__main__ import main
from exporter.config import known, load, starter_for
from tests.starting import uncommented, with_secrets


@pytest.mark.parametrize("collector", known())
def test_init_of_every_collector_passes_the_check(collector, tmp_path, capsys):
    """Once its secrets exist there is no error and no warning."""
    path = tmp_path / "exporter.yml"
    assert main(["init", collector, f"--config.file={path}"]) == 0
    assert main([f"--config.file={with_secrets(path)}", "--config.check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("collector", known())
def test_every_key_in_a_comment_exists(collector, tmp_path):
    """Uncommenting it is no error."""
    path = tmp_path / "exporter.yml"
    path.write_text(uncommented(starter_for([collector])), encoding="utf-8")
    assert len(load(with_secrets(path)).targets) == 1


def test_init_prints_secrets_and_next_steps(tmp_path, capsys):
    """Each secret with its path and its source; the check; the start."""
    path = tmp_path / "exporter.yml"
    assert main([f"--config.file={path}", "init", "vigilmon", "certificates"]) == 0
    wrote, put, secret, then, check, start = capsys.readouterr().out.splitlines()
    assert (wrote, put[:15], then[:10]) == (f"Wrote {path}.", "Put each secret", "Then check")
    assert secret.split(": ") == [f"  {tmp_path}/vigilmon.token", "Vigilmon → Settings → API tokens (vtk_…)"]
    assert check == f"{start} --config.check" == f"  vendorwatch-exporter --config.file={path} --config.check"


def test_an_existing_file_is_never_overwritten(tmp_path, capsys):
    """Init can print the configuration instead."""
    path = tmp_path / "exporter.yml"
    path.write_text("mine")
    assert main(["init", f"--config.file={path}"]) == 1
    assert capsys.readouterr().err == (
        f"vendorwatch-exporter: {path}: already exists: choose another --config.file, or --stdout\n"
    )
    assert path.read_text() == "mine"
    assert main(["init", "--stdout", f"--config.file={path}"]) == 0
    assert capsys.readouterr().out == starter_for(known())


def test_missing_folder_is_one_line(tmp_path, capsys):
    """No traceback."""
    assert main(["init", f"--config.file={tmp_path}/none/exporter.yml"]) == 1
    assert capsys.readouterr().err.endswith("No such file or directory\n")


def test_unknown_collector_is_named(capsys):
    """With the existing ones."""
    assert main(["init", "nagios", "--stdout"]) == 1
    assert "no such collector: nagios: must be one of bigpanda, certificates, " in capsys.readouterr().err
