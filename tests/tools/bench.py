"""
Measures joins on real etcd and real Temporal beside a floor: a bare client that adds, starts the member and
sends promote every 100 ms.

An observer asks the member and the leader every few milliseconds, past every relay, so that both contestants
are judged by the same clock. Each run of memberflow has a new worker, so that its connections count too.
`make bench` prints one Markdown table; `RUNS=9 make bench` takes more runs.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import grpc

from client.search_attributes import register
from client.start import start_change
from console.terminal.output import say
from etcdapi.connection import etcd3
from etcdapi.faults import Fault
from etcdapi.stubs import rpc_pb2
from local.binary import find_etcd
from local.demo import until_polled
from local.etcd_cluster import LocalMember
from local.temporal_server import DevServer
from membership.model import Handover
from messages.queues import TASK_QUEUE
from messages.requests import JoinRequest
from settings import Settings, cache_dir, quiet_runtime
from support.parts.bare_client import naive_join
from support.parts.lab import Cluster, Lab

RUNS = int(os.environ.get("RUNS", "5"))
# Only rows whose name has one of these words in it, separated by semicolons.
ROWS = os.environ.get("ROWS", "").split(";")
CHANGES = ("MemberAdd", "MemberPromote", "MemberRemove")
# A member that comes up is noticed within milliseconds.
AT_ONCE = {"grpc.initial_reconnect_backoff_ms": 10, "grpc.max_reconnect_backoff_ms": 10}.items()
COLUMNS = ("start → serving", "serving → voter", "start → voter", "start → known", "lost → known")


class Observer:
    """When a member served for the first time, and when the cluster called it a voter; a thread for each."""

    def __init__(self, cluster: Cluster, new: LocalMember) -> None:
        self._threads = [Thread(target=find, daemon=True) for find in (self._find_serving, self._find_voter)]
        self._clients = [
            etcd3.client("127.0.0.1", m.client_port, grpc_options=AT_ONCE) for m in (new, *cluster.members[:3])
        ]
        self._new = new
        self.serving = self.voter = 0.0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        """Waits until both are known."""
        for thread in self._threads:
            thread.join(timeout)
        for client in self._clients:
            client.close()

    def _find_serving(self) -> None:
        while not self._answers():
            time.sleep(0.005)
        self.serving = time.monotonic()

    def _find_voter(self) -> None:
        while not self._is_voter():
            time.sleep(0.005)
        self.voter = time.monotonic()

    def _answers(self) -> bool:
        try:
            return bool(self._clients[0].maintenancestub.Status(rpc_pb2.StatusRequest(), timeout=0.2))
        except grpc.RpcError:
            return False

    def _is_voter(self) -> bool:
        for client in self._clients[1:]:
            try:
                listed = client.clusterstub.MemberList(rpc_pb2.MemberListRequest(), timeout=0.2).members
            except grpc.RpcError:
                continue
            return any(self._new.peer_url in m.peerURLs and not m.isLearner for m in listed)
        return False


@dataclass
class Run:
    """What one join took; seconds by column, and counts."""

    seconds: dict[str, float]
    events: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    others: int = 0
    failed: int = 0
    connections: int = 0
    gets: int = 0

    def count(self, cluster: Cluster) -> None:
        """What the relays saw of it."""
        calls = [call for relay in cluster.relays.values() for call in relay.calls]
        self.calls = Counter(call.method for call in calls if call.forwarded)
        self.others = sum(number for method, number in self.calls.items() if method not in CHANGES)
        self.failed = sum(call.code != "OK" for call in calls)
        self.gets = sum(relay.gets for relay in cluster.relays.values())
        self.connections = sum(relay.connections for relay in cluster.relays.values())


@dataclass(frozen=True)
class Case:
    """One row of the table: who joins, and what goes wrong."""

    name: str
    spoil: Callable[[Cluster, dict[str, float]], None] = lambda cluster, moments: None
    #: That the voters hold before the join.
    megabytes: int = 0
    keys: int = 0
    #: Seconds between the handover and the start of the member.
    late: float = 0.0
    bare: bool = False


def lose(kind: str) -> Callable[[Cluster, dict[str, float]], None]:
    """The answer to the promote gets lost in this way."""

    def spoil(cluster: Cluster, moments: dict[str, float]) -> None:
        cluster.inject(Fault("MemberPromote", kind, answered=lambda: moments.setdefault("lost", time.monotonic())))

    return spoil


def kill_the_leader(cluster: Cluster, moments: dict[str, float]) -> None:
    """As the promote reaches it."""
    leader = cluster.leader()
    cluster.relays[leader.name].inject(Fault("MemberPromote", "pass", arrives=leader.kill))


CASES = (
    Case("floor, empty cluster", bare=True),
    Case("join, empty cluster"),
    Case("join, promote answer lost", lose("lose")),
    Case("join, UNAVAILABLE after promote", lose("unavailable")),
    Case("join, leader killed at the promote", kill_the_leader),
    Case("floor, index 200", keys=200, bare=True),
    Case("join, index 200", keys=200),
    Case("join, index 200, promote answer lost", lose("lose"), keys=200),
    Case("join, starts after a minute", keys=200, late=60.0),
    Case("floor, 100 MB", megabytes=100, bare=True),
    Case("join, 100 MB", megabytes=100),
    Case("floor, 300,000 keys", keys=300_000, bare=True),
    Case("join, 300,000 keys", keys=300_000),
)


async def measure(lab: Lab, case: Case) -> Run:
    cluster = lab.cluster()
    lab.write_clusters_file()
    if case.megabytes and not holds_data(cluster):
        await asyncio.to_thread(cluster.fill, case.megabytes)
    if case.keys:
        await asyncio.to_thread(put_keys, cluster, case.keys)
    new = cluster.new_member()
    moments: dict[str, float] = {}
    case.spoil(cluster, moments)
    observer = Observer(cluster, new)
    observer.start()
    events = 0
    if case.bare:
        assert await asyncio.to_thread(naive_join, cluster, new) == "promoted"
    else:
        events = await join(lab, cluster, new, moments, case.late)
    await asyncio.to_thread(observer.join, 20)
    run = Run(seconds(new, observer, moments), events=events)
    run.count(cluster)
    await asyncio.to_thread(lab.clean_up)
    return run


def put_keys(cluster: Cluster, keys: int) -> None:
    """So many small keys: 100 a transaction where they are many, else one a raft entry."""
    cluster.single_use = True
    client = cluster.client(cluster.leader())
    each = 100 if keys > 1000 else 1
    for first in range(0, keys, each):
        puts = [client.transactions.put(f"key/{number}", "value") for number in range(first, first + each)]
        client.transaction([], puts, [])
    client.close()


def holds_data(cluster: Cluster) -> bool:
    client = cluster.client(cluster.members[0])
    try:
        return client.get("fill/0")[0] is not None
    finally:
        client.close()


async def join(lab: Lab, cluster: Cluster, new: LocalMember, moments: dict[str, float], late: float) -> int:
    """Runs the join on a new worker; its history's length."""
    settings = Settings(TASK_QUEUE, lab.clusters_file, {"target_host": lab.server.address})
    worker = lab.another_worker()
    try:
        await until_polled(lab.server.client, settings)
        for relay in cluster.relays.values():
            relay.calls.clear()
            relay.connections = relay.gets = 0
        request = JoinRequest(cluster=cluster.name, name=new.name, peer_urls=(new.peer_url,))
        handle, _ = await start_change(lab.server.client, settings, request)
        handover = await handle.execute_update("wait_until_added", result_type=Handover)
        await asyncio.sleep(late)
        new.start(handover.env())
        outcome = await handle.result()
        moments["known"] = time.monotonic()
        assert outcome["outcome"] == "promoted", outcome
        return (await handle.describe()).history_length
    finally:
        await asyncio.to_thread(worker.stop)


