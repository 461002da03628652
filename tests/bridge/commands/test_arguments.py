"""The command line: what is understood, and what ends with status 2 and one line."""

import pytest

from bridge.commands import arguments


@pytest.mark.parametrize("place", [0, 1, 2])
def test_flags_may_be_anywhere(place):
    """Before the command, between its words, after it."""
    words = ["dead-letters", "list"]
    words[place:place] = ["--config.file=x.yml", "--log.level=warn"]
    read = arguments.parse(words)
    assert (str(read.config_file), read.log_level, read.format) == ("x.yml", "warn", "text")
    assert read.run.__module__ == "bridge.commands.dead_letters"


@pytest.mark.parametrize("words", [[], ["serve"], ["--web.enable-lifecycle"], ["serve", "--web.enable-lifecycle"]])
def test_serve_is_the_default(words):
    """With or without its name; the other flags keep their defaults."""
    read = arguments.parse(words)
    assert read.run is None
    assert (str(read.config_file), read.listen, read.lifecycle) == (
        "bridge.yml",
        None,
        bool({"--web.enable-lifecycle"} & {*words}),
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--nonsense"],
        ["nonsense"],
        ["serve", "now"],
        ["alerts"],
        ["alerts", "show"],
        ["alerts", "close"],
        ["alerts", "resend"],
        ["alerts", "resend", "--all", "prod:a"],
        ["dead-letters"],
        ["dead-letters", "show"],
        ["dead-letters", "list", "3"],
        ["dead-letters", "requeue"],
        ["dead-letters", "requeue", "--all", "3"],
        ["dead-letters", "discard", "x"],
        ["dead-letters", "requeue", "9" * 19],
        ["dead-letters", "show", "²"],
        ["dead-letters", "list", "--format=xml"],
        ["quarantine", "replay"],
        ["quarantine", "discard", "--all"],
        ["incidents", "resolve"],
        ["incidents", "comment", "i-1"],
        ["send"],
        ["send", "--url=x", "--token-file=y", "--status=red", "--host=h", "--check=c"],
        ["send", "--url=x", "--token-file=y", "--status=ok", "--host=h", "--check=c", "--tag=nothing"],
        ["--web.listen-address=nowhere"],
        ["--log.level=loud"],
    ],
)
def test_bad_usage_ends_with_2(capsys, words):
    """One line has the reason."""
    with pytest.raises(SystemExit) as ended:
        arguments.parse(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["--version"], ["serve", "--version"], ["dead-letters", "list", "--version"]])
def test_version_is_printed(capsys, words):
    """With status 0."""
    with pytest.raises(SystemExit) as ended:
        arguments.parse(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("vendorwatch-bridge, version ")
