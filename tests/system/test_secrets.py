"""No secret of either configuration in any line, page, metric, error or file, through all faults."""

import base64
import re
import signal
import time
from pathlib import Path

import bcrypt
import pytest
import requests
import trustme
import yaml

import bridge.__main__
import exporter.__main__
from tests.system.bridging import Station, alert, webhook
from tests.system.running import PATIENCE, Program, free_port, python, until

pytestmark = pytest.mark.system

MARK = "s3cr3t"
PAIR = base64.b64encode(f"user:{MARK}".encode()).decode()[:12]
FAULTS = (
    {"kind": "hang"},
    {"kind": "status", "code": 400},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 503},
    {"kind": "reset"},
    {"kind": "lose_answer"},
    {"kind": "slow", "seconds": 3},
    {"kind": "truncate"},
    {"kind": "garbage"},
    {"kind": "redirect", "to": "http://127.0.0.1:1/elsewhere"},
    {"kind": "refuse_credentials"},
)


def mark(name: str) -> str:
    """Return a secret that cannot be overlooked."""
    return f"{MARK}-{name}"


def leaks(texts: dict[str, str], *more: str) -> list[str]:
    """Return where a secret shows, in clear or as basic auth carries it, or `more` that is secret, with the line."""
    shown = re.compile("|".join(map(re.escape, (MARK, PAIR, *more))))
    return [f"{place}: {line}" for place, text in texts.items() for line in text.split("\n") if shown.search(line)]


def files(folder: Path, *configured: str) -> dict[str, str]:
    """Return what the programs wrote: every file but those that hold the configuration."""
    written = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".secret", *configured}]
    return {str(path): path.read_bytes().decode("utf-8", "replace") for path in written}


def pages(program: Program, *paths: str) -> dict[str, str]:
    """Return whole answers, headers too, for someone without credentials and with wrong ones."""
    found = {}
    for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere", "/-/reload", *paths):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Accept": "application/openmetrics-text"}):
            answer = requests.get(program.url + path, headers=headers, timeout=PATIENCE)
            found[f"{path} {headers}"] = f"{answer.headers}\n{answer.text}"
    return found


def secret_file(folder: Path, name: str) -> str:
    path = folder / f"{name}.secret"
    path.write_text(mark(name))
    return str(path)


def bridge_settings(folder: Path, base: str, database: str) -> dict:
    """Return a bridge.yml with a secret wherever one may stand."""
    return {
        "database": database,
        "bigpanda": {
            "url": f"{base}/bigpanda/data/v2/alerts?access_token={mark('query')}",
            "app_key": "app",
            "token_file": secret_file(folder, "org-token"),
            "timeout": "1s",
        },
        "receivers": [
            {
                "receiver": "alertmanager",
                "source": "prod",
                "bearer_token": "${VENDORWATCH_TEST_BEARER}",
                "username": "user",
                "password_file": secret_file(folder, "am-password"),
                "watchdog": {"max_silence": "1s"},
                "reconcile": {
                    "urls": [f"{base}/nowhere", "http://127.0.0.1:1"],
                    "interval": "1s",
                    "username": "user",
                    "password": mark("reconcile"),
                },
            },
            {"receiver": "vigilmon", "source": "uptime", "secret": mark("vigilmon")},
            {"receiver": "thousandeyes", "source": "netops", "username": "user", "password": mark("te")},
            {
                "receiver": "bigpanda",
                "source": "panda",
                "headers": {"x-api-key_file": secret_file(folder, "panda")},
                "callback": {"url": f"{base}/bigpanda/nowhere", "api_key": mark("callback"), "app_key": "out"},
                "silences": {"alertmanager": f"{base}/nowhere", "bearer_token": mark("silences")},
            },
        ],
    }


ENTRANCES = {
    "/webhooks/alertmanager/prod": {"Authorization": f"Bearer {mark('bearer')}"},
    "/webhooks/vigilmon/uptime": {"X-Vigilmon-Secret": mark("vigilmon")},
    "/webhooks/thousandeyes/netops": {"Authorization": requests.auth._basic_auth_str("user", mark("te"))},
    "/webhooks/bigpanda/panda": {"X-Api-Key": mark("panda")},
}


