import os
import re
import shutil
import subprocess
from itertools import chain

import pytest
import yaml

from tests.deploy.shipped import RULE_TESTS, rules

TEXT = re.compile(r'(summary|description)="((?:[^"\\]|\\.)*)"')


def texts_of(path, folder):
    """Return what promtool says of a file of rule tests that also expects no alert when one fires.

    It prints an unexpected alert with all annotations, and each query whose answer is not as expected as `expr: …`.
    """
    content = yaml.safe_load(path.read_text())
    found = [rule for name in content["rule_files"] for rule in rules((path.parent / name).resolve())]
    written = [write(folder / f"{number}", content, test, found) for number, test in enumerate(content["tests"])]
    # A third of what promtool takes went to its garbage collector, which starts often where little is kept.
    rarely = {**os.environ, "GOGC": "800"}
    command = ["promtool", "test", "rules", *map(str, written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=rarely)
    return done.stdout + done.stderr


def write(folder, content, test, found):
    """Write a test that expects no alert, with only the rules that it asks about: all others take most of the time."""
    asked = test.get("promql_expr_test", [])
    test["alert_rule_test"] = [
        {"eval_time": one["eval_time"], "alertname": named[1]}
        for one in asked
        if one.get("exp_samples") and (named := re.search(r'alertname="(\w+)"', one["expr"]))
    ]
    folder.mkdir()
    groups = [{"name": "asked", "rules": named_in(" ".join(one["expr"] for one in asked), found)}]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    (folder / "test.yml").write_text(yaml.safe_dump({**content, "rule_files": ["rules.yml"], "tests": [test]}))
    return folder / "test.yml"


def named_in(queries, found):
    """Return the rules that queries name and those that these need; all for a query of alerts without one name."""
    if "ALERTS" in re.sub(r'ALERTS\{alertname="', "", queries):
        return found
    words, named = re.findall(r"[\w:]+", queries), []
    while more := [rule for rule in found if rule not in named and rule.get("alert", rule.get("record")) in words]:
        named += more
        texts = chain.from_iterable([rule["expr"], *rule.get("annotations", {}).values()] for rule in more)
        words = re.findall(r"[\w:]+", " ".join(texts))
    return [rule for rule in found if rule in named]


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_as_the_rule_tests_expect_with_complete_annotations(path, tmp_path):
    """Each alert fires and ends when expected; its templates expand, no value is missing, BigPanda's limit holds."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    output = texts_of(path, tmp_path)
    assert not re.search(r"^ *expr: ", output, re.MULTILINE), output
    texts = TEXT.findall(output)
    assert {annotation for annotation, _ in texts} == {"summary", "description"}
    for annotation, text in texts:
        assert "error expanding" not in text
        assert "no value" not in text
        assert not re.search(r"^\s|\(\)|\s$|   |\s[.:;]", text), (annotation, text)
        assert len(text) <= (150 if annotation == "summary" else 2048)
