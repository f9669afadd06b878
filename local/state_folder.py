"""The folder of `memberflow up`: who runs, at which addresses, and which processes an earlier run left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from local.etcd_cluster import LocalFailure
from local.processes import Child
from membership.errors import MemberflowError

# Seconds that a process has to end after SIGTERM: a worker first ends the act that is under way.
PATIENCE = 40.0
# A log that is larger is put aside when its process starts, in place of the last one put aside.
_LOG_BYTES = 10_000_000


class NoFolder(MemberflowError):
    """The folder cannot be written."""

    hint = "name another folder with --folder or XDG_STATE_HOME (the home itself may be read-only then)"


@dataclass(frozen=True)
class Running:
    """A deployment that runs and answers."""

    #: Of Temporal, for TEMPORAL_ADDRESS.
    address: str
    #: The address of Temporal's UI.
    ui: str
    clusters_file: str
    folder: str
    #: The process that watches over the others.
    pid: int


class StateFolder:
    """
    The folder, with a lock file for each process.

    A process holds the lock of its file for as long as it lives, however it ends, and the file has its process ID. So
    a held lock names a process that runs, never another process that got the same ID later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._ready: int | None = None

    def create(self) -> None:
        """Creates the folder for this user alone. Raises NoFolder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_file("up").touch()
        except OSError as error:
            raise NoFolder(f"{self.path} cannot be written: {error.strerror}") from error

    @contextmanager
    def watching(self) -> Iterator[bool]:
        """Lets this process watch over the folder. Yields false when another process does."""
        lock = self._take("up")
        if lock is None:
            yield False
            return
        try:
            self._write_pid("up", os.getpid())
            yield True
        finally:
            if self._ready is not None:
                os.close(self._ready)
            os.close(lock)

    def publish(self, running: Running) -> None:
        """Tells other commands that everything answers, for as long as this process watches."""
        self._record.write_text(json.dumps(asdict(running)))
        self._ready = self._take("ready")

    def running(self) -> Running | None:
        """The deployment that runs. None when it is not up, or not yet."""
        # The lock is newer than the record: an earlier run may have left that one.
        if self._holder("ready") is None:
            return None
        return Running(**json.loads(self._record.read_text()))

    def watcher(self) -> int | None:
        """The ID of the process that watches over this folder. None when there is none."""
        return self._holder("up")

    def start_child(self, name: str, start: Callable[[int], Child]) -> Child:
        """Starts a process that holds the lock of this name. `start` gets the lock to pass on."""
        lock = self._take(name)
        if lock is None:
            raise LocalFailure(f"a {name} of an earlier `memberflow up` still runs: {self._holder(name)}")
        try:
            self._write_pid(name, 0)
            child = start(lock)
            self._write_pid(name, child.pid)
        finally:
            os.close(lock)
        return child

    def end_leftover(self, name: str) -> bool:
        """Ends the process of this name that an earlier run left behind. False when there was none."""
        pid = self._holder(name)
        if pid is None:
            return False
        for sign, patience in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, sign)
            if _until(lambda: self._holder(name) is None, patience):
                return True
        raise LocalFailure(f"the {name} of an earlier `memberflow up` does not end (process {pid})")

    def stop_watcher(self) -> bool:
        """Ends the process that watches over the folder, and so everything. False when there was none."""
        pid = self.watcher()
        if not pid:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not _until(lambda: self.watcher() != pid, 2 * PATIENCE):
            raise LocalFailure(f"`memberflow up` does not end (process {pid})")
        return True

    def log(self, name: str) -> Path:
        """The log of a process that starts now."""
        path = self.path / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            os.replace(path, path.with_suffix(".log.1"))
        return path

    @property
    def _record(self) -> Path:
        return self.path / "up.json"

    def _lock_file(self, name: str) -> Path:
        return self.path / f"{name}.lock"

    def _take(self, name: str) -> int | None:
        """As `_lock`, but tries for a moment: another process may have it only to see whether it is held."""
        for _ in range(10):
            if (lock := self._lock(name)) is not None:
                return lock
            time.sleep(0.02)
        return None

    def _lock(self, name: str) -> int | None:
        """An open file with the lock of this name. None when another process holds it."""
        file = os.open(self._lock_file(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    def _holder(self, name: str) -> int | None:
        """The process ID in the lock's file, 0 if none was written. None when no process holds the lock."""
        if not self._lock_file(name).exists():
            return None
        lock = self._lock(name)
        if lock is not None:
            os.close(lock)
            return None
        return int(self._lock_file(name).read_text() or 0)

    def _write_pid(self, name: str, pid: int) -> None:
        self._lock_file(name).write_text(str(pid))


def _until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
