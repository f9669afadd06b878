"""The etcd members of the demo: three of a cluster, each behind a relay, and a fourth that will join."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from local.binary import find_etcd
from local.deployment import Relays
from local.etcd_cluster import LocalMember, bootstrap, kill_all
from settings import cache_dir

CLUSTER = "demo"
VOTERS = ("etcd-1", "etcd-2", "etcd-3")
NEW = "etcd-4"


@dataclass(frozen=True)
class DemoCluster:
    """Its processes."""

    members: list[LocalMember]
    relays: Relays
    #: Done when the three voters serve.
    serving: asyncio.Future[None]

    @property
    def new(self) -> LocalMember:
        return self.members[-1]

    @property
    def voters(self) -> list[LocalMember]:
        return self.members[:-1]


async def start_cluster(folder: Path, ending: AsyncExitStack, say: Callable[[str], None]) -> DemoCluster:
    """
    Starts the cluster without waiting for it. `ending` kills its processes.

    etcd refuses new members for the first five seconds of a cluster, so this comes before everything else.
    """
    binary = await asyncio.to_thread(find_etcd, cache_dir(), say)
    say("1. Three etcd members start, each behind a relay that loses the first answer to a promote.")
    members = [LocalMember(name, binary, folder / name) for name in (*VOTERS, NEW)]
    relays = Relays([member.client_port for member in members], "MemberPromote", folder)
    ending.callback(relays.stop)
    for member, url in zip(members, relays.urls, strict=True):
        member.advertised = url
    ending.callback(kill_all, members)
    serving = asyncio.get_running_loop().run_in_executor(None, bootstrap, members[:-1], "memberflow-demo")
    serving.add_done_callback(lambda done: done.cancelled() or done.exception())  # an interrupt may come before
    return DemoCluster(members, relays, serving)