def knock(program: Program, number: int) -> dict[str, str]:
    """Come with right, wrong and half-right credentials, with good, broken and foreign bodies; return the answers."""
    found = {}
    bodies = (webhook([alert(f"k{number}", "critical")]), [], {"incident": {"id": f"i{number}", "status": "ok"}})
    for path, right in ENTRANCES.items():
        wrong = {name: f"{value}x" for name, value in right.items()}
        for headers in (right, wrong, {"Authorization": f"Basic {mark('broken')}"}):
            for body in bodies:
                answer = requests.post(program.url + path, json=body, headers=headers, timeout=PATIENCE)
                found[f"{path} {number}"] = f"{answer.headers}\n{answer.text}"
    return found


def put_at(program: Program, station: Station, fault: dict) -> dict[str, str]:
    """Strike BigPanda with a fault, come with webhooks, and see that the fault was met; return what was answered."""
    traffic = station.sandbox.traffic
    before = traffic.described().get("bigpanda", {}).get("count", 0)
    number = station.sandbox.faults.set("*", **fault)
    found = knock(program, number)
    program.send(signal.SIGHUP)  # a destination that stopped is asked again
    until("the fault is met", lambda: traffic.described().get("bigpanda", {}).get("count", 0) > before)
    time.sleep(0.3)
    station.sandbox.faults.clear()
    return found


def test_bridge_leaks_no_secret(station, started, tmp_path):
    """Through every fault of BigPanda, wrong credentials, broken bodies and bad reloads, with the log at debug."""
    station.sandbox.settings.change({"bigpanda": {"org_token": mark("org-token")}})
    settings = bridge_settings(tmp_path, station.sandbox.url, station.database)
    station.config_file.write_text(yaml.safe_dump(settings))
    bridge = station.bridge(command=[*python("bridge"), "--log.level=debug", "--log.format=json"])
    bridge.environment = {"VENDORWATCH_TEST_BEARER": mark("bearer")}
    started(bridge)
    found = {}
    for fault in FAULTS:
        found |= put_at(bridge, station, fault)
    found |= pages(bridge, *ENTRANCES)
    for changes in ({"database": {"a": mark("x")}}, {"receivers": [mark("x")]}, {"unknown": mark("y")}):
        station.config_file.write_text(yaml.safe_dump(settings | changes))
        bridge.send(signal.SIGHUP)
        time.sleep(0.3)
    found |= pages(bridge)
    bridge.stop()
    log = bridge.log.read_text()
    assert "BigPanda unavailable, queueing events" in log
    assert "Reload failed, keeping the current configuration" in log
    assert leaks(found | files(tmp_path, ".yml")) == []


def test_database_url_is_not_leaked(station, started, postgresql_cluster, tmp_path):
    """PostgreSQL is there, stops, comes back, rejects, or never existed."""
    own = postgresql_cluster.database().replace("vendorwatch@", f"vendorwatch:{mark('database')}@")
    station.database = own
    station.configure()
    bridge = station.bridge(command=[*python("bridge"), "--log.level=debug"])
    started(bridge)
    postgresql_cluster.stop()
    try:
        found = {"503": requests.post(f"{bridge.url}/webhooks/alertmanager/prod", json={}, timeout=PATIENCE).text}
        found |= pages(bridge)
    finally:
        postgresql_cluster.start()
    bridge.stop()
    for url in (f"postgresql://nobody:{mark('database')}@127.0.0.1:1/x", own.replace("/d", f"/{mark('gone')}")):
        station.database = url
        station.configure()
        with pytest.raises(RuntimeError, match="ended with status 1") as error:
            station.bridge("refused").start()
        found[url.rpartition("/")[2]] = str(error.value)
    assert (
        leaks({place.replace(MARK, ""): text for place, text in found.items()} | files(tmp_path, ".yml", ".db")) == []
    )


