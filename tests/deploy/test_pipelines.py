"""deploy/provisioning/ci: valid by the schemas of GitHub and GitLab, and their scripts run as a runner runs them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from provisioning import EXAMPLES, run

from support.parts.command import eventually

CI = EXAMPLES / "ci"
GITHUB = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["join"]
GITLAB = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
SCHEMAS = {"github-actions.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}
# A runner's shell, and the lines that it gets, one script after the other.
SCRIPTS = {
    "github": (("bash", "-e"), [step["run"] for step in GITHUB["steps"]]),
    "gitlab": (
        ("bash", "-eo", "pipefail"),
        ["\n".join(GITLAB[".memberflow"]["before_script"] + GITLAB[job]["script"]) for job in ("plan", "join")],
    ),
}


@pytest.mark.parametrize("file", SCHEMAS)
def test_the_file_is_valid(tools, file):
    """By the schema that the platform publishes."""
    check = tools.install("check-jsonschema", "check-jsonschema==0.37.*") / "check-jsonschema"
    checked = run(check, "--builtin-schema", SCHEMAS[file], CI / file, env={})
    assert checked.code == 0, checked


def test_no_input_is_part_of_a_script():
    """Text that a person types reaches the scripts of GitHub as variables alone."""
    assert not [step["name"] for step in GITHUB["steps"] if "${{" in step["run"]]
    assert {"CLUSTER", "NAME", "PEER_URL"} <= GITHUB["env"].keys()


@pytest.mark.parametrize("platform", SCRIPTS)
def test_the_scripts_bring_a_member_into_the_cluster(host, lab, platform):
    """The command line is fetched and checked, the learner is added after a plan, and the job ends at the vote."""
    shell, scripts = SCRIPTS[platform]
    cluster = lab.cluster()
    new = cluster.new_member()
    program = Path(sys.executable).with_name("memberflow")
    env = {
        **host.env,
        "CLUSTER": cluster.name,
        "NAME": new.name,
        "PEER_URL": new.peer_url,
        "GITHUB_ACTOR": "a-person",
        "GITLAB_USER_LOGIN": "a-person",
        "MEMBERFLOW_URL": program.as_uri(),
        "MEMBERFLOW_SHA256": hashlib.sha256(program.read_bytes()).hexdigest(),
    }
    with subprocess.Popen(
        [*shell, "-c", "\n".join(scripts)], env=env, cwd=host.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        handover = host.folder / "join.env"
        eventually(lambda: handover.exists() or running.poll() is not None, "the handover")
        if handover.exists():
            host.start_member(new, handover)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0, said.decode()
    assert new.name in host.voters(cluster)


@pytest.mark.parametrize("platform", SCRIPTS)
def test_a_changed_program_is_not_run(host, platform):
    """A wrong checksum ends the job before the program runs."""
    shell, scripts = SCRIPTS[platform]
    program = host.folder / "program"
    program.write_text("#!/bin/sh\ntouch ran\n")
    env = {**host.env, "MEMBERFLOW_URL": program.as_uri(), "MEMBERFLOW_SHA256": "0" * 64}
    ended = run(*shell, "-c", "\n".join(scripts), env=env, cwd=host.folder)
    assert ended.code != 0
    assert not (host.folder / "ran").exists()
