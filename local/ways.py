"""
Ways to a binary: each is tried after the other, and the cache is one of them.

A cached binary is run only if it is the file that was put there. Its checksum lies beside it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from membership.errors import MemberflowError

Say = Callable[[str], None]
Way = Callable[[], Path]


class Unavailable(Exception):
    """One way to a binary failed. The text says why."""


def first_open(ways: Iterable[Way], none: type[MemberflowError], what: str) -> Path:
    """The binary by the first way that is open. Raises `none` with every way that was tried and why it failed."""
    closed = []
    for way in ways:
        try:
            return way()
        except Unavailable as reason:
            closed.append(f"  - {reason}")
    raise none(f"no {what} was found. Tried:\n" + "\n".join(closed))


def cached(target: Path) -> Path:
    """The cached binary, if it is the file that was put there, and no other user can change it."""
    checksum = _checksum_file(target)
    try:
        wanted = checksum.read_text().strip()
        with target.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        files = {path: path.stat() for path in (target, checksum)}
    except OSError as error:
        raise Unavailable(f"cache: no {Path(error.filename or target)}") from error
    for path, state in files.items():
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or state.st_uid not in (0, os.getuid()):
            raise Unavailable(f"cache: other users may change {path}")
    if actual != wanted:
        raise Unavailable(f"cache: {target} has changed since it was put there")
    return target


def keep(target: Path, content: bytes) -> Path:
    """Puts the binary in place in one step, so that no process ever runs half of it, and then its checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(target, content, 0o755)
    _put(_checksum_file(target), hashlib.sha256(content).hexdigest().encode(), 0o644)
    return target


def _checksum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _put(path: Path, content: bytes, mode: int) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(mode)
    os.replace(file.name, path)
