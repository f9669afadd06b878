"""The only reader of the environment."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from membership.errors import InvalidConfiguration
from messages.queues import TASK_QUEUE

if TYPE_CHECKING:
    from temporalio.runtime import PrometheusConfig, Runtime

DEFAULT_ADDRESS = "localhost:7233"
CLUSTERS_FILES = (Path("clusters.toml"), Path("/etc/memberflow/clusters.toml"))


@dataclass(frozen=True)
class Deployment:
    """The Temporal worker deployment that a worker belongs to, and the worker's version in it."""

    name: str
    build_id: str


@dataclass(frozen=True)
class Settings:
    """All settings that do not come from the command line."""

    #: The queue of the workflows.
    task_queue: str
    clusters_file: Path
    #: The arguments for `temporalio.client.Client.connect`.
    temporal: dict[str, Any]
    #: For workers only. None: they belong to no deployment.
    deployment: Deployment | None = None
    #: The files of the keys for payloads. The first key encrypts. Empty: payloads are not encrypted.
    payload_keys: tuple[Path, ...] = ()
    #: For workers only: host and port of the metrics. None: no metrics.
    metrics: tuple[str, int] | None = None
    #: Whether spans are sent to a collector of OpenTelemetry.
    traces: bool = False

    @property
    def address(self) -> str:
        return str(self.temporal["target_host"])

    @property
    def namespace(self) -> str:
        return str(self.temporal.get("namespace", "default"))


def read_settings(deployment: str = "", metrics: str = "") -> Settings:
    """
    The settings from the environment. The connection comes from Temporal's own variables and profiles.

    `deployment` and `metrics` override their variables.

    Raises InvalidConfiguration, with the variable or file, for an unreadable configuration.
    """
    return Settings(
        task_queue=task_queue(),
        clusters_file=clusters_file(),
        temporal=_temporal(),
        deployment=_deployment(deployment or os.environ.get("MEMBERFLOW_DEPLOYMENT", "")),
        payload_keys=_payload_keys(),
        metrics=_metrics(metrics or os.environ.get("MEMBERFLOW_METRICS", "")),
        traces=_traces(),
    )


def task_queue() -> str:
    """The queue of the workflows."""
    return os.environ.get("MEMBERFLOW_TASK_QUEUE") or TASK_QUEUE


def default_cluster() -> str:
    """The cluster of commands that name none. Empty: there is no default."""
    return os.environ.get("MEMBERFLOW_CLUSTER", "")


def build_id() -> str:
    """The version of this program, or the value of MEMBERFLOW_BUILD_ID for a custom build."""
    return os.environ.get("MEMBERFLOW_BUILD_ID") or version("memberflow")


def _deployment(name: str) -> Deployment | None:
    if not name:
        return None
    if len(name) > 255 or "." in name or name.startswith("__"):
        raise InvalidConfiguration(
            f"{name!r} is not a name for a worker deployment: use 255 characters at most, no '.', and no leading '__' "
            "(--deployment or MEMBERFLOW_DEPLOYMENT)"
        )
    return Deployment(name, build_id())


def _metrics(address: str) -> tuple[str, int] | None:
    if not address:
        return None
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != address:
        raise InvalidConfiguration(
            f"{address!r} is not an address for the metrics: write HOST:PORT, as in 0.0.0.0:9464 "
            "(--metrics or MEMBERFLOW_METRICS)"
        )
    return host, port


def _traces() -> bool:
    """By OpenTelemetry's own variables. Its SDK reads the collector's address and the rest by itself."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    named = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or not (exporter or any(os.environ.get(name) for name in named)):
        return False
    off = "or turn traces off with OTEL_TRACES_EXPORTER=none"
    if exporter not in ("", "otlp"):
        raise InvalidConfiguration(f"OTEL_TRACES_EXPORTER: {exporter!r} is not supported: use otlp, {off}")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(name, ""):
            if protocol != "http/protobuf":
                raise InvalidConfiguration(f"{name}: {protocol!r} is not supported: use http/protobuf, {off}")
            break
    return True


def quiet_runtime(metrics: PrometheusConfig | None = None) -> Runtime:
    """
    A Temporal runtime whose core logs through `logging`. By default it logs to stdout, which belongs to answers.

    `metrics`: where it shows its metrics. None: it keeps none.
    """
    from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

    forwarding = LogForwardingConfig(logger=logging.getLogger("temporal.core"))
    levels = TelemetryFilter(core_level="WARN", other_level="ERROR")
    logs = LoggingConfig(filter=levels, forwarding=forwarding)
    return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=metrics, attach_service_name=False))


def _payload_keys() -> tuple[Path, ...]:
    """Paths in one variable, separated as in PATH."""
    paths = os.environ.get("MEMBERFLOW_PAYLOAD_KEYS", "").split(os.pathsep)
    return tuple(Path(path) for path in paths if path)


def clusters_file() -> Path:
    """The clusters file of a worker on this machine."""
    if path := os.environ.get("MEMBERFLOW_CLUSTERS"):
        return Path(path)
    return next((path for path in CLUSTERS_FILES if path.exists()), CLUSTERS_FILES[0])


def _temporal() -> dict[str, Any]:
    from temporalio.envconfig import ClientConfig

    # The SDK silently ignores a missing configuration file.
    named = os.environ.get("TEMPORAL_CONFIG_FILE")
    if named and not Path(named).is_file():
        raise InvalidConfiguration(f"TEMPORAL_CONFIG_FILE: no such file: {named}")
    try:
        config: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    except Exception as error:  # noqa: BLE001  (the SDK raises RuntimeError and others, by what is wrong)
        # The lines after the first quote the file, and a key may be in it.
        why = f"{str(error).splitlines()[0]} (the line is not shown: it may hold a key)"
        raise InvalidConfiguration(f"Temporal's configuration (TEMPORAL_* or its TOML file): {why}") from None
    config.setdefault("target_host", DEFAULT_ADDRESS)
    config.setdefault("namespace", "default")
    return config


def cache_dir() -> Path:
    """The folder of downloaded and built binaries. Raises InvalidConfiguration for a user without a home."""
    named = os.environ.get("MEMBERFLOW_CACHE")
    return _folder("MEMBERFLOW_CACHE", named) if named else _folder("XDG_CACHE_HOME", "~/.cache") / "memberflow"


def state_dir() -> Path:
    """The folder in which `memberflow up` keeps its data. Raises InvalidConfiguration for a user without a home."""
    return _folder("XDG_STATE_HOME", "~/.local/state") / "memberflow"


def _folder(variable: str, default: str) -> Path:
    try:
        return Path(os.environ.get(variable) or default).expanduser()
    except RuntimeError:
        raise InvalidConfiguration(f"this user has no home directory: set HOME or {variable}") from None
