"""Log lines, as logfmt and JSON."""

import json
import logging
import sys

import pytest

from exporter.toolkit import logs


def record(message, *arguments, level=logging.INFO, exc_info=None):
    made = logging.LogRecord("exporter.polling.poller", level, "poller.py", 1, message, arguments, exc_info)
    made.created = 1_750_000_000.5
    return made


@pytest.fixture
def quiet():
    """Put the process's logging back as it was."""
    loggers = [logging.getLogger(name) for name in ("", "exporter", "exporter.toolkit", "urllib3", "psycopg")]
    handlers, levels = loggers[0].handlers[:], [logger.level for logger in loggers]
    yield
    logging.captureWarnings(capture=False)
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("started", "started"),
        ("two words", '"two words"'),
        ('a "quote"', r'"a \"quote\""'),
        ("a=b", '"a=b"'),
        ("line\nbreak", r'"line\nbreak"'),
        ("", '""'),
        ("é", "é"),
    ],
)
def test_logfmt_quotes_values(message, written):
    """A record is one line, whatever its message."""
    line = logs.Logfmt().format(record(message))
    assert line == f"time=2025-06-15T15:06:40.500Z level=info logger=exporter.polling.poller msg={written}"


def test_json_is_one_object_per_line():
    """With the same members as logfmt."""
    line = logs.Json().format(record("%s\n%d", "two", 2, level=logging.WARNING))
    assert json.loads(line) == {
        "time": "2025-06-15T15:06:40.500Z",
        "level": "warn",
        "logger": "exporter.polling.poller",
        "msg": "two\n2",
    }
    assert "\n" not in line


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ud83d", "\U000e0041"])
def test_control_and_bidi_characters_are_escaped(sign):
    """They come from vendors' and senders' names; the line stays ASCII there, and valid JSON."""
    for formatter in (logs.Json(), logs.Logfmt()):
        line = formatter.format(record(f"a{sign}é"))
        assert line.isprintable()
        assert line.endswith(("é", 'é"', 'é"}'))
    found = json.loads(logs.Json().format(record(f"a{sign}é")))["msg"]
    assert found == f"a{sign}é"


@pytest.mark.parametrize("formatter", [logs.Json(), logs.Logfmt()])
def test_traceback_is_a_member_of_the_line(formatter):
    """The record stays one line."""
    try:
        {}["x"]
    except KeyError:
        line = formatter.format(record("broke", exc_info=sys.exc_info()))
    assert "KeyError" in line
    assert "\n" not in line


def test_libraries_log_warnings_and_urllib3_nothing(quiet, capsys):
    """Even at debug: urllib3 would log URLs, and a URL can be a secret; psycopg errors that are logged anyway."""
    logs.start("exporter", "debug", "logfmt")
    logging.getLogger("exporter.polling.poller").debug("ours")
    logging.getLogger("uvicorn.error").info("theirs")
    logging.getLogger("urllib3.connectionpool").error("/data?token=s3cr3t")
    logging.getLogger("psycopg").warning("error ignored terminating <psycopg.Pipeline>")
    error = capsys.readouterr().err
    assert "msg=ours" in error
    assert error.count("\n") == 1


def test_a_condition_is_logged_when_it_begins_and_ends(caplog):
    """By its subject, at its level; after it was over it is new again."""
    caplog.set_level("INFO")
    conditions = logs.Conditions(logging.getLogger("looking"))
    for about, message in (("a", ""), ("a", "x"), ("a", "x"), ("b", "x"), ("a", ""), ("a", ""), ("a", "y"), ("a", "z")):
        conditions.report(about, message)
    conditions.report("c", "worse", logging.ERROR)

    assert [(record.levelno, record.message) for record in caplog.records] == [
        *[(logging.WARNING, "x")] * 2,
        (logging.INFO, "Cleared: x"),
        (logging.WARNING, "y"),
        (logging.WARNING, "z"),
        (logging.ERROR, "worse"),
    ]