def seconds(new: LocalMember, observer: Observer, moments: dict[str, float]) -> dict[str, float]:
    taken = {
        "start → serving": observer.serving - new.started_at,
        "serving → voter": observer.voter - observer.serving,
        "start → voter": observer.voter - new.started_at,
    }
    if "known" in moments:
        taken["start → known"] = moments["known"] - new.started_at
    if "lost" in moments:
        taken["lost → known"] = moments["known"] - moments["lost"]
    return taken


def spread(values: list[float], form: str = "{:.2f}") -> str:
    if not values:
        return "-"
    median, least, most = (form.format(v) for v in (statistics.median(values), min(values), max(values)))
    return median if least == most else f"{median} ({least} to {most})"


def row(case: Case, runs: list[Run]) -> str:
    cells = [case.name, *(spread([r.seconds[c] for r in runs if c in r.seconds]) for c in COLUMNS)]
    cells += [spread([r.calls[method] for r in runs], "{:.0f}") for method in CHANGES[:2]]
    for value in ("others", "gets", "failed", "connections", "events"):
        cells.append(spread([getattr(r, value) for r in runs], "{:.0f}"))
    return "| " + " | ".join(cells) + " |"


def by_method(measured: dict[Case, list[Run]]) -> list[str]:
    """A table of its own: how many calls of each method a run made."""
    methods = sorted({method for runs in measured.values() for run in runs for method in run.calls})
    rows = [
        [case.name, *(spread([run.calls[method] for run in runs], "{:.0f}") for method in methods)]
        for case, runs in measured.items()
    ]
    return ["| " + " | ".join(cells) + " |" for cells in (["", *methods], ["---"] * (len(methods) + 1), *rows)]


async def bench() -> None:
    server = DevServer(Path(tempfile.mkdtemp(prefix="memberflow-bench-")))
    await register(await server.start(quiet_runtime()))
    lab = Lab(server.folder, find_etcd(cache_dir(), say), server)
    try:
        cases = [case for case in CASES if any(word in case.name for word in ROWS)]
        measured = {case: [await measure(lab, case) for _ in range(RUNS)] for case in cases}
    finally:
        lab.close()
        await server.stop()
    heads = (
        "",
        *COLUMNS,
        "adds",
        "promotes",
        "other RPCs",
        "/debug/vars",
        "failed RPCs",
        "connections",
        "history events",
    )
    print(f"{RUNS} runs each, median (least to most), seconds; {os.cpu_count()} cores, {platform.machine()}\n")
    print("| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), sep="\n")
    print(*(row(case, runs) for case, runs in measured.items()), "", *by_method(measured), sep="\n")


if __name__ == "__main__":
    asyncio.run(bench())
