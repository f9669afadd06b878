"""What the clusters file says, for workflows: the file may be slow, and the event loop has everybody's heartbeats."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from temporalio.service import RPCError, RPCStatusCode

from activities.admission import Admission
from activities.looks import Looks
from membership.allow import Allow
from membership.policy import Policy
from support.memory.inside import inside


class SlowFile:
    """A clusters file on a mount that answers when the event loop has gone on meanwhile, and only then."""

    def __init__(self, loop):
        self._loop = loop

    def _slow(self, answer):
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(2)
        return answer

    def names(self):
        return self._slow(("prod",))

    def policy(self, cluster):
        return self._slow(Policy())

    def allow(self, cluster):
        return self._slow(Allow(force=False))

    def endpoints(self, cluster):
        return self._slow(("http://10.0.0.1:2379",))

    def receiver(self, cluster):
        return self._slow(None)

    def problem(self, cluster):
        return self._slow("")

    def task_queue(self, cluster):
        return self._slow(f"queue of {cluster}")


class Silent:
    """Temporal, of which nobody may ask for search attributes."""

    namespace = "default"

    async def list_search_attributes(self, request):
        raise RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")


async def test_a_slow_clusters_file_holds_up_nobody_else():
    """It is read in a thread."""
    client = Silent()
    client.operator_service = client
    observe = Looks(SlowFile(asyncio.get_running_loop()), SimpleNamespace(client=client), Admission())
    profile = await inside("read_profile").run(observe.read_profile, "prod")
    assert (profile.policy, profile.task_queue) == (Policy(), "queue of prod")
    assert (profile.allow, profile.endpoints) == (Allow(force=False), ("http://10.0.0.1:2379",))
    [listed] = await observe.list_clusters()
    assert (listed.cluster, listed.task_queue) == ("prod", "queue of prod")