def exporter_settings(folder: Path, base: str, endpoint: str) -> dict:
    """Return an exporter.yml with a secret wherever one may stand."""
    quick = {"poll_interval": "1s", "timeout": "1s", "requests_per_minute": 300}
    vigilmon = {"collector": "vigilmon", "base_url": f"{base}/vigilmon/api/v1"}
    behind = {"token": mark("behind"), "proxy_url": f"http://user:{mark('proxy')}@127.0.0.1:1"}
    targets = [
        {**vigilmon, "account": "prod", "token_file": secret_file(folder, "vigilmon")},
        {**vigilmon, "account": "behind", **behind},
        {
            "collector": "packetvis",
            "account": "noc",
            "url": f"{base}/packetvis/v1/notifications?key={mark('packetvis')}&org={mark('org')}",
        },
        {
            "collector": "thousandeyes",
            "account": "corp",
            "base_url": f"{base}/thousandeyes/v7",
            "token": "${VENDORWATCH_TEST_TE}",
        },
        {"collector": "bigpanda", "account": "main", "base_url": f"{base}/bigpanda", "token": mark("user-key")},
        {"collector": "certificates", "account": "edge", "endpoints": [endpoint]},
    ]
    return {"targets": [{**target, **quick} for target in targets]}


def succeeds(program: Program, account: str) -> bool:
    shown = [line for line in program.get("/metrics").text.splitlines() if line.startswith("vendorwatch_poll_success{")]
    return any(f'account="{account}"' in line and line.endswith(" 1.0") for line in shown)


def test_exporter_leaks_no_secret(station, started, tmp_path):
    """Through every fault of every vendor, expired tokens and bad reloads: in the log, the pages and the state file."""
    sandbox = station.sandbox
    names = {"vigilmon": "token", "thousandeyes": "token"}
    sandbox.settings.change({vendor: {name: mark(vendor), "per_minute": 0} for vendor, name in names.items()})
    sandbox.settings.change(
        {
            "packetvis": {"key": mark("packetvis"), "org": mark("org")},
            "bigpanda": {"user_key": mark("user-key"), "resources_per_second": 0},
        }
    )
    sandbox.world.populate(monitors=5)
    file, address = tmp_path / "exporter.yml", f"127.0.0.1:{free_port()}"
    endpoint = sandbox.certificates.open("self_signed").described()["endpoint"]
    file.write_text(yaml.safe_dump(exporter_settings(tmp_path, sandbox.url, endpoint)))
    flags = [f"--config.file={file}", f"--web.listen-address={address}", "--log.level=debug"]
    state = tmp_path / "state"
    state.mkdir()
    program = Program(
        "exporter",
        python("exporter", *flags, f"--storage.path={state}"),
        tmp_path / "exporter.log",
        f"http://{address}",
        environment={"VENDORWATCH_TEST_TE": mark("thousandeyes")},
    )
    started(program)
    for account, vendor in (("prod", "vigilmon"), ("noc", "packetvis"), ("corp", "thousandeyes"), ("main", "bigpanda")):
        until(f"{vendor} is polled", lambda account=account: succeeds(program, account))
    found = {}
    for fault in FAULTS:
        sandbox.faults.set("*", **fault)
        time.sleep(1.2)
        found |= {f"{fault} {path}": text for path, text in pages(program).items()}
        sandbox.faults.clear()
    file.write_text(yaml.safe_dump({"targets": [{"collector": "vigilmon", "account": "a", "token": {"a": mark("x")}}]}))
    program.send(signal.SIGHUP)
    time.sleep(0.5)
    program.stop()
    assert leaks(found | files(tmp_path, ".yml")) == []
    assert list(state.iterdir())


