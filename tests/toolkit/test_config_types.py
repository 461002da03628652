"""Durations, sizes, secrets, and how problems are problems_of."""

import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from pydantic import ByteSize, Field, ValidationError

from exporter.toolkit.config_types import Duration, FilePath, Secret, Section, problems


class Example(Section):
    token: Secret
    wait: Duration = 30.0
    body: ByteSize = 64
    place: FilePath | None = None
    inner: "Inner | None" = None


class Inner(Section):
    headers: list[str] = Field(default_factory=list)
    names: tuple[str, ...] = Field(("one",), min_length=1)
    password: Secret | None = None


def problems_of(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Example.model_validate(values)
    return problems(caught.value, frozenset({"token"}))


@pytest.mark.parametrize(
    ("written", "expected"),
    [("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("30d", 2_592_000.0), ("0s", 0.0), (0, 0.0), ("0", 0.0),
     ("1.5s", 1.5), ("200ms", 0.2), ("2w", 1_209_600.0), ("1y2w", 32_745_600.0)],
)  # fmt: skip
def test_durations_are_read_in_seconds(written, expected):
    """Every unit, alone and combined."""
    assert Example(token="t", wait=written).wait == expected


@pytest.mark.parametrize("written", ["", "5 minutes", "30", 30, None, "m", "-5s", "s5", True, False, "00"])
def test_invalid_duration_is_an_error_with_the_format(written):
    """A bare number has no unit, so it is an error rather than a guess."""
    assert problems_of(token="t", wait=written) == ["wait: not a duration: write it like 30s, 5m or 1h30m"]


@pytest.mark.parametrize("written", ["36526d", "9" * 400 + "s"])
def test_a_duration_that_no_clock_can_measure_is_an_error(written):
    """It would pass the check and fail every request."""
    assert Example(token="t", wait="36525d").wait == 36_525 * 86_400.0
    assert problems_of(token="t", wait=written) == ["wait: longer than a hundred years"]
    assert problems_of(token="t", wait=1e20) == ["wait: not a duration: write it like 30s, 5m or 1h30m"]


@pytest.mark.parametrize(("written", "expected"), [("64MB", 64_000_000), ("1 kB", 1000), (12, 12), ("3GB", 3 * 10**9)])
def test_sizes_are_read_in_bytes(written, expected):
    """Decimal units, and a bare number of bytes."""
    assert Example(token="t", body=written).body == expected


def test_all_problems_are_reported_at_once_with_their_places():
    """One line each, never with the value."""
    found = problems_of(wait="soon", body="big", colour="red", inner={"headers": [1], "password": 5})

    assert found == [
        "token: missing: give token or token_file",
        "wait: not a duration: write it like 30s, 5m or 1h30m",
        "body: not a size: write it like 64MB",
        "inner.headers[0]: must be a string: put a number, a date, yes or no in quotes",
        "inner.password: must be a string",
        "colour: unknown key",
    ]


def test_an_empty_list_is_an_error_where_one_entry_is_needed():
    """In the words of YAML, not of Python."""
    assert problems_of(token="t", inner={"names": []}) == ["inner.names: must have at least one entry"]


def test_secret_is_stripped(tmp_path):
    """An editor may add a newline at the end and a byte order mark at the beginning."""
    (tmp_path / "token").write_text("\ufeff hidden \n")
    assert Example(token=" hidden\n").token.read() == "hidden"
    assert Example.model_validate({"token_file": str(tmp_path / "token")}).token.read() == "hidden"


def test_a_secret_without_its_value_is_an_error():
    """Whoever wrote `password:` wanted one; without the key there is none."""
    for written in ({"password": None}, {"password_file": None}):
        assert problems_of(token="t", inner=written) == ["inner.password: is empty"]
    assert Example.model_validate({"token": "t", "inner": {}}).inner == Inner()


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path, monkeypatch):
    """As in Prometheus, whatever the working directory; an absolute path is kept."""
    (tmp_path / "token").write_text("hidden")
    monkeypatch.chdir("/")
    for written in ("token", str(tmp_path / "token")):
        found = Example.model_validate({"token_file": written, "place": "x"}, context={"folder": tmp_path})
        assert (found.token.read(), found.place) == ("hidden", tmp_path / "x")


def test_changed_secret_file_is_re_read(tmp_path, caplog):
    """Rotation needs no restart; a file missing for a moment is only logged."""
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    token = Example.model_validate({"token_file": str(file)}).token
    assert token.read() == "first"

    file.write_text("second one\n", encoding="utf-8")
    assert token.read() == "second one"

    file.unlink()
    assert [token.read(), token.read()] == ["second one"] * 2

    file.write_text("  \n", encoding="utf-8")
    assert [token.read(), token.read()] == ["second one"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"Keeping the previous value of a secret: {why}"
        for why in (f"cannot read {file}: No such file or directory", f"{file} is empty")
    ]


def test_secret_file_that_loses_its_permission_is_logged(tmp_path, caplog, monkeypatch):
    """Its content is unchanged, but the next start or reload would fail."""
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    token = Example.model_validate({"token_file": str(file)}).token
    time.sleep(0.02)  # the clock of files ticks every few milliseconds
    file.chmod(0)
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert token.read() == "first"
    expected = f"Keeping the previous value of a secret: cannot read {file}: Permission denied"
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_unreadable_secret_file_is_named(tmp_path):
    """Missing, empty, or given beside a literal."""
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("\n", encoding="utf-8")

    assert problems_of(token_file=str(missing)) == [f"token: cannot read {missing}: No such file or directory"]
    assert problems_of(token_file=str(empty)) == [f"token: {empty} is empty"]
    assert problems_of(token="x", token_file=str(empty)) == ["file: give token or token_file, not both"]


def test_secret_is_never_shown(tmp_path):
    """Neither in repr nor str nor a format, nor in the model that has it."""
    settings = Example(token="hidden")

    assert "hidden" not in f"{settings!r} {settings} {settings.token} {settings.token!r} {settings.model_dump()}"


def test_secrets_are_compared_by_their_source(tmp_path):
    """A reload compares settings; a rotated file is not a changed setting."""
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    before, after = Secret(file=file), Secret(file=file)
    before.read()
    file.write_text("second", encoding="utf-8")
    after.read()

    assert before == after
    assert hash(before) == hash(after)
    assert Secret("a") != Secret("b")
