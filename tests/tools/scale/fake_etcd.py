"""
Many etcd clusters of one voter each in one process, as far as a join that waits for its member asks them.

Each has a port for gRPC and `/debug/vars`, as a member has. One gRPC server answers for all of them: it knows the
cluster by the connection that was opened for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import grpc.aio

from etcdapi.relay_port import pipe
from etcdapi.stubs import rpc_pb2, rpc_pb2_grpc
from local.processes import free_port

_INDEX, _TERM = 100, 2
_OPTIONS = (("grpc.so_reuseport", 0),)


@dataclass
class FakeCluster:
    """One voter, which leads, and at most one learner, which never starts."""

    number: int
    port: int = field(default_factory=free_port)
    learner: Any = None
    #: When learners were added and removed, in seconds of the monotonic clock.
    added: list[float] = field(default_factory=list)
    removed: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """In the clusters file."""
        return f"c{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def voter(self) -> Any:
        return rpc_pb2.Member(
            ID=0xA00000 + self.number, name="etcd-1", peerURLs=[f"http://127.0.0.1:{self.port}0"], clientURLs=[self.url]
        )

    @property
    def members(self) -> list[Any]:
        return [self.voter, self.learner] if self.learner else [self.voter]

    @property
    def header(self) -> Any:
        return rpc_pb2.ResponseHeader(cluster_id=0xC00000 + self.number, member_id=self.voter.ID, raft_term=_TERM)

    def raft(self) -> bytes:
        """The page `/debug/vars`."""
        leader = f"{self.voter.ID:x}"
        progress = {f"{m.ID:x}": {"match": 0 if m.isLearner else _INDEX, "state": "StateProbe"} for m in self.members}
        status = {"id": leader, "lead": leader, "term": _TERM, "commit": _INDEX, "progress": progress}
        return json.dumps({"raft.status": status}).encode()


class FakeEtcd(rpc_pb2_grpc.ClusterServicer, rpc_pb2_grpc.MaintenanceServicer):
    """All clusters; `requests` counts what came by method."""

    def __init__(self, clusters: int) -> None:
        self.clusters = [FakeCluster(number) for number in range(1, clusters + 1)]
        self.requests: Counter[str] = Counter()
        self._by_source: dict[str, FakeCluster] = {}
        self._fronts: list[asyncio.Server] = []

    async def start(self) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        rpc_pb2_grpc.add_ClusterServicer_to_server(self, self._server)
        rpc_pb2_grpc.add_MaintenanceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        for cluster in self.clusters:
            self._fronts.append(await self._listen(cluster))

    async def stop(self) -> None:
        for front in self._fronts:
            front.close()
        await self._server.stop(None)

    # ---- one port for both protocols ----

    async def _listen(self, cluster: FakeCluster) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                first = await reader.readexactly(3)
                await (self._relay if first == b"PRI" else self._serve_pages)(cluster, reader, writer, first)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        return await asyncio.start_server(accept, "127.0.0.1", cluster.port, backlog=16)

    async def _relay(
        self, cluster: FakeCluster, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        source = f"ipv4:127.0.0.1:{to_server.get_extra_info('sockname')[1]}"
        self._by_source[source] = cluster
        try:
            to_server.write(first)
            await asyncio.gather(pipe(reader, to_server), pipe(from_server, writer))
        finally:
            del self._by_source[source]

    async def _serve_pages(
        self, cluster: FakeCluster, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        while True:
            head = first + await reader.readuntil(b"\r\n\r\n")
            first = b""
            page = head.split(b" ", 2)[1].decode()
            self.requests[f"GET {page}"] += 1
            body = cluster.raft() if page == "/debug/vars" else b"process_start_time_seconds 1\n"
            writer.write(
                f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()

    # ---- gRPC ----

    def _asked(self, method: str, context: Any) -> FakeCluster:
        self.requests[method] += 1
        return self._by_source[context.peer()]

    async def Status(self, request: Any, context: Any) -> Any:  # noqa: N802  (etcd's names, here and below)
        cluster = self._asked("Status", context)
        return rpc_pb2.StatusResponse(
            header=cluster.header,
            version="3.6.5",
            dbSize=20480,
            dbSizeInUse=16384,
            leader=cluster.voter.ID,
            raftIndex=_INDEX,
            raftAppliedIndex=_INDEX,
            raftTerm=_TERM,
        )

    async def Alarm(self, request: Any, context: Any) -> Any:  # noqa: N802
        return rpc_pb2.AlarmResponse(header=self._asked("Alarm", context).header)

    async def MemberList(self, request: Any, context: Any) -> Any:  # noqa: N802
        cluster = self._asked("MemberList", context)
        return rpc_pb2.MemberListResponse(header=cluster.header, members=cluster.members)

    async def MemberAdd(self, request: Any, context: Any) -> Any:  # noqa: N802
        cluster = self._asked("MemberAdd", context)
        number = 0xB00000 + 1000 * cluster.number + len(cluster.added)
        cluster.learner = rpc_pb2.Member(ID=number, peerURLs=request.peerURLs, isLearner=True)
        cluster.added.append(time.monotonic())
        return rpc_pb2.MemberAddResponse(header=cluster.header, member=cluster.learner, members=cluster.members)

    async def MemberRemove(self, request: Any, context: Any) -> Any:  # noqa: N802
        cluster = self._asked("MemberRemove", context)
        cluster.learner = None
        cluster.removed.append(time.monotonic())
        return rpc_pb2.MemberRemoveResponse(header=cluster.header, members=cluster.members)
