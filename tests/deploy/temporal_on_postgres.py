"""Temporal's own server, built from its Go module, on PostgreSQL: what a deployment has, and the dev server is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import yaml
from google.protobuf.duration_pb2 import Duration
from postgres import Postgres
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from local.processes import Child, free_port
from local.temporal_server import DevServer
from settings import cache_dir
from support.parts.etcd_tools import GO_MODULES, unavailable

MODULE = GO_MODULES / "temporal"
PROGRAMS = ("server", "sql")
SERVICES = ("frontend", "matching", "history", "worker")


@dataclass
class TemporalOnPostgres(DevServer):
    """One server with all its services. It is started, killed and asked as the dev server is."""

    postgres: Postgres = field(kw_only=True)
    ports: dict[str, int] = field(default_factory=lambda: {name: _storable_port() for name in SERVICES})
    members: dict[str, int] = field(default_factory=lambda: {name: _storable_port() for name in SERVICES})

    def __post_init__(self) -> None:
        self.port = self.ports["frontend"]

    def create_schema(self) -> None:
        """As Temporal's page for PostgreSQL says: two databases, each with every version of its schema."""
        for database in ("temporal", "temporal_visibility"):
            self._sql(database, "create")
            self._sql(database, "setup-schema", "-v", "0.0")
            kind = "visibility" if "visibility" in database else "temporal"
            versions = source() / "schema" / "postgresql" / "v12" / kind / "versioned"
            self._sql(database, "update-schema", "-d", str(versions))

    def start_process(self, keeps: object = ()) -> None:
        config = self.folder / "server.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        command = [str(program("server")), "--config-file", str(config), "--allow-no-auth", "start"]
        self.process = Child(command, self.folder / "temporal.log")

    async def _connect(self, runtime: Runtime | None) -> Client:
        try:
            return await super()._connect(runtime)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self._register(await Client.connect(self.address, runtime=runtime))
            raise  # the namespace is known to every service some seconds later

    async def _register(self, client: Client) -> None:
        keep = Duration()
        keep.FromTimedelta(timedelta(days=3))
        request = RegisterNamespaceRequest(namespace="default", workflow_execution_retention_period=keep)
        await client.workflow_service.register_namespace(request)

    def _sql(self, database: str, *command: str) -> None:
        options = ("--plugin", "postgres12", "--ep", "127.0.0.1", "-p", str(self.postgres.port), "-u", "postgres")
        ran = subprocess.run(
            [program("sql"), *options, "--db", database, *command], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"

    def _config(self) -> dict[str, object]:
        def store(database: str) -> dict[str, object]:
            address = f"127.0.0.1:{self.postgres.port}"
            return {
                "sql": {
                    "pluginName": "postgres12",
                    "databaseName": database,
                    "connectAddr": address,
                    "connectProtocol": "tcp",
                    "user": "postgres",
                    "maxConns": 20,
                    "maxIdleConns": 20,
                }
            }

        return {
            "log": {"stdout": True, "level": "warn"},
            "persistence": {
                "defaultStore": "default",
                "visibilityStore": "visibility",
                "numHistoryShards": 4,
                "datastores": {"default": store("temporal"), "visibility": store("temporal_visibility")},
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
            "services": {
                name: {"rpc": {"grpcPort": port, "membershipPort": self.members[name], "bindOnLocalHost": True}}
                for name, port in self.ports.items()
            },
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {
                    "active": {
                        "enabled": True,
                        "initialFailoverVersion": 1,
                        "rpcAddress": self.address,
                    }
                },
            },
        }


def _storable_port() -> int:
    """A free port that Temporal's schema can hold: its list of servers has signed 16-bit ports."""
    while (port := free_port()) >= 1 << 15:
        pass
    return port


def version() -> str:
    found = re.search(r"^\s*(?:require )?go\.temporal\.io/server v(\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found
    return found[1]


def program(name: str) -> Path:
    """`server`, or `sql`, its tool for schemas. Both are built once, in some minutes."""
    folder = cache_dir() / f"temporal-server-{version()}"
    if not folder.exists():
        _build(folder)
    return folder / name


def source() -> Path:
    """The module's folder, which has the schemas."""
    ran = _go("list", "-m", "-f", "{{.Dir}}", "go.temporal.io/server")
    return Path(ran.stdout.strip())


def _build(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    packages = ("go.temporal.io/server/cmd/server", "go.temporal.io/server/cmd/tools/sql")
    _go("build", "-trimpath", "-ldflags=-s -w", "-o", f"{partial}/", *packages)
    partial.rename(folder)


def _go(*command: str) -> subprocess.CompletedProcess[str]:
    go = shutil.which("go")
    if not go:
        unavailable("Go is not installed, so Temporal's server cannot be built")
    # The module may need a newer Go than the installed one, which Go then fetches from its module proxy.
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
    ran = subprocess.run([go, *command], cwd=MODULE, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran
