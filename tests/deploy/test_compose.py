"""
deploy/compose.yaml without its images: each service by its own arguments and environment, under its own name.

They have a network of their own, in which each name is an address of the loopback.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from provisioning import ROOT, run

from local.processes import Child, clean_environment
from local.temporal_server import temporal_cli
from support.parts.command import eventually
from support.parts.etcd_tools import unavailable

DEPLOY = ROOT / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
(BLOCK,) = [b for b in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "docker compose up" in b]
EXEC = "docker compose exec "


class Services:
    """The services of the file, as processes in a network of their own."""

    def __init__(self, folder: Path, etcd: Path) -> None:
        self.folder = folder
        #: The programs that the images start.
        self._programs = {name: [str(etcd)] for name in SERVICES}
        self._programs |= {"temporal": [str(temporal_cli())], "worker": ["memberflow", "worker"]}
        self.addresses = {name: f"127.0.1.{number}" for number, name in enumerate(SERVICES, 1)}
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for name, a in self.addresses.items()))
        apart = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec"]
        own = 'ip link set lo up && mount --bind "$0" /etc/hosts && echo ready && exec sleep infinity'
        self._network = Child([*apart, own, str(hosts)], folder / "network.log", clean_environment())
        self._running = [self._network]
        eventually(lambda: "ready" in (folder / "network.log").read_text(), "the network")

    def start(self, name: str, **more: str) -> None:
        words = [self._here(name, word) for word in SERVICES[name].get("command", [])]
        command = self.among([*self._programs[name], *words])
        self._running.append(Child(command, self.folder / f"{name}.log", {**self.env(name), **more}))

    def among(self, command: list[str]) -> list[str]:
        """The command as one that is in the network of the services."""
        return ["nsenter", "--net", "--mount", f"--target={self._network.pid}", f"--wd={ROOT}", *command]

    def env(self, name: str) -> dict[str, str]:
        given = {key: self._here(name, value) for key, value in SERVICES[name].get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # The image names the clusters file, and the folder deploy/ is mounted there.
        return {**clean_environment(), "PATH": path, "MEMBERFLOW_CLUSTERS": str(DEPLOY / "clusters.toml"), **given}

    def _here(self, name: str, value: str) -> str:
        """A value of the file. Its volumes are folders of this test, and each etcd listens at its own address."""
        (self.folder / name).mkdir(exist_ok=True)
        for inside in ("/var/lib/etcd", "/home/temporal"):
            value = value.replace(inside, str(self.folder / name))
        return value.replace("0.0.0.0", self.addresses[name]) if name.startswith("etcd") else value

    def is_healthy(self, name: str) -> bool:
        """By the file's own health check."""
        _, program, *words = SERVICES[name]["healthcheck"]["test"]
        command = [*self._programs[name], *words] if program == name else [program, *words]
        return run(*self.among(command), env=self.env(name)).code == 0

    def stop(self) -> None:
        for child in reversed(self._running):
            child.end(patience=20)


@pytest.fixture
def services(tmp_path, etcd_binary):
    """The services that `docker compose up` starts, once they are healthy."""
    if os.geteuid() != 0:
        unavailable("a network of its own needs root")
    made = Services(tmp_path, etcd_binary)
    try:
        made.start("temporal")
        eventually(lambda: made.is_healthy("temporal"), "Temporal", 60)
        for name, service in SERVICES.items():
            if name != "temporal" and "profiles" not in service:
                made.start(name)
        eventually(lambda: made.is_healthy("worker"), "the worker", 60)
        yield made
    finally:
        made.stop()


def test_the_lines_of_the_page_make_a_voter(services, tmp_path):
    """What the page has a person run in the worker's container, in its order; etcd4 gets its cluster from the join."""
    lines = [line.partition(EXEC)[2] for line in BLOCK.splitlines() if EXEC in line]
    told = [
        shlex.split(re.sub(r"; do .*| >.*", "", line.removeprefix("-T ").removeprefix("worker "))) for line in lines
    ]
    doctor, join, handover, watch = told

    def ask(words):
        return run(*services.among(words), env=services.env("worker"))

    eventually(lambda: ask(doctor).code == 0, "doctor to be content", 60)
    joined = ask(join)
    assert joined.code == 0, joined
    values = dict(line.split("=", 1) for line in ask(handover).stdout.splitlines())
    services.start("etcd4", **values)
    watched = ask(watch)
    assert (watched.code, "promoted" in watched.stderr) == (0, True), watched
