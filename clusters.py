"""The clusters file of a worker: read, checked, and read again when it changes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from launchers.config import LauncherConfig
from membership.allow import Allow
from membership.errors import InvalidConfiguration, UnknownCluster, UnknownLauncher
from membership.names import Name, Url
from membership.policy import Policy
from membership.ports import Access, Etcd
from messages.launching import Launcher
from messages.requests import TASK_QUEUE
from messages.validation import explain

_FILES = ("ca", "cert", "key", "password_file")


def _check_cluster_id(value: str) -> str:
    text = value.lower().removeprefix("0x").lstrip("0")
    if not re.fullmatch(r"[0-9a-f]{1,16}", text):
        raise ValueError(f"{value!r} is no cluster ID; write it in hex, as `memberflow doctor` shows it")
    return text


ClusterId = Annotated[str, AfterValidator(_check_cluster_id)]


class _Cluster(BaseModel):
    """One `[clusters.NAME]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoints: Annotated[tuple[Url, ...], Field(min_length=1)]
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: Annotated[str, Field(min_length=1)] | None = None
    password_file: Path | None = None
    task_queue: Annotated[str, Field(min_length=1)] | None = None
    cluster_id: ClusterId = ""
    policy: Policy = Policy()
    allow: Allow = Allow()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for one, other in (("cert", "key"), ("username", "password_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} go together: give both or neither")
        schemes = {url.split(":")[0] for url in self.endpoints}
        if len(schemes) > 1:
            raise ValueError("endpoints mix http and https; a cluster has one of the two")
        if (schemes == {"https"}) != (self.ca is not None):
            raise ValueError("ca goes with https endpoints: the CA that signed the members' certificates")
        if self.cert is not None and self.ca is None:
            raise ValueError("cert and key need https endpoints and a ca")
        return self

    def access(self, folder: Path) -> Access:
        files = {name: folder / path for name in _FILES if (path := getattr(self, name)) is not None}
        return Access(endpoints=self.endpoints, username=self.username, cluster_id=self.cluster_id, **files)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clusters: dict[Name, _Cluster] = {}
    launchers: dict[Name, LauncherConfig] = {}


class ClustersFile:
    """
    `activities.ports.Clusters`, from a TOML file. Threads may share it.

    Relative paths in it are relative to the file. Certificate and password files are looked for only for
    clusters whose activities run on one of the queues in `serves`; a cluster without a queue of its own is on
    `default_queue`. Every method raises InvalidConfiguration, naming file, key and what was expected, when the
    file is wrong at that moment.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[Access], Etcd],
        launch: Callable[[LauncherConfig], Launcher],
        serves: Collection[str] = (TASK_QUEUE,),
        default_queue: str = TASK_QUEUE,
    ) -> None:
        self._path = path
        self._default_queue = default_queue
        self._connect = connect
        self._launch = launch
        self._serves = frozenset(serves)
        self._lock = Lock()
        self._read_at: object = None
        self._file = _File()
        self._clients: dict[str, tuple[object, Etcd]] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(self._current().clusters)

    def policy(self, cluster: str) -> Policy:
        return self._entry(cluster).policy

    def allow(self, cluster: str) -> Allow:
        return self._entry(cluster).allow

    def cluster_id(self, cluster: str) -> str:
        return self._entry(cluster).cluster_id

    def task_queue(self, cluster: str) -> str:
        return self._entry(cluster).task_queue or self._default_queue

    def connect(self, cluster: str) -> Etcd:
        access = self._entry(cluster).access(self._path.parent)
        self._check_files(cluster, access)
        with self._lock:
            # A renewed certificate is a new client; the old one is left to the calls that still use it.
            state = (access, *(_state(path) for name in _FILES if (path := getattr(access, name))))
            if cluster not in self._clients or self._clients[cluster][0] != state:
                self._clients[cluster] = (state, self._connect(access))
            return self._clients[cluster][1]

    def launcher(self, name: str) -> Launcher:
        launchers = self._current().launchers
        if name not in launchers:
            known = ", ".join(launchers) or "none"
            raise UnknownLauncher(f"no launcher {name!r} in {self._path} (it has: {known})")
        return self._launch(launchers[name].relative_to(self._path.parent))

    def _entry(self, cluster: str) -> _Cluster:
        clusters = self._current().clusters
        if cluster not in clusters:
            known = ", ".join(clusters) or "none"
            raise UnknownCluster(f"no cluster {cluster!r} in {self._path} (it has: {known})")
        return clusters[cluster]

    def _current(self) -> _File:
        with self._lock:
            try:
                state = _state(self._path)
                if state != self._read_at:
                    self._file = self._load()
                    self._read_at = state
            except OSError as error:
                why = f"{self._path}: {error.strerror or error}"
                raise InvalidConfiguration(f"{why} (MEMBERFLOW_CLUSTERS names the clusters file)") from error
            return self._file

    def _load(self) -> _File:
        try:
            file = _File.model_validate(tomllib.loads(self._path.read_text()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidConfiguration(f"{self._path}: not TOML: {error}") from None
        except ValidationError as error:
            raise InvalidConfiguration(f"{self._path}: {explain(error)}") from None  # it quotes the values
        for name, cluster in file.clusters.items():
            if (cluster.task_queue or self._default_queue) in self._serves:
                self._check_files(name, cluster.access(self._path.parent))
        return file

    def _check_files(self, name: str, access: Access) -> None:
        for key in _FILES:
            path: Path | None = getattr(access, key)
            if path is not None:
                try:
                    path.open("rb").close()
                except OSError as error:
                    where = f"{self._path}: clusters.{name}.{key}"
                    raise InvalidConfiguration(f"{where}: cannot read {path}: {error.strerror}") from error


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
