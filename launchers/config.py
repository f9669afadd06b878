"""
One `[launchers.NAME]` table of the clusters file.

Command, flags, environment and mounts may contain placeholders, so that one table serves several members:
`{cluster}` and `{name}`, and outside mounts also `{peer_host}` and `{peer_port}`. The last two come from the new
member's first peer URL. A literal brace is written twice.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# A mount is a path on the engine's host. So it takes only values that cannot climb out of that path.
_OF_NAMES = ("cluster", "name")
_PLACEHOLDERS = (*_OF_NAMES, "peer_host", "peer_port")

# Each of these would undo the handover or the new volume: beside a config file, etcd ignores everything else.
_RESERVED = (
    *("name", "data-dir", "wal-dir", "config-file", "force-new-cluster", "initial-advertise-peer-urls"),
    *("initial-cluster", "initial-cluster-state", "initial-cluster-token"),
)
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET")
_PORT = re.compile(r"(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d{1,5}):(?P<container>\d{1,5})")


def _checked_placeholders(value: str, known: tuple[str, ...] = _PLACEHOLDERS) -> str:
    expected = f"known are {', '.join(f'{{{name}}}' for name in known)}, and a literal brace is written twice"
    try:
        fields = [part[1:] for part in Formatter().parse(value) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"has a bad placeholder ({error}): {expected}") from None
    for name, style, conversion in fields:
        if name not in known or style or conversion:
            raise ValueError(f"has an unknown placeholder {{{name}}}: {expected}")
    return value


def _checked_argument(value: str) -> str:
    option = value.lstrip("-").split("=")[0]
    if value.startswith("-") and option in _RESERVED:
        raise ValueError(f"--{option} is set by memberflow, or would undo the handover: leave it out")
    return _checked_placeholders(value)


def _checked_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("is not a name of an environment variable")
    if value.startswith("ETCD_") and value.removeprefix("ETCD_").lower().replace("_", "-") in _RESERVED:
        raise ValueError("is set by memberflow, or would undo the handover: leave it out")
    if _SECRET.search(value.upper()) and not value.upper().endswith("_FILE"):
        raise ValueError("looks like a secret, which does not belong in this file: mount a file with it instead")
    return value


def _checked_engine(value: str) -> str:
    expected = "write unix:///var/run/docker.sock or tcp://host:2376"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a valid address ({error}): {expected}") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"has more than an address (secrets don't belong here): {expected}")
    if parts.scheme == "unix" and not parts.netloc and len(parts.path) > 1:
        return value
    if parts.scheme == "tcp" and parts.hostname and port and parts.path in ("", "/"):
        return value.rstrip("/")
    raise ValueError(f"{value!r} is not the address of an engine: {expected}")


def _checked_port(value: str) -> str:
    match = _PORT.fullmatch(value)
    if match is None or not all(1 <= int(match[end]) <= 65535 for end in ("host", "container")):
        raise ValueError(
            f"{value!r} is not a published port: write HOST:CONTAINER or IP:HOST:CONTAINER, e.g. 2379:2379"
        )
    return value


def _checked_mount(value: str) -> str:
    source, _, target = value.partition(":")
    climbs = ".." in PurePosixPath(source).parts + PurePosixPath(target).parts
    if not source.startswith("/") or not target.startswith("/") or target == "/" or ":" in target or climbs:
        raise ValueError(f"{value!r} is not a mount: write SRC:DST with absolute paths, mounted read-only")
    return _checked_placeholders(value, _OF_NAMES)


def _checked_folder(value: PurePosixPath) -> PurePosixPath:
    if not value.is_absolute() or len(value.parts) == 1 or ".." in value.parts:
        raise ValueError("should be an absolute path in the container, e.g. /var/lib/etcd")
    return value


Argument = Annotated[str, AfterValidator(_checked_argument)]


class LauncherConfig(BaseModel):
    """One `[launchers.NAME]` table: a Docker engine and how members are started on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Annotated[str, AfterValidator(_checked_engine)] = Field(
        "unix:///var/run/docker.sock", description="where the engine listens: unix:// or tcp://"
    )
    ca: Path | None = Field(None, description="the CA that signed a tcp:// engine's certificate")
    cert: Path | None = Field(None, description="this worker's certificate for the engine")
    key: Path | None = Field(None, description="its key")
    image: str = Field(min_length=1, description="image with etcd in it")
    pull: Literal["missing", "never", "always"] = Field("missing", description="when to pull the image")
    command: tuple[Argument, ...] = Field(
        ("etcd",), description="the command to run ([] if the image's entrypoint is etcd)"
    )
    flags: tuple[Argument, ...] = Field((), description="etcd's flags, e.g. its listen and advertise URLs")
    environment: dict[
        Annotated[str, AfterValidator(_checked_variable)], Annotated[str, AfterValidator(_checked_placeholders)]
    ] = Field(default={}, description="further environment variables, none of them secret")
    network: str = Field(
        "host", min_length=1, description="host, or a network of the engine, where the member answers to its name"
    )
    ports: tuple[Annotated[str, AfterValidator(_checked_port)], ...] = Field(
        (), description="ports to publish, as HOST:CONTAINER (none for the host network)"
    )
    mounts: tuple[Annotated[str, AfterValidator(_checked_mount)], ...] = Field(
        (), description="read-only files and folders of the engine's host, as SRC:DST"
    )
    data_dir: Annotated[PurePosixPath, AfterValidator(_checked_folder)] = Field(
        PurePosixPath("/var/lib/etcd"), description="where the member's new volume is mounted"
    )
    restart: Literal["no", "on-failure", "unless-stopped", "always"] = Field(
        "unless-stopped", description="the container's restart policy"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.files) not in (0, 3):
            raise ValueError("ca, cert and key go together: give all or none")
        if self.files and self.engine.startswith("unix:"):
            raise ValueError("ca, cert and key need a tcp:// engine")
        if self.ports and self.network == "host":
            raise ValueError("ports can't be published on the host network: leave them out, or name another network")
        for target in (PurePosixPath(mount.partition(":")[2]) for mount in self.mounts):
            if target == self.data_dir or self.data_dir in target.parents or target in self.data_dir.parents:
                raise ValueError(f"the mount at {target} overlaps data_dir {self.data_dir}: mount it elsewhere")
        return self

    @property
    def files(self) -> dict[str, Path]:
        """The files that a worker must be able to read, by key."""
        return {key: path for key in ("ca", "cert", "key") if (path := getattr(self, key)) is not None}

    def relative_to(self, folder: Path) -> LauncherConfig:
        """The same table. Its relative file names are relative to `folder`."""
        return self.model_copy(update={key: folder / path for key, path in self.files.items()})
