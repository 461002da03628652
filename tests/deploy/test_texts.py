import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.deploy.shipped import RULE_TESTS

TEXT = re.compile(r'(summary|description)="((?:[^"\\]|\\.)*)"')


def texts_of(path, folder):
    """Return what promtool says of a file of rule tests that also expects no alert when one fires.

    It prints an unexpected alert with all annotations, and each query whose answer is not as expected as `expr: …`.
    """
    content = yaml.safe_load(path.read_text())
    content["rule_files"] = [str((path.parent / name).resolve()) for name in content["rule_files"]]
    for test in content["tests"]:
        test["alert_rule_test"] = [
            {"eval_time": asked["eval_time"], "alertname": named[1]}
            for asked in test.get("promql_expr_test", [])
            if asked.get("exp_samples") and (named := re.search(r'alertname="(\w+)"', asked["expr"]))
        ]
    unexpecting = folder / path.name
    unexpecting.write_text(yaml.safe_dump(content))
    # A third of what promtool takes went to its garbage collector, which starts often where little is kept.
    rarely = {**os.environ, "GOGC": "800"}
    command = ["promtool", "test", "rules", str(unexpecting)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=rarely)
    return done.stdout + done.stderr


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
