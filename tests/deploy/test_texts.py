import re
import shutil
import subprocess

import pytest
import yaml

from tests.deploy.shipped import RULE_TESTS

TEXT = re.compile(r'(summary|description)="((?:[^"\\]|\\.)*)"')


def texts_of_fired_alerts(path, folder):
    """Return the texts of all alerts that fire in a file of rule tests, as (annotation, text).

    promtool prints unexpected alerts with all annotations, so the tests are changed to expect none.
    """
    content = yaml.safe_load(path.read_text())
    content["rule_files"] = [str((path.parent / name).resolve()) for name in content["rule_files"]]
    for test in content["tests"]:
        fired = [asked for asked in test.pop("promql_expr_test", []) if asked.get("exp_samples")]
        test["alert_rule_test"] = [
            {"eval_time": asked["eval_time"], "alertname": named[1]}
            for asked in fired
            if (named := re.search(r'alertname="(\w+)"', asked["expr"]))
        ]
    unexpecting = folder / path.name
    unexpecting.write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", str(unexpecting)], capture_output=True, text=True, check=False)
    return TEXT.findall(done.stdout + done.stderr)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_annotations_of_fired_alerts_are_complete(path, tmp_path):
    """Templates expand, no value is missing, and the description fits BigPanda's limit."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    texts = texts_of_fired_alerts(path, tmp_path)
    assert {annotation for annotation, _ in texts} == {"summary", "description"}
    for annotation, text in texts:
        assert "error expanding" not in text
        assert "no value" not in text
        assert not re.search(r"^\s|\(\)|\s$|   |\s[.:;]", text), (annotation, text)
        assert len(text) <= (150 if annotation == "summary" else 2048)