def web_config(folder: Path) -> dict:
    """Write a certificate for loopback with its key, and return a web.yml with one user, whose password is marked."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.secret")
    (folder / "web.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    key = issued.private_key_pem.bytes().decode().splitlines()[1]
    (folder / "broken.secret").write_text(f"-----BEGIN PRIVATE KEY-----\n{mark('key')}\n{key}\n")
    hashed = bcrypt.hashpw(mark("web").encode(), bcrypt.gensalt(4)).decode()
    return {
        "tls_server_config": {"cert_file": "web.crt", "key_file": "key.secret"},
        "basic_auth_users": {"user": hashed},
    }


def hidden(folder: Path, web: dict) -> tuple[str, ...]:
    """Return what of these must not show: salt and hash, and a line of the key."""
    (hashed,) = web["basic_auth_users"].values()
    return hashed[7:29], hashed[29:], (folder / "key.secret").read_text().splitlines()[1]


def spoilt(web: dict) -> list[dict]:
    """Return the same with mistakes of each kind beside what is secret, or in it."""
    (hashed,) = web["basic_auth_users"].values()
    return [
        web | {"basic_auth_users": {"user": mark("clear")}},
        web | {"basic_auth_users": {"user": f"{hashed}="}},
        web | {"basic_auth_users": {"user": [hashed]}},
        web | {"basic_auth_users": hashed},
        web | {"basic_auth_user": {"user": hashed}},
        web | {"tls_server_config": {"cert_file": "key.secret", "key_file": "key.secret"}},
        web | {"tls_server_config": {"cert_file": "web.crt", "key_file": "broken.secret"}},
        web | {"tls_server_config": {"cert_file": "web.crt", "key_file": "gone"}},
    ]


@pytest.mark.parametrize("name", ["bridge", "exporter"])
def test_web_config_leaks_no_secret(station, started, tmp_path, monkeypatch, name):
    """Hashes, passwords and keys of --web.config.file, right and wrong ones, with a valid and an invalid file."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.crt"))
    web, file, address = web_config(tmp_path), tmp_path / "web.yml", f"127.0.0.1:{free_port()}"
    file.write_text(yaml.safe_dump(web))
    config = station.config_file
    if name == "exporter":
        config = tmp_path / "exporter.yml"
        config.write_text(yaml.safe_dump(exporter_settings(tmp_path, station.sandbox.url, "127.0.0.1:1")))
    else:
        station.configure()
    flags = [f"--config.file={config}", f"--web.config.file={file}"]
    user = f"https://user:{mark('web')}@{address}"
    program = Program(
        name,
        python(name, *flags, f"--web.listen-address={address}", "--log.level=debug"),
        tmp_path / "program.log",
        user,
        environment={"VENDORWATCH_TEST_TE": mark("te")},
    )
    found = {}
    started(program)
    for number, content in enumerate([web, *spoilt(web)]):
        file.write_text(yaml.safe_dump(content))
        program.send(signal.SIGHUP)
        time.sleep(1.1)
        for auth in (("user", mark("web")), ("user", mark("wrong")), (mark("nobody"), "x"), None):
            answer = requests.get(f"https://{address}/metrics", auth=auth, timeout=PATIENCE)
            found[f"{number} {auth is None}"] = f"{answer.headers}\n{answer.text}"
            assert answer.status_code == (200 if auth == ("user", mark("web")) else 401)
    program.stop()
    assert program.log.read_text().count("keeping the current one") >= len(spoilt(web)) - 1
    assert leaks(found | files(tmp_path, ".yml", ".db"), *hidden(tmp_path, web)) == []


@pytest.mark.parametrize("program", [bridge.__main__, exporter.__main__])
def test_errors_in_the_web_config_leak_no_secret(tmp_path, capsys, program):
    """Problems are reported by their place only."""
    web, file = web_config(tmp_path), tmp_path / "web.yml"
    for content in spoilt(web):
        file.write_text(yaml.safe_dump(content))
        assert program.main([f"--config.file={tmp_path}/gone.yml", f"--web.config.file={file}", "--config.check"]) == 1
        output = capsys.readouterr()
        assert "web.yml" in output.err
        assert leaks({"stdout": output.out, "stderr": output.err}, *hidden(tmp_path, web)) == []


