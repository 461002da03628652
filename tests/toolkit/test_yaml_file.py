"""Strict YAML: keys once, variables of the environment, every problem at once with its place."""

import os
from pathlib import Path

import pytest

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.yaml_file import load, load_yaml


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.yml"


def told(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_yaml(file)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: [1", "line 1, column 6: not YAML: expected ',' or ']', but got '<stream end>'"),
        (b"a: \xff\xfe", "not UTF-8 text"),
        (b"token: !!python/object:os.system x", "line 1, column 8: not YAML: could not determine a constructor"),
        (b"token: 2024-13-45", "not YAML: impossible date or number; put it in quotes"),
        (b"[" * 5000, "not YAML: nested too deeply"),
        (b"a: 1\n---\nb: 2", "line 2, column 1: not YAML: but found another document"),
    ],
)
def test_a_file_that_is_not_yaml_is_told_by_place_without_quoting_it(file, content, expected):
    """The file may hold secrets, so the message holds none of its text beyond the parser's word."""
    (problem,) = told(file, content)
    assert problem.startswith(expected)


def test_a_file_that_cannot_be_opened_says_why(tmp_path):
    """A missing file, and a folder in its place."""
    for path, reason in [(tmp_path / "none.yml", os.strerror(2)), (Path(tmp_path), os.strerror(21))]:
        with pytest.raises(ConfigError, match=f"^cannot read: {reason}$"):
            load_yaml(path)


def test_a_key_that_is_given_twice_is_told_with_its_lines(file):
    """In every mapping, however deep; what is an alias is told once; a number is another key than its text."""
    content = 'a: &x\n  b: 1\n  b: 2\nc:\n  - {d: 1, "d": 2}\na: 1\nf: *x\n1: x\n"1": y\n'
    assert told(file, content) == [
        "a.b: given twice, in line 2 and again in line 3",
        "c[0].d: given twice, in line 5 and again in line 5",
        "a: given twice, in line 1 and again in line 6",
    ]


def test_merging_a_mapping_is_no_repetition(file):
    """`<<` is there to be overridden."""
    file.write_text("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3\n")
    assert load_yaml(file)["d"] == {"b": 3, "c": 2}


def test_a_variable_of_the_environment_stands_in_any_string(file, monkeypatch):
    """Also within one, in lists and quotes, more than once; without the space around it; keys are left alone."""
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("HOST", " h${ONE}\n")
    file.write_text("${ONE}: ${ONE}\nb: ['http://${HOST}:${ONE}/']\nc: &x \"a${ONE}b\"\nd: *x\ne: $${ONE} $ONE ${1}\n")
    assert load_yaml(file) == {
        "${ONE}": "1",
        "b": ["http://h${ONE}:1/"],
        "c": "a1b",
        "d": "a1b",
        "e": "${ONE} $ONE ${1}",
    }


def test_a_variable_that_is_not_there_is_told_with_its_place(file, monkeypatch):
    """Empty is as good as missing."""
    monkeypatch.setenv("EMPTY", " ")
    assert told(file, "a: [x, '${NOT_THERE}']\nb: {c: '${EMPTY}-${NOT_THERE}'}") == [
        "a[1]: environment variable NOT_THERE is not set",
        "b.c: environment variable EMPTY is not set",
        "b.c: environment variable NOT_THERE is not set",
    ]


def test_what_is_no_text_is_told_with_its_place(file, monkeypatch):
    """An escape may stand for half a character, and the environment may hold any bytes."""
    monkeypatch.setenv("BYTES", "caf\udce9")
    problems = told(file, 'a: "\\ud83d"\nb: ["\\0"]\nc: ${BYTES}\nd: "\\u202e"\n')
    assert [problem.partition(": ")[0] for problem in problems] == ["a", "b[0]", "c"]


def test_problems_of_the_file_and_of_its_content_are_told_together(file, tmp_path):
    """A missing variable is not told once more as a value that does not fit."""
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


def test_an_empty_file_is_nothing(file):
    """Not an error here: the program says what it wants."""
    file.write_text("# nothing\n")
    assert load_yaml(file) is None
