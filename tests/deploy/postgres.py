"""PostgreSQL, as Debian packages it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local.processes import Child, clean_environment, free_port
from support.parts.command import eventually
from support.parts.etcd_tools import unavailable

#: Its server refuses to run as root.
USER = "postgres"


class Postgres:
    """One server on a loopback port. Every local user may do everything."""

    def __init__(self) -> None:
        # pytest's folders are closed to the server's user.
        self.folder = Path(tempfile.mkdtemp(prefix="memberflow-postgres-"))
        self.port = free_port()
        self._programs = _programs()
        self._as_user: Sequence[str] = ("runuser", "-u", USER, "--") if os.geteuid() == 0 else ()
        self.process: Child | None = None

    def create(self) -> None:
        """Creates the database cluster, and starts the server."""
        if self._as_user:
            os.chown(self.folder, pwd.getpwnam(USER).pw_uid, -1)
        self._run("initdb", "--auth=trust", f"--username={USER}", "--no-sync", "--pgdata", str(self.folder / "data"))
        self.start()

    def start(self) -> None:
        options = ("-D", str(self.folder / "data"), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1")
        command = [*self._as_user, str(self._programs / "postgres"), *options, "-k", str(self.folder)]
        self.process = Child(command, self.folder / "server.log", clean_environment())
        eventually(self._is_ready, "PostgreSQL", 60)

    def kill(self) -> None:
        """As a power cut would: no checkpoint is written."""
        main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(main, signal.SIGQUIT)  # an immediate shutdown: SIGKILL would leave its children
        assert self.process
        self.process.wait(30)

    def stop(self) -> None:
        """Its data is removed."""
        if self.process and self.process.exit_code() is None:
            self.kill()
        shutil.rmtree(self.folder)

    def _is_ready(self) -> bool:
        command = [self._programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _run(self, program: str, *args: str) -> None:
        command = [*self._as_user, str(self._programs / program), *args]
        ran = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        assert ran.returncode == 0, ran.stderr


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        unavailable("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent
