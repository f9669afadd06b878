"""Commands as users start them, and waiting for what they bring about."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import cli
import client
import console


def eventually(condition: Callable[[], Any], what: str, timeout: float = 60.0, pause: float = 0.05) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s for: {what}"
        time.sleep(pause)


@dataclass
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> dict[str, Any]:
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return f"exit {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}"


def _modules(package: ModuleType) -> list[str]:
    """Every module of a package that is loaded while a command runs."""
    folder = Path(package.__path__[0])
    found = (path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("[a-z]*.py"))
    return [".".join(path.parts) for path in found]


# An interpreter and the SDK take seconds to start on a busy machine, more than the moment lasts in which a test wants
# something asked: one process has loaded everything, and commands are copies of it.
multiprocessing.set_forkserver_preload(["cli", *_modules(client), *_modules(console)])


class _Copy(ForkServerProcess):
    """A process with the methods of `subprocess.Popen` that are used here."""

    def __init__(self, env: dict[str, str], args: tuple[str, ...], out: Path, err: Path) -> None:
        super().__init__(daemon=True)
        self._asked = (env, args, out, err)
        self.start()

    def run(self) -> None:
        env, args, out, err = self._asked
        os.environ.clear()
        os.environ.update(env)
        for path, descriptor in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY), descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["memberflow", *args]
        cli.main()

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired("memberflow", timeout or 0)
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Command:
    """A running `memberflow ...`; as users start it with `interpreter`, which takes longer to start."""

    def __init__(self, env: dict[str, str], *args: str, interpreter: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="memberflow-test-"))
        self._out, self._err = self._folder / "stdout", self._folder / "stderr"
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = (
                subprocess.Popen([sys.executable, "-m", "cli", *args], env=env, stdout=out, stderr=err)
                if interpreter
                else _Copy(env, args, self._out, self._err)
            )

    def wait(self, timeout: float = 120) -> Ended:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the command did not end in {timeout} s: {self.said()}") from None
        return Ended(code, self._out.read_text(), self.said())

    def said(self) -> str:
        """What it wrote to stderr up to now."""
        return self._err.read_text()

    def wrote(self) -> str:
        """Its stdout up to now."""
        return self._out.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def discard(self) -> None:
        """Ends it, and removes what it wrote."""
        self.kill()
        shutil.rmtree(self._folder)

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def interrupt(self) -> None:
        self.send_signal(signal.SIGINT)

    def is_running(self) -> bool:
        return self._process.poll() is None
