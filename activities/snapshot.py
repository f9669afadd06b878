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

from activities.callers import NotTrusted
from activities.clusters_file import Clusters
from activities.early_ends import end_if_unwanted
from activities.heartbeat import beating
from activities.temporal import Temporal
from activities.tries import tried
from activities.trust import NotAllowed, Trust
from membership.errors import MemberflowError
from membership.etcd import MEMBERS
from membership.model import SyncProgress

_DIGEST = hashlib.sha256().digest_size
# The name that `tempfile` appends to a prefix.
_PART = re.compile(r"[a-z0-9_]{8}")


class SnapshotFailed(MemberflowError):
    """The snapshot could not be saved. Nothing is left of it."""

    hint = "check the path in snapshot_before_removal: the worker writes there"


@dataclass(frozen=True)
class SnapshotOrder:
    """A request for a snapshot. The worker's own policy says where it is saved (`snapshot_before_removal`)."""

    cluster: str
    #: The time of the request, as in the file's name.
    time: str
    #: Members and client URLs that are not asked for the snapshot.
    avoid: tuple[str, ...] = ()


class Snapshots:
    """Snapshots, by this worker. `pause` seconds pass after the first failed try, twice as many after the second."""

    def __init__(self, clusters: Clusters, temporal: Temporal, pause: float = 2.0) -> None:
        self._clusters = clusters
        self._trust = Trust(clusters, temporal)
        self._pause = pause

    @activity.defn(no_thread_cancel_exception=True)
    def save_snapshot(self, save: SnapshotOrder) -> str:
        """
        Streams a voter's database to disk, checks its SHA-256, puts it in place in one step and returns its path.

        An existing snapshot of the same name is kept: an earlier attempt saved it. There are three tries.
        """
        hopeless = (NotTrusted, NotAllowed)
        return tried("the snapshot", lambda: self._save(save), hopeless=hopeless, pause=self._pause)

    def _save(self, save: SnapshotOrder) -> str:
        path = self._trust.snapshot(save.cluster, save.time)
        try:
            _remove_leftovers(path)
            if not path.exists():
                self._stream(save, path)
        except OSError as error:
            raise SnapshotFailed(f"{path}: {error.strerror or error}") from error
        return str(path)

    def _stream(self, save: SnapshotOrder, path: Path) -> None:
        etcd = self._clusters.connect(save.cluster)
        etcd.look(save.avoid, MEMBERS)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_part_prefix(path)) as file:
            _lock(file.fileno())
            digest, tail, written = hashlib.sha256(), b"", 0
            for piece, left in etcd.snapshot(save.avoid):
                end_if_unwanted("the snapshot")
                file.write(piece)
                held = tail + piece
                digest.update(held[:-_DIGEST])
                tail = held[-_DIGEST:]
                written += len(piece)
                percent = round(100 * written / (written + left), 1)
                activity.heartbeat(SyncProgress(f"saving a snapshot: {written / 1e6:.1f} MB written", percent=percent))
            if digest.digest() != tail:
                raise SnapshotFailed(f"{path}: the snapshot arrived damaged (its SHA-256 differs from etcd's)")
            file.flush()
            with beating():
                os.fsync(file.fileno())
                os.link(file.name, path)
                _flush(path.parent)


def _part_prefix(path: Path) -> str:
    return f".{path.name}."


def _lock(descriptor: int) -> bool:
    """Locks the file for as long as it is open. False if it is locked already, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_leftovers(path: Path) -> None:
    """Removes the parts of this snapshot that a killed worker left. A part in use is locked, and stays."""
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
