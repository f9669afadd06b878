"""The rules for Prometheus, tried with its own tool."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from provisioning import ROOT, run

from local.processes import clean_environment

FOLDER = ROOT / "deploy" / "prometheus"
RULES = yaml.safe_load((FOLDER / "memberflow.rules.yaml").read_text())["groups"][0]["rules"]
TESTS = yaml.safe_load((FOLDER / "memberflow.test.yaml").read_text())["tests"]


@pytest.fixture(scope="module")
def promtool(tmp_path_factory):
    """Prometheus' tool: from PATH, or out of Debian's package."""
    if found := shutil.which("promtool"):
        return found
    if not shutil.which("apt-get"):
        pytest.skip("neither promtool nor apt-get is here")
    folder = tmp_path_factory.mktemp("prometheus")
    subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, check=True, capture_output=True, timeout=120)
    (package,) = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg", "--extract", package, folder], check=True, timeout=120)
    return folder / "usr" / "bin" / "promtool"


@pytest.mark.parametrize("command", ["check rules memberflow.rules.yaml", "test rules memberflow.test.yaml"])
def test_the_rules_alert_when_they_should(promtool, command):
    """Prometheus accepts the rules, and each alert comes at its time, and not before."""
    end = run(promtool, *command.split(), env=clean_environment(), cwd=FOLDER)
    assert end.code == 0, end


def test_every_rule_is_tried_both_ways():
    """A rule that never fires, or always, would pass otherwise."""
    tried = [each for test in TESTS for each in test["alert_rule_test"]]
    fired = {each["alertname"] for each in tried if each["exp_alerts"]}
    silent = {each["alertname"] for each in tried if not each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}
    assert silent >= fired - {"MemberflowClusterUnreadable"}  # silent for the cluster that one worker reads


def test_every_alert_leads_to_a_section_of_the_runbook():
    """The person who is called at night finds the page open at the right place."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert {rule["annotations"]["runbook"] for rule in RULES} <= anchors
