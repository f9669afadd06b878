"""deploy/memberflow.service: what it starts, with the settings that it gives, without systemd."""

from __future__ import annotations

import re
import shlex
import subprocess
from configparser import ConfigParser

from provisioning import ROOT

from support.parts.command import eventually

GUIDE = (ROOT / "docs" / "deploy.md").read_text()


def service():
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(ROOT / "deploy" / "memberflow.service")
    return parser["Service"]


def test_the_unit_starts_a_worker_and_stops_it_in_its_time(host, lab):
    """Temporal's address comes from the credential alone; SIGTERM ends the worker with 0."""
    unit = service()
    name, _ = unit["LoadCredential"].split(":")
    (host.folder / name).write_text(f'[profile.default]\naddress = "{lab.server.address}"\n')
    settings = dict(pair.split("=", 1) for pair in shlex.split(unit["Environment"]))
    assert settings["TEMPORAL_CONFIG_FILE"] == f"%d/{name}"
    env = {
        **{key: value for key, value in host.env.items() if not key.startswith("TEMPORAL_")},
        "TEMPORAL_CONFIG_FILE": str(host.folder / name),
        "MEMBERFLOW_CLUSTERS": str(lab.clusters_file),
        "MEMBERFLOW_TASK_QUEUE": "another-queue",
    }
    log = host.folder / "worker.log"
    command = shlex.split(unit["ExecStart"].replace("/opt/memberflow", str(ROOT)))
    with log.open("w") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as worker:
        eventually(lambda: "worker runs" in log.read_text() or worker.poll() is not None, "the worker")
        worker.terminate()
        assert worker.wait(int(unit["TimeoutStopSec"])) == 0, log.read_text()


def test_the_page_installs_what_the_unit_names():
    """The folder of the program, the user, and the file of the credential."""
    unit = service()
    (block,) = re.findall(r"^```sh\n(useradd.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert f"useradd --system {unit['User']}\n" in block
    assert f"temporal.toml {unit['LoadCredential'].split(':')[1]}\n" in block
    assert f"# in {unit['ExecStart'].split('/.venv')[0]}\n" in block
    assert "deploy/memberflow.service /etc/systemd/system/" in block
