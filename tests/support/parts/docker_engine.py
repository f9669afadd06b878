"""
A Docker engine for the tests: the one of this machine, or a dockerd of our own.

`PYTHONPATH=. python tests/support/parts/docker_engine.py` installs Debian's, for machines that have none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import trustme
from docker.errors import NotFound
from pydantic import ValidationError

from launchers import containers
from launchers.config import LauncherConfig
from launchers.docker_launcher import DockerLauncher
from launchers.engine import connected
from local.processes import Child, free_port
from messages.launching import LauncherUnavailable

SERVES = (
    "--listen-peer-urls=http://{peer_host}:{peer_port}",
    "--listen-client-urls=http://127.0.0.1:0",
    "--advertise-client-urls=http://{name}:2379",
)
USUAL = "unix:///var/run/docker.sock"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class NoEngine(Exception):
    """There is no engine for the tests, and the text says why."""


def usual_engine() -> str | None:
    """The address of the engine that a `docker` command here would use, if it answers and runs on this machine."""
    address = os.environ.get("DOCKER_HOST") or USUAL
    # Containers join clusters on this machine's loopback addresses.
    with suppress(LauncherUnavailable, ValidationError), connected(_any_image(address)) as client:
        if client.info()["Name"] == socket.gethostname():
            return address
    return None


def _any_image(address: str) -> LauncherConfig:
    return LauncherConfig(engine=address, image="none")


class OwnEngine:
    """
    A dockerd on a socket of its own and, with TLS, on a loopback port; it touches neither bridges nor iptables.

    `folder` has ca.crt, and `.crt` and `.key` of `client`. Raises NoEngine when it can't be started.
    """

    def __init__(self) -> None:
        binary = shutil.which("dockerd", path=_PATH)
        if not binary or os.geteuid() != 0:
            why = "dockerd isn't installed" if not binary else "dockerd needs root"
            raise NoEngine(f"no Docker engine answers here, and {why}")
        # A socket's path has at most 108 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="memberflow-docker-", dir="/tmp"))
        self.address = f"unix://{self.folder}/docker.sock"
        self.tls_address = f"tcp://127.0.0.1:{free_port()}"
        self._certify()
        self._daemon = Child(self._command(binary), self.folder / "dockerd.log", {**os.environ, "PATH": _PATH})
        self._wait()

    def _command(self, binary: str) -> list[str]:
        folder = self.folder
        (folder / "daemon.json").write_text("{}")
        return [
            *(binary, f"--config-file={folder}/daemon.json", f"--pidfile={folder}/pid"),
            *(
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--containerd-namespace=memberflow-{os.getpid()}",
            ),
            # A bridge that is there already is left alone only when it is named: `none` would delete docker0.
            f"--bridge={'docker0' if Path('/sys/class/net/docker0').exists() else 'none'}",
            *("--iptables=false", "--ip6tables=false"),
            *(f"--host={self.address}", f"--host={self.tls_address}", "--tlsverify"),
            *(f"--tlscacert={folder}/ca.crt", f"--tlscert={folder}/server.crt", f"--tlskey={folder}/server.key"),
        ]

    def _certify(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        for name in ("server", "client"):
            issued = authority.issue_cert("127.0.0.1", common_name=name)
            issued.cert_chain_pems[0].write_to_path(self.folder / f"{name}.crt")
            issued.private_key_pem.write_to_path(self.folder / f"{name}.key")

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._daemon.exit_code() is not None or time.monotonic() > deadline:
                log = self._daemon.last_lines()
                self.stop()
                raise NoEngine(f"dockerd does not start here:\n{log}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with suppress(LauncherUnavailable), connected(_any_image(self.address)) as client:
            return bool(client.ping())
        return False

    def stop(self) -> None:
        """Ends it, its containerd included, and removes all it had."""
        self._daemon.end(patience=20)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([m for m in mounts if m.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def launcher_table(name="docker", **given):
    """`[launchers.NAME]` of a clusters file."""
    given = {"pull": "never", "restart": "no", **given}
    lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    return f"[launchers.{name}]\n" + "\n".join(lines) + "\n"


def launcher(config, **changes):
    return DockerLauncher(config.model_copy(update=changes))


def container_of(engine, launch):
    with suppress(NotFound):
        return engine.containers.get(containers.container_name(launch))
    return None


def volume_of(engine, launch):
    with suppress(NotFound):
        return engine.volumes.get(containers.volume_name(launch))
    return None


def install() -> None:
    """Debian's Docker engine; whether it runs then is the machine's policy."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
    subprocess.run([*patient, "update"], check=True)
    packages = ["install", "-y", "--no-install-recommends", "docker.io", "iptables"]
    subprocess.run([*patient, *packages], check=True, env=environment)


if __name__ == "__main__":
    install()
