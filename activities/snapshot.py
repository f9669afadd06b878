"""Saves a snapshot of a cluster's database to the worker's disk."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity

from activities.failures import leave_if_asked
from activities.heartbeat import beating
from activities.ports import Clusters
from activities.temporal import Temporal
from activities.tries import tried
from activities.trust import NotAllowed, NotTrusted, Trust
from membership.errors import MemberflowError
from membership.model import SyncProgress

_DIGEST = hashlib.sha256().digest_size
# What `tempfile` puts behind a prefix.
_PART = re.compile(r"[a-z0-9_]{8}")


class SnapshotFailed(MemberflowError):
    """The snapshot could not be saved; nothing is left of it."""

    hint = "check the path in snapshot_before_removal: the worker writes there"


@dataclass(frozen=True)
class Save:
    """A snapshot that is wanted. The worker's own policy says where it is saved (`snapshot_before_removal`)."""

    cluster: str
    #: When it was asked for, as it stands in the file's name.
    time: str
    #: Members and client URLs that are not asked for it.
    avoid: tuple[str, ...] = ()


class Snapshots:
    """Snapshots, by this worker; `pause` seconds after a try that failed comes the next one, and then twice as many."""

    def __init__(self, clusters: Clusters, temporal: Temporal, pause: float = 2.0) -> None:
        self._clusters = clusters
        self._trust = Trust(clusters, temporal)
        self._pause = pause

    @activity.defn(no_thread_cancel_exception=True)
    def save_snapshot(self, save: Save) -> str:
        """
        Streams a voter's database to disk, checks its SHA-256 and puts it in place at once; its path.

        A snapshot of the same name that is there already is kept: an earlier attempt saved it. Tried three times.
        """
        hopeless = (NotTrusted, NotAllowed)
        return tried("the snapshot", lambda: self._save(save), hopeless=hopeless, pause=self._pause)

    def _save(self, save: Save) -> str:
        path = self._trust.snapshot(save.cluster, save.time)
        try:
            _remove_leftovers(path)
            if not path.exists():
                self._stream(save, path)
        except OSError as error:
            raise SnapshotFailed(f"{path}: {error.strerror or error}") from error
        return str(path)

    def _stream(self, save: Save, path: Path) -> None:
        etcd = self._clusters.connect(save.cluster)
        etcd.look(save.avoid)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_part_prefix(path)) as file:
            _lock(file.fileno())
            digest, tail, written = hashlib.sha256(), b"", 0
            for piece, left in etcd.snapshot(save.avoid):
                leave_if_asked("the snapshot")
                file.write(piece)
                held = tail + piece
                digest.update(held[:-_DIGEST])
                tail = held[-_DIGEST:]
                written += len(piece)
                percent = round(100 * written / (written + left), 1)
                activity.heartbeat(SyncProgress(f"saving a snapshot: {written / 1e6:.1f} MB written", percent=percent))
            if digest.digest() != tail:
                raise SnapshotFailed(f"{path}: the SHA-256 of what came is not the one that came with it")
            file.flush()
            with beating():
                os.fsync(file.fileno())
                os.link(file.name, path)
                _flush(path.parent)


def _part_prefix(path: Path) -> str:
    return f".{path.name}."


def _lock(descriptor: int) -> bool:
    """Takes the file, for as long as it is open; whether nobody else has it, and the file system can tell."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_leftovers(path: Path) -> None:
    """Removes what a killed worker left of this snapshot; a part that is still being written is locked, and stays."""
    prefix = _part_prefix(path)
    with suppress(OSError):
        for part in path.parent.iterdir():
            if part.name.startswith(prefix) and _PART.fullmatch(part.name.removeprefix(prefix)):
                # Over NFS only a file that may be written can be locked.
                with part.open("r+b") as file:
                    if _lock(file.fileno()):
                        part.unlink()


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
