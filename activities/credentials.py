"""The certificates, keys and passwords of this worker's clusters: their expiry, and files that other users may read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity

from activities.clusters_file import Clusters
from activities.early_ends import named_failures
from membership.credentials import Credentials
from membership.errors import MemberflowError
from messages.answers import FileFindings

_log = logging.getLogger("memberflow.certificates")

# Certificates last for days, so an hour makes no difference.
_EVERY = timedelta(hours=1)


def certificate_days_left(clusters: Clusters, cluster: str) -> float | None:
    """
    Days until the first certificate of the cluster expires, at this moment. Negative after that.

    None where the cluster has no certificates, or none that can be read. It reads files, and may block on a mount.
    """
    found = _credentials(clusters, cluster)
    return found.days_left if found else None


class CheckFiles:
    """The question of `memberflow doctor` about the files of a cluster."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    async def check_files(self, cluster: str) -> FileFindings:
        """The warnings about the files of a cluster that this worker serves."""
        with named_failures():
            found = await asyncio.to_thread(lambda: self._clusters.connect(cluster).credentials())
        return FileFindings(found.warnings, found.days_left)


class FileWatch:
    """Logs the state of the files of the served clusters: at the start, and each warning when it comes."""

    def __init__(self, clusters: Clusters, serves: Collection[str], every: timedelta = _EVERY) -> None:
        self._clusters = clusters
        self._serves = serves
        self._every = every
        self._warned: dict[str, frozenset[str]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks at once and then every hour, for as long as the block runs, whatever a look may raise."""
        looks = asyncio.create_task(self._look_again_and_again())
        try:
            yield
        finally:
            looks.cancel()

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # noqa: BLE001  (the next look may succeed)
                _log.exception("the certificate files could not be looked at, and are looked at again later")
            await asyncio.sleep(self._every.total_seconds())

    def look(self) -> None:
        """One look at the files of all served clusters. It blocks as long as a file does."""
        for cluster in self._clusters.names():
            try:
                is_ours = self._clusters.task_queue(cluster) in self._serves
            except MemberflowError:
                continue  # logged by the clusters file itself
            if is_ours and (found := _credentials(self._clusters, cluster)):
                self._note(cluster, found)

    def _note(self, cluster: str, found: Credentials) -> None:
        if cluster not in self._warned and found.days_left is not None:
            _log.info("certificates of %s: the first expires in %.0f days", cluster, found.days_left)
        before = self._warned.get(cluster, frozenset())
        for warning in found.warnings:
            if warning not in before:
                _log.warning("%s: %s", cluster, warning)
        self._warned[cluster] = frozenset(found.warnings)


def _credentials(clusters: Clusters, cluster: str) -> Credentials | None:
    """The state of the cluster's files. None where the clusters file has no good entry, which its reader reports."""
    try:
        return clusters.connect(cluster).credentials()
    except MemberflowError:
        return None
