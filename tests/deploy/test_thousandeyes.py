"""The template for ThousandEyes' custom webhooks: the bridge can read a rendered body."""

import html
import json
import re
from pathlib import Path

import pytest

from bridge.receivers.thousandeyes import Settings, translate

TEMPLATE = (Path(__file__).parents[2] / "deploy/thousandeyes/custom-webhook.hbs").read_text()
BLOCK = re.compile(r"\{\{#(if|each) ([\w.]+)\}\}((?:(?!\{\{#(?:if|each) ).)*?)\{\{/\1\}\}", re.DOTALL)
UNLESS = re.compile(r"\{\{#unless @first\}\}(.*?)\{\{/unless\}\}")
VARIABLE = re.compile(r"\{\{([\w.]+)\}\}")
SETTINGS = Settings(receiver="thousandeyes", source="netops")
NOW = 1_795_200_000.0
NOTIFICATION = {
    "id": 7,
    "type": {"id": 2},
    "alert": {
        "id": "5abda706-c065-40fa-aa8c-059c3ac1ea9d",
        "severity": {"id": "MAJOR"},
        "firstSeen": {"epochSecond": 1795174200},
        "rule": {
            "id": 127094,
            "name": 'the "quick" & <slow>',
            "alertType": {"id": "http-server"},
            "account": {"id": 1234},
        },
        "test": {"id": 281474976710706, "name": "d'Or"},
        "details": [{"source": {"name": "Bucharest, Romania"}}, {"source": {"name": 'Cluj "2"'}}],
        "targets": [{"description": "https://checkout.example.com"}],
    },
}


def value(scope, path):
    for step in path.split("."):
        scope = len(scope) if step == "size" and isinstance(scope, list) else (scope or {}).get(step)
    return scope


def rendered(template, scope):
    """Render the parts of Handlebars that the template uses: if, each, unless @first, and escaped variables."""
    template = BLOCK.sub(lambda match: block(match, scope), template)
    return VARIABLE.sub(lambda match: html.escape(str("" if (v := value(scope, match[1])) is None else v)), template)


def block(match, scope):
    kind, path, inside = match.groups()
    found = value(scope, path)
    if kind == "if":
        return rendered(inside, scope) if found else ""
    return "".join(
        rendered(UNLESS.sub("" if index == 0 else r"\1", inside), entry) for index, entry in enumerate(found or [])
    )


def alert(**more):
    return translated(NOTIFICATION | {"alert": NOTIFICATION["alert"] | more})


def translated(notification):
    text = rendered(TEMPLATE, notification)
    assert "{{" not in text
    (found,) = translate(json.loads(text), SETTINGS, NOW).alerts
    return found


def test_custom_webhook_trigger():
    """Names are unescaped again."""
    found = alert()
    assert (found.key, found.firing, found.starts_at) == (f"netops:{NOTIFICATION['alert']['id']}", True, 1795174200.0)
    assert (found.name, found.severity) == ('the "quick" & <slow>', "major")
    assert dict(found.labels) == {
        "host": "d'Or",
        "test_id": "281474976710706",
        "rule_id": "127094",
        "rule": 'the "quick" & <slow>',
        "account_group": "1234",
        "alert_type": "http-server",
        "violation_count": "2",
        "agents": 'Bucharest, Romania, Cluj "2"',
        "targets": "https://checkout.example.com",
        "severity": "major",
    }


def test_custom_webhook_clear():
    """The number of the type decides, as a number or as a string."""
    cleared = NOTIFICATION["alert"] | {"timeCleared": {"epochSecond": 1795174800}}
    found = translated(NOTIFICATION | {"type": {"id": 1}, "alert": cleared})
    assert (found.key, found.firing, found.ends_at) == (alert().key, False, 1795174800.0)


@pytest.mark.parametrize("missing", ["test", "targets", "details", "severity", "firstSeen"])
def test_missing_members_leave_valid_json(missing):
    """Alerts of agents, devices and outages have neither test nor targets."""
    assert alert(**{missing: None}).firing


def test_alert_without_a_test_has_its_agents_as_host():
    """BigPanda needs a host."""
    assert alert(test=None, targets=None).labels["host"] == 'Bucharest, Romania, Cluj "2"'
