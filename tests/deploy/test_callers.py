"""deploy/provisioning/go and typescript: built with types from the published schema, and run."""

from __future__ import annotations

import json
import subprocess

import pytest


@pytest.mark.timeout(600)  # with the build, on a busy machine
@pytest.mark.parametrize("language", ["go", "typescript"])
def test_a_program_built_from_the_schema_lets_a_member_join(language, built, host, lab):
    """It prints the handover, then the outcome; while its join runs, a different request is refused."""
    words, folder = built(language)
    cluster = lab.cluster()
    new = cluster.new_member()
    command = [*words, cluster.name, new.name]
    with subprocess.Popen(
        [*command, new.peer_url], env=host.env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        handover = json.loads(running.stdout.readline())
        other = host.run(*command, "http://127.0.0.1:2", cwd=folder)
        new.start({f"ETCD_{key.upper()}": value for key, value in handover.items()})
        said, complained = running.communicate(timeout=60)
    assert running.returncode == 0, complained
    assert json.loads(said)["outcome"] == "promoted"
    assert new.name in host.voters(cluster)
    assert other.code == 1
    assert "different request" in other.stderr
