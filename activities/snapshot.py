"""Saves a snapshot of a cluster's database to the worker's disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity

from activities.failures import leave_if_asked, named_failures
from activities.heartbeat import beating
from membership.errors import MemberflowError
from membership.model import SyncProgress
from membership.ports import Clusters

_DIGEST = hashlib.sha256().digest_size


class SnapshotFailed(MemberflowError):
    """The snapshot could not be saved; nothing is left of it."""

    hint = "check the path in snapshot_before_removal: the worker writes there"


@dataclass(frozen=True)
class Save:
    """`pattern` is the policy's `snapshot_before_removal`; members and client URLs in `avoid` are not asked."""

    cluster: str
    pattern: str
    time: str
    avoid: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return Path(self.pattern.replace("{cluster}", self.cluster).replace("{time}", self.time))


class Snapshots:
    """Snapshots, by this worker."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn(no_thread_cancel_exception=True)
    def save_snapshot(self, save: Save) -> str:
        """
        Streams a voter's database to disk, checks its SHA-256 and puts it in place at once; its path.

        A snapshot of the same name that is there already is kept: an earlier attempt saved it.
        """
        with named_failures():
            if save.path.exists():
                return str(save.path)
            try:
                self._stream(save)
            except OSError as error:
                raise SnapshotFailed(f"{save.path}: {error.strerror or error}") from error
        return str(save.path)

    def _stream(self, save: Save) -> None:
        etcd = self._clusters.connect(save.cluster)
        etcd.look(save.avoid)
        with tempfile.NamedTemporaryFile(dir=save.path.parent, prefix=f".{save.path.name}.") as file:
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
                raise SnapshotFailed(f"{save.path}: the SHA-256 of what came is not the one that came with it")
            file.flush()
            with beating():
                os.fsync(file.fileno())
                os.link(file.name, save.path)
                _flush(save.path.parent)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
