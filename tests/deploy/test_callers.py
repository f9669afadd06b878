"""deploy/provisioning/go and typescript: built with types from the published schema, and run."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from provisioning import EXAMPLES

BUILDS = {
    "go": (("go", "generate"), ("go", "vet", "./..."), ("go", "build", "-o", "join")),
    "typescript": (("npm", "ci", "--silent"), ("npm", "run", "--silent", "build")),
}
PROGRAMS = {"go": ("./join",), "typescript": ("node", "join.js")}
BUILD_SECONDS = 10 * 60


@pytest.fixture(params=BUILDS)
def program(request, host):
    """The words that start the program, and the folder in which it was built."""
    language = request.param
    if not shutil.which(BUILDS[language][0][0]):
        pytest.skip(f"{BUILDS[language][0][0]} is not installed")
    folder = host.folder / language
    shutil.copytree(EXAMPLES / language, folder, ignore=shutil.ignore_patterns("node_modules", "join", "request.*"))
    for command in BUILDS[language]:
        built = host.run(*command, cwd=folder, timeout=BUILD_SECONDS)
        assert built.code == 0, built
    return PROGRAMS[language], folder


@pytest.mark.timeout(BUILD_SECONDS)
def test_a_program_built_from_the_schema_lets_a_member_join(program, host, lab):
    """It prints the handover, then the outcome; while its join runs, a different request is refused."""
    words, folder = program
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
