"""The manifests of deploy/ are valid by the programs and schemas that will read them."""

from __future__ import annotations

import shutil

import pytest
from provisioning import ROOT, run

DEPLOY = ROOT / "deploy"
# Of 100; a service without any protection has 96.
EXPOSURE = 20


def test_kubernetes_knows_every_field(tools):
    """By the schemas of a supported version, with nothing unknown."""
    validate = tools.install("kubernetes-validate", "kubernetes-validate==1.34.*") / "kubernetes-validate"
    checked = run(validate, "--strict", "--kubernetes-version", "1.34", DEPLOY / "kubernetes.yaml", env={})
    assert checked.code == 0, checked


def test_compose_knows_every_field(tools):
    """By the specification of Compose."""
    check = tools.install("check-jsonschema", "check-jsonschema==0.37.*") / "check-jsonschema"
    checked = run(check, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml", env={})
    assert checked.code == 0, checked


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_exposes_little():
    """By systemd's own judgement of a unit."""
    command = ("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager")
    judged = run(*command, DEPLOY / "memberflow.service", env={"PATH": "/usr/bin:/bin"})
    assert judged.code == 0, judged
