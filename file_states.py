"""Reads the state of files on mounts that may hang."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from cluster_tables import FILES
from membership.errors import InvalidConfiguration
from membership.etcd import Access

# Seconds within which a file must answer.
_PROMPT = 2.0


class FileStates:
    """Looks at certificate and password files. A file whose mount hangs is waited for once, by a single thread."""

    def __init__(self) -> None:
        self._asked: dict[Path, tuple[Future[tuple[int, int, int]], float]] = {}

    def states(self, where: str, access: Access) -> tuple[tuple[int, int, int], ...]:
        """The `state_of` each file. Raises InvalidConfiguration for an unreadable file."""
        found = []
        for key in FILES:
            path: Path | None = getattr(access, key)
            if path is None:
                continue
            try:
                found.append(self._ask(path))
            except TimeoutError:
                raise InvalidConfiguration(f"{where}.{key}: {path} does not answer: does its mount hang?") from None
            except OSError as error:
                raise InvalidConfiguration(f"{where}.{key}: cannot read {path}: {error.strerror}") from error
        return tuple(found)

    def _ask(self, path: Path) -> tuple[int, int, int]:
        answer, until = self._asked.get(path, (None, 0.0))
        if answer is None or answer.done():
            answer, until = _in_background(path), time.monotonic() + _PROMPT
            self._asked[path] = answer, until
        return answer.result(max(0.0, until - time.monotonic()))


def _in_background(path: Path) -> Future[tuple[int, int, int]]:
    future: Future[tuple[int, int, int]] = Future()

    def look() -> None:
        try:
            path.open("rb").close()
            future.set_result(state_of(path))
        except OSError as error:
            future.set_exception(error)

    Thread(target=look, daemon=True, name="file-look").start()
    return future


def state_of(path: Path) -> tuple[int, int, int]:
    """Modification time in nanoseconds, size in bytes and inode of a file: they differ between its versions."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
