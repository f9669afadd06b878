"""Reads and checks the clusters file of a worker, again after each change of the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Protocol

from cluster_tables import ClusterTable, Tables, read_tables, same_endpoints
from file_states import FileStates, state_of
from launchers.config import LauncherConfig
from membership.allow import Allow
from membership.errors import InvalidConfiguration, UnknownCluster, UnknownLauncher
from membership.etcd import Access, Etcd
from membership.policy import Policy
from messages.launching import Launcher
from messages.notices import Receiver
from messages.queues import TASK_QUEUE
from webhook.receiver import WebhookReceiver

_log = logging.getLogger("memberflow.clusters")


@dataclass(frozen=True)
class _Trouble:
    """A problem, and the time of its beginning."""

    text: str
    #: UTC, ISO 8601.
    since: str

    def __str__(self) -> str:
        return f"{self.text} (since {self.since})"


class ClosableEtcd(Etcd, Protocol):
    """A client of one cluster whose connections can be closed."""

    def close(self) -> None:
        """Closes each connection, at the latest when its last call ends."""


class Discover(Protocol):
    """Finds the client URLs of a cluster in DNS."""

    def __call__(self, domain: str, *, tls: bool) -> tuple[str, ...]:
        """Raises ClusterUnreachable when there are none, and none are known from before."""


class ClustersFile:
    """
    `activities.clusters_file.Clusters`, from a TOML file. Threads may share it.

    Each cluster keeps its last good state. A wrong table, an unreadable file or an edit in progress stops no other
    cluster. It does not stop this cluster either, if it was good before. Problems are logged, and `problem` returns
    them. If there was no good state yet, every method raises InvalidConfiguration, with file, key and the expected
    value.

    Relative paths are relative to the file. Certificate and password files are checked only for clusters whose
    activities run on one of the queues in `serves`. A cluster without its own queue is on `default_queue`.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[Access], ClosableEtcd],
        launch: Callable[[LauncherConfig], Launcher],
        discover: Discover,
        serves: Collection[str] = (TASK_QUEUE,),
        default_queue: str = TASK_QUEUE,
    ) -> None:
        self._path = path
        self._default_queue = default_queue
        self._connect = connect
        self._launch = launch
        self._discover = discover
        self._serves = frozenset(serves)
        self._lock = Lock()
        self._read_at: object = None
        self._tables = Tables()
        self._is_good = False
        self._troubles: dict[str, _Trouble] = {}
        self._clients: dict[str, tuple[object, ClosableEtcd]] = {}
        self._ids: dict[str, str] = {}
        self._files = FileStates()

    def names(self) -> tuple[str, ...]:
        return self._current().names

    def problem(self, cluster: str) -> str:
        is_good = cluster in self._current().clusters
        found = [self._troubles.get(place) for place in ("file", f"clusters.{cluster}", f"files of {cluster}")]
        told = "; ".join(str(trouble) for trouble in found if trouble)
        return f"{told}. The last good state is used" if told and is_good else told

    def policy(self, cluster: str) -> Policy:
        return self._entry(cluster).policy

    def allow(self, cluster: str) -> Allow:
        return self._entry(cluster).allow

    def endpoints(self, cluster: str) -> tuple[str, ...]:
        return self._entry(cluster).endpoints

    def cluster_id(self, cluster: str) -> str:
        return self._entry(cluster).cluster_id

    def task_queue(self, cluster: str) -> str:
        return self._entry(cluster).task_queue or self._default_queue

    def connect(self, cluster: str) -> Etcd:
        table = self._entry(cluster)
        access = table.access(self._path.parent)
        if table.discovery_srv:
            # Other endpoints than before need a new client, as a renewed certificate does.
            access = replace(access, endpoints=self._discover(table.discovery_srv, tls=table.ca is not None))
        try:
            files = self._files.states(f"{self._path}: clusters.{cluster}", access)
        except InvalidConfiguration as error:
            return self._last_client(cluster, error)
        with self._lock:
            self._over(f"files of {cluster}")
            # A renewed certificate needs a new client. The old client closes its connections as its calls end.
            state = (access, files)
            if cluster not in self._clients or self._clients[cluster][0] != state:
                if cluster in self._clients:
                    self._clients[cluster][1].close()
                self._clients[cluster] = (state, self._connect(access))
            return self._clients[cluster][1]

    def receiver(self, cluster: str) -> Receiver | None:
        table = self._entry(cluster).notify or self._current().notify
        if table is None:
            self._raise_trouble("notify")
            return None
        return WebhookReceiver(table.relative_to(self._path.parent))

    def saw(self, cluster: str, cluster_id: str) -> None:
        with self._lock:
            known = {self._ids[name]: name for name in self._tables.names if name in self._ids and name != cluster}
            if other := known.get(cluster_id):
                both = f"clusters {other} and {cluster} are one etcd cluster ({cluster_id})"
                raise InvalidConfiguration(f"{self._path}: {both}: list each etcd cluster under one name")
            self._ids[cluster] = cluster_id

    def launcher(self, name: str) -> Launcher:
        launchers = self._current().launchers
        if name not in launchers:
            self._raise_trouble(f"launchers.{name}")
            known = ", ".join(launchers) or "none"
            raise UnknownLauncher(f"no launcher {name!r} in {self._path} (it has: {known})")
        return self._launch(launchers[name].relative_to(self._path.parent))

    def _entry(self, cluster: str) -> ClusterTable:
        tables = self._current()
        if cluster not in tables.clusters:
            self._raise_trouble(f"clusters.{cluster}")
            known = ", ".join(tables.names) or "none"
            raise UnknownCluster(f"no cluster {cluster!r} in {self._path} (it has: {known})")
        return tables.clusters[cluster]

    def _raise_trouble(self, place: str) -> None:
        if trouble := self._troubles.get(place):
            raise InvalidConfiguration(trouble.text)

    def _last_client(self, cluster: str, error: InvalidConfiguration) -> Etcd:
        """The client from the time when the cluster's files could be read. Raises `error` when there is none."""
        with self._lock:
            self._begin(f"files of {cluster}", str(error))
            if cluster not in self._clients:
                raise error
            return self._clients[cluster][1]

    # ---- reading ----

    def _current(self) -> Tables:
        with self._lock:
            try:
                state = state_of(self._path)
                if state != self._read_at:
                    # Missing files may come without a change of the clusters file.
                    self._read_at = state if self._take(read_tables(self._path.read_text())) else None
                    self._is_good = True
                    self._over("file")
            except OSError as error:
                why = f"{self._path}: {error.strerror or error}"
                self._refuse_file(f"{why} (MEMBERFLOW_CLUSTERS names the clusters file)")
            except UnicodeDecodeError as error:
                self._refuse_file(f"{self._path}: not TOML: {error}")
            except ValueError as error:
                self._refuse_file(f"{self._path}: {error}")
            return self._tables

    def _refuse_file(self, why: str) -> None:
        self._begin("file", why)
        self._read_at = None
        if not self._is_good:
            raise InvalidConfiguration(why)

    def _take(self, tables: Tables) -> bool:
        """
        Takes over the good tables, and keeps the last good state of the others. True if all files could be read.

        Raises ValueError if no state was good so far.
        """
        missing = {f"clusters.{n}": why for n, t in tables.clusters.items() if (why := self._missing_file(n, t))}
        wrong = {**tables.wrong, **missing}
        last = self._tables
        clusters: dict[str, ClusterTable] = {}
        for name in tables.names:
            table = (last if f"clusters.{name}" in wrong else tables).clusters.get(name)
            if table is not None:
                clusters[name] = table
        for name, why in same_endpoints(clusters).items():
            wrong[f"clusters.{name}"] = why
            del clusters[name]
        if wrong and not clusters and not self._is_good:
            raise ValueError("; ".join(wrong.values()))
        launchers = {**{n: t for n, t in last.launchers.items() if f"launchers.{n}" in wrong}, **tables.launchers}
        notify = last.notify if "notify" in wrong else tables.notify
        self._tables = Tables(tables.names, clusters, launchers, notify)
        for place in [place for place in self._troubles if place.startswith(("clusters.", "launchers.", "notify"))]:
            if place not in wrong:
                self._over(place)
        for place, why in wrong.items():
            self._begin(place, f"{self._path}: {why}")
        return not missing

    def _missing_file(self, name: str, table: ClusterTable) -> str:
        """Why a file of a cluster that this worker serves cannot be read. Empty if all can be read."""
        if (table.task_queue or self._default_queue) not in self._serves:
            return ""
        try:
            self._files.states(f"clusters.{name}", table.access(self._path.parent))
        except InvalidConfiguration as error:
            return str(error)
        return ""

    # ---- troubles ----

    def _begin(self, place: str, text: str) -> None:
        known = self._troubles.get(place)
        if known is None or known.text != text:
            self._troubles[place] = _Trouble(text, datetime.now(UTC).isoformat(timespec="seconds"))
            _log.error("%s", text)

    def _over(self, place: str) -> None:
        if self._troubles.pop(place, None):
            _log.info("%s: %s is good again", self._path, place)
