"""deploy/provisioning/terraform: parsed by an HCL parser, and run where OpenTofu or Terraform is installed."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from provisioning import EXAMPLES, run

TERRAFORM = EXAMPLES / "terraform"
BINARY = shutil.which("tofu") or shutil.which("terraform")


@pytest.fixture(scope="session")
def resources(tools):
    """The resources of main.tf, by name, as python-hcl2 reads them."""
    python = tools.install("hcl2", "python-hcl2==8.*") / "python"
    code = "import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))))"
    parsed = run(python, "-c", code, TERRAFORM / "main.tf", env={})
    assert parsed.code == 0, parsed
    blocks = [blocks for entry in json.loads(parsed.stdout)["resource"] for blocks in entry.values()]
    return {name.strip('"'): body for block in blocks for name, body in block.items() if not name.startswith("__")}


def commands(resource):
    """The commands of a resource's provisioners; those at its destruction, in the second list."""
    found = ([], [])
    for provisioner in resource["provisioner"]:
        for body in provisioner.values():
            found["when" in body].append(body["command"])
    return found


def test_a_member_joins_and_leaves_by_itself(resources):
    """The learner is added before its machine starts; the voter's destruction is its removal."""
    assert commands(resources["learner"])[0][0].startswith('"memberflow join')
    create, destroy = commands(resources["voter"])
    assert create[0].startswith('"memberflow watch')
    assert destroy[0].startswith('"memberflow remove')
    assert "machine" in json.dumps(resources["voter"]["triggers_replace"])


def test_no_value_is_put_into_a_shells_text(resources):
    """Names and URLs reach the commands as variables, in quotes."""
    for resource in resources.values():
        for command in [*commands(resource)[0], *commands(resource)[1]]:
            quoted = re.findall(r'\\"\$[A-Z_]+\\"', command)
            assert len(quoted) == command.count("$")


@pytest.mark.skipif(BINARY is None, reason="neither tofu nor terraform is installed")
def test_apply_and_destroy(host, lab):
    """Apply makes a voter, a second one changes nothing, destroy removes the member."""
    cluster = lab.cluster()
    new = cluster.new_member()
    env_file = host.folder / f"{new.name}.env"
    cluster.at_end.append(lambda: host.kill_pid_in(host.folder / f"{new.name}.pid"))
    folder = host.folder / "terraform"
    shutil.copytree(TERRAFORM, folder)
    variables = {
        "cluster": cluster.name,
        "members": {new.name: new.peer_url},
        "handovers": str(host.folder),
        "start": str(host.start_script(new, env_file)),
    }
    (folder / "terraform.tfvars.json").write_text(json.dumps(variables))

    assert host.run(BINARY, "init", "-input=false", cwd=folder).code == 0
    applied = host.run(BINARY, "apply", "-auto-approve", "-input=false", "-no-color", cwd=folder)
    assert applied.code == 0, applied
    assert new.name in host.voters(cluster)
    again = host.run(BINARY, "plan", "-detailed-exitcode", "-input=false", "-no-color", cwd=folder)
    assert again.code == 0, again
    destroyed = host.run(BINARY, "destroy", "-auto-approve", "-input=false", "-no-color", cwd=folder)
    assert destroyed.code == 0, destroyed
    assert new.name not in host.voters(cluster)
