"""Commands as users start them, and waiting for what they bring about."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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


# What a command loads, and a sign that it has; then it waits for the end of its input.
_READY = """
import sys
import cli
import console.changes, console.steering
print("ready", flush=True, file=sys.stderr)
sys.stdin.read()
cli.main()
"""


class Command:
    """
    A running `memberflow ...`, as a user starts it.

    A `poised` one has loaded what it takes and waits for `go`: to start an interpreter takes seconds on a busy
    machine, more than the moment lasts in which a test wants something asked.
    """

    def __init__(self, env: dict[str, str], *args: str, poised: bool = False) -> None:
        folder = Path(tempfile.mkdtemp(prefix="memberflow-test-"))
        self._out, self._err = folder / "stdout", folder / "stderr"
        start = ("-c", _READY) if poised else ("-m", "cli")
        stdin = subprocess.PIPE if poised else None
        with self._out.open("w") as out, self._err.open("w") as err:
            command = [sys.executable, *start, *args]
            self._process = subprocess.Popen(command, env=env, stdin=stdin, stdout=out, stderr=err)
        if poised:
            eventually(lambda: "ready" in self.said(), "the command to be ready")

    def go(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def wait(self, timeout: float = 120) -> Ended:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the command did not end in {timeout} s: {self.said()}") from None
        return Ended(self._process.returncode, self._out.read_text(), self.said())

    def said(self) -> str:
        """What it wrote to stderr up to now."""
        return self._err.read_text()

    def kill(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> None:
        self._process.send_signal(2)

    def is_running(self) -> bool:
        return self._process.poll() is None
