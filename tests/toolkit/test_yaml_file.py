"""Strict YAML: keys once, variables of the environment, every problem at once with its place."""

import os
from pathlib import Path

import pytest

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.yaml_file import load, load_yaml


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.yml"


def problems_of(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_yaml(file)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: [1", "line 1, column 6: not YAML: expected ',' or ']', but got '<stream end>'"),
        (b"a: b\nc: d\xe9", "line 2: not UTF-8 text"),
        (b"token: !!python/object:os.system x", "line 1, column 8: not YAML: could not determine a constructor"),
        (b"token: 2024-13-45", "not YAML: impossible date or number; put it in quotes"),
        (b"[" * 1000, "not YAML: nested too deeply"),
        (b"a: 1\n---\nb: 2", "line 2, column 1: not YAML: but found another document"),
    ],
)
def test_yaml_syntax_error_has_a_place_and_quotes_nothing(file, content, expected):
    """The file may have secrets, so the error has only the parser's message."""
    (problem,) = problems_of(file, content)
    assert problem.startswith(expected)


def test_unreadable_file_is_an_error_with_the_reason(tmp_path):
    """A missing file, and a folder in its place."""
    for path, reason in [(tmp_path / "none.yml", os.strerror(2)), (Path(tmp_path), os.strerror(21))]:
        with pytest.raises(ConfigError, match=f"^cannot read: {reason}$"):
            load_yaml(path)


def test_duplicate_key_is_an_error_with_its_lines(file):
    """At any depth; an alias is reported once; a number differs from its text."""
    content = 'a: &x\n  b: 1\n  b: 2\nc:\n  - {d: 1, "d": 2}\na: 1\nf: *x\n1: x\n"1": y\n'
    assert problems_of(file, content) == [
        "a.b: given twice, in line 2 and again in line 3",
        "c[0].d: given twice, in line 5 and again in line 5",
        "a: given twice, in line 1 and again in line 6",
    ]


def test_merge_key_is_no_duplicate(file):
    """`<<` is meant to be overridden."""
    file.write_text("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3\n")
    assert load_yaml(file)["d"] == {"b": 3, "c": 2}


def test_environment_variables_are_expanded_in_any_string(file, monkeypatch):
    """In parts of strings, lists and quotes, several times, without surrounding space; not in keys."""
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("HOST", " h${ONE}\n")
    file.write_text("${ONE}: ${ONE}\nb: ['http://${HOST}:${ONE}/']\nc: &x \"a${ONE}b\"\nd: *x\ne: $${ONE} $ONE $${1}\n")
    assert load_yaml(file) == {
        "${ONE}": "1",
        "b": ["http://h${ONE}:1/"],
        "c": "a1b",
        "d": "a1b",
        "e": "${ONE} $ONE ${1}",
    }


def test_missing_variable_is_an_error_with_its_place(file, monkeypatch):
    """An empty one too."""
    monkeypatch.setenv("EMPTY", " ")
    assert problems_of(file, "a: [x, '${NOT_THERE}']\nb: {c: '${EMPTY}-${NOT_THERE}'}") == [
        "a[1]: environment variable NOT_THERE is not set",
        "b.c: environment variable EMPTY is empty",
        "b.c: environment variable NOT_THERE is not set",
    ]


@pytest.mark.parametrize("reference", ["${A:-x}", "${A", "${}", "${ A }", "${1}"])
def test_malformed_reference_is_an_error_with_its_place(file, monkeypatch, reference):
    """It would be sent literally. The value may be a secret, so it is not repeated."""
    monkeypatch.setenv("A", "x")
    assert problems_of(file, f"a: {{b: 'secret{reference}'}}") == [
        "a.b: not a variable: write ${NAME}, or $${ for ${",
    ]


def test_invalid_text_is_an_error_with_its_place(file, monkeypatch):
    """From an escape for half a character, or from the environment."""
    monkeypatch.setenv("BYTES", "caf\udce9")
    problems = problems_of(file, 'a: "\\ud83d"\nb: ["\\0"]\nc: ${BYTES}\nd: "\\u202e"\n')
    assert [problem.partition(": ")[0] for problem in problems] == ["a", "b[0]", "c"]


def test_problems_of_yaml_and_settings_are_reported_together(file, tmp_path):
    """A missing variable is not reported again as an invalid value."""
    file.write_text("a: '${NOT_THERE}'\nb: 1\nb: 2\n")

    def check(content, folder):
        assert (content, folder) == ({"a": "${NOT_THERE}", "b": 2}, tmp_path)
        raise ConfigError(["a: not a duration", "c: missing"])

    with pytest.raises(ConfigError) as caught:
        load(file, check)
    assert caught.value.problems == (
        "a: environment variable NOT_THERE is not set",
        "b: given twice, in line 2 and again in line 3",
        "c: missing",
    )


def test_empty_file_is_none(file):
    """The program decides whether that is an error."""
    file.write_text("# nothing\n")
    assert load_yaml(file) is None
