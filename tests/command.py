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


class Command:
    """A running `memberflow ...`, as a user starts it."""

    def __init__(self, env: dict[str, str], *args: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="memberflow-test-"))
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen([sys.executable, "-m", "cli", *args], env=env, stdout=out, stderr=err)

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
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> None:
        self._process.send_signal(2)

    def is_running(self) -> bool:
        return self._process.poll() is None