GROUND = {"app_key": "app", "token": mark("token")}
RECEIVER = {"receiver": "alertmanager", "source": "prod"}
TARGET = {"collector": "vigilmon", "account": "prod", "token": mark("token")}
BAD_BRIDGES = [
    {"database": f"mysql://user:{mark('x')}@db/bridge"},
    {"database": f"postgresql://user:{mark('x')}@[db/bridge"},
    {"database": f"postgresql://user:{mark('x')}@db:port/bridge"},
    {"database": [mark("x")]},
    {"database": None, "database_file": f"/nowhere/{MARK.upper()}"},
    {"bigpanda": GROUND | {"token": [mark("x")]}},
    {"bigpanda": GROUND | {"token": f"{mark('x')}\n{mark('y')}"}},
    {"bigpanda": GROUND | {"token": f"{mark('ü')}"}},
    {"bigpanda": GROUND | {"token_file": "/nowhere"}},
    {"bigpanda": GROUND | {"url": f"ftp://user:{mark('x')}@host"}},
    {"bigpanda": GROUND | {"tokn": mark("x")}},
    {"bigpanda": mark("x")},
    {"receivers": [RECEIVER | {"password": mark("x")}]},
    {"receivers": [RECEIVER | {"username": "u", "password": [mark("x")]}]},
    {"receivers": [RECEIVER | {"bearer_token": f"ü{mark('x')}"}]},
    {"receivers": [RECEIVER | {"reconcile": {"urls": [f"http://user:{mark('x')}@am:9093"]}}]},
    {"receivers": [RECEIVER | {"reconcile": {"urls": ["http://am"], "bearer_token": {"a": mark("x")}}}]},
    {"receivers": [{"receiver": "vigilmon", "source": "v", "secret": f"ü{mark('x')}"}]},
    {"receivers": [{"receiver": "bigpanda", "source": "p", "headers": {"x": [mark("x")]}}]},
    {"receivers": [{"receiver": "bigpanda", "source": "p", "headers": mark("x")}]},
]
BAD_EXPORTERS = [
    TARGET | {"token": [mark("x")]},
    TARGET | {"token": f"{mark('x')}\n"},
    TARGET | {"token_file": "/nowhere"},
    TARGET | {"tokn": mark("x")},
    TARGET | {"base_url": f"ftp://user:{mark('x')}@host"},
    TARGET | {"proxy_url": [mark("x")]},
    TARGET | {"proxy_url": f"ftp://user:{mark('x')}@host:port"},
    {"collector": "packetvis", "account": "noc", "url": f"ftp://{mark('x')}"},
    {"collector": "packetvis", "account": "noc", "url": {"a": mark("x")}},
]


def checked(program, content: str, folder: Path, capsys) -> list[str]:
    file = folder / "bad.yml"
    file.write_text(content)
    program.main([f"--config.file={file}", "--config.check"])
    output = capsys.readouterr()
    return leaks({"stdout": output.out, "stderr": output.err})


@pytest.mark.parametrize("changes", BAD_BRIDGES)
def test_errors_in_bridge_yml_leak_no_secret(tmp_path, capsys, changes):
    """Problems are reported by their place, never by the value."""
    good = {"database": f"sqlite:///{tmp_path}/bridge.db", "bigpanda": GROUND, "receivers": [RECEIVER]}
    content = {name: value for name, value in (good | changes).items() if value is not None}
    assert checked(bridge.__main__, yaml.safe_dump(content, allow_unicode=True), tmp_path, capsys) == []


@pytest.mark.parametrize("target", BAD_EXPORTERS)
def test_errors_in_exporter_yml_leak_no_secret(tmp_path, capsys, target):
    """Problems are reported by their place, never by the value."""
    content = yaml.safe_dump({"targets": [target]}, allow_unicode=True)
    assert checked(exporter.__main__, content, tmp_path, capsys) == []


@pytest.mark.parametrize("program", [bridge.__main__, exporter.__main__])
def test_yaml_syntax_errors_leak_no_secret(tmp_path, capsys, program):
    """The error does not quote the line."""
    for content in (
        f"bigpanda: {{token: {mark('x')}",
        f"token: '{mark('x')}\n a: b",
        f"a: b: {mark('x')}",
        f"\t{MARK}",
    ):
        assert checked(program, content, tmp_path, capsys) == []
