"""The flags that both programs have."""

import pytest

from exporter.toolkit import flags

DEFAULT = ("127.0.0.1", 9788)


@pytest.fixture
def parser():
    made = flags.Parser(prog="program")
    flags.declare(made, DEFAULT, "exporter.yml")
    return made


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9788", ("127.0.0.1", 9788)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9788", ("::1", 9788)),
        (":9788", ("::", 9788)),
        ("[::]:65535", ("::", 65535)),
    ],
)
def test_addresses_are_read_as_go_writes_them(parser, text, address):
    """HOST:PORT, a bracketed IPv6 address, or only a port."""
    assert parser.parse_args([f"--web.listen-address={text}"]).listen == [address]


@pytest.mark.parametrize("text", ["9788", "host:", "host:http", "host:65536", "::1:9788", "host:-1", ""])
def test_a_bad_address_ends_with_status_2_and_one_line(parser, capsys, text):
    """The line names the flag and the format."""
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"--web.listen-address={text}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"program: argument --web.listen-address: {text}: write it like 127.0.0.1:9100, [::1]:9100 or :9100\n"
    )


@pytest.mark.parametrize(
    "flag",
    [
        *("--nonsense", "--log.level=loud", "--log.format=xml", "--config.fil=x", "stray"),
        *(f"--web.listen-address={host}:0" for host in ("a..b", "a" * 64, "\udcff")),
    ],
)
def test_a_bad_flag_ends_with_status_2_and_one_line(parser, capsys, flag):
    """No usage text, no traceback; abbreviations are not accepted."""
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([flag])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n"), error.startswith("program: ")) == (2, 1, True)


def test_an_empty_path_is_no_directory(parser, capsys):
    """As of a variable that is not set: the default for the web config, as in Prometheus's exporters, else an error."""
    assert parser.parse_args(["--web.config.file="]).web_config is None
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--config.file="])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "program: argument --config.file: an empty path\n"


def test_default_flags(parser):
    """The configuration in the working directory, the default address, info as logfmt."""
    read = parser.parse_args([])
    assert (str(read.config_file), read.config_check, read.web_config) == ("exporter.yml", False, None)
    assert (read.lifecycle, read.log_level, read.log_format) == (False, "info", "logfmt")
    assert flags.addresses(read.listen, DEFAULT) == [DEFAULT]


def test_level_and_format_of_the_log_may_be_in_upper_case(parser):
    """As Prometheus accepts them."""
    read = parser.parse_args(["--log.level=DEBUG", "--log.format=JSON"])
    assert (read.log_level, read.log_format) == ("debug", "json")


def test_the_address_flag_can_be_repeated(parser):
    """Each address once, in order, instead of the default."""
    read = parser.parse_args(["--web.listen-address=a:1", "--web.listen-address=b:2", "--web.listen-address=a:1"])
    assert flags.addresses(read.listen, DEFAULT) == [("a", 1), ("b", 2)]


def test_version_has_prometheus_format(parser, capsys):
    """The program's name and the distribution's version, status 0."""
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"program, version {flags.release()}\n"
