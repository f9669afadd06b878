"""A real cluster, Temporal and a worker, with what may happen to each, and what starts each again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any

from local.deployment import WorkerProcess
from local.etcd_cluster import LocalMember
from support.checks.acknowledged import Writes
from support.parts.lab import Lab, eventually
from tools.chaos.promises import Members

# Seconds from a worker's end to its next start. (The unit file has 5; less makes more of the machine's time.)
RESTART = 1.0
POLICY = {"start_timeout": "20s", "stall_timeout": "20s", "join_timeout": "60s", "settle_timeout": "30s"}


class World:
    """Ends with `close`. Whatever a trouble began is over after `heal`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cluster = lab.cluster(3, fresh=True)
        self.cluster.policy = dict(POLICY)
        lab.write_clusters_file()
        self.writes = Writes(self.cluster)
        self.writes.start()
        self._under_way: list[Thread] = []
        self._restarting = Lock()
        self._frozen_workers: list[WorkerProcess] = []
        self._killed: list[LocalMember] = []
        self._is_open = True
        Thread(target=self._supervise, daemon=True).start()

    def close(self) -> None:
        self._is_open = False
        self.writes.stop()
        self.lab.clean_up()

    # ---- what happens to it ----

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        def wait() -> None:
            time.sleep(seconds)
            do()

        self._under_way.append(Thread(target=wait, daemon=True))
        self._under_way[-1].start()

    def kill_worker(self) -> None:
        assert self.lab.worker
        self.lab.worker.kill()

    def freeze_worker(self, seconds: float, *, successor: bool = False) -> None:
        """With a `successor` the frozen worker ends after it has been thawed and has had a moment."""
        frozen = self.lab.worker
        assert frozen
        assert frozen.process
        frozen.process.send(signal.SIGSTOP)
        self._frozen_workers.append(frozen)
        if successor:
            self.lab.worker = self.lab.another_worker()
        self.later(seconds, lambda: self._thaw_worker(frozen))

    def restart_temporal(self, seconds: float) -> None:
        self.lab.server.kill()
        self.later(seconds, self.lab.restart_server)

    def kill_member(self, member: LocalMember, seconds: float) -> None:
        """As a power cut would, and its host is back after so many seconds."""
        member.kill()
        self._killed.append(member)
        self.later(seconds, lambda: self._start_member(member))

    def freeze_member(self, member: LocalMember, seconds: float) -> None:
        member.freeze()
        self.later(seconds, member.thaw)

    def a_follower(self) -> LocalMember:
        leader = self.cluster.leader()
        return next(m for m in self.voting() if m is not leader)

    # ---- what is there ----

    def voting(self) -> list[LocalMember]:
        """The processes of the voters, whether they live or not."""
        urls = {url for row in self._rows() if not row.isLearner for url in row.peerURLs}
        return [member for member in self.cluster.members if member.peer_url in urls]

    def members(self) -> Members:
        """The linearizable list, as soon as a member gives it."""
        return Members.of(eventually(self._rows, "a member list"))

    def _rows(self) -> list[Any]:
        try:
            return self.cluster.rows()
        except Exception:  # noqa: BLE001  (asked again)
            return []

    # ---- what mends it ----

    def heal(self) -> None:
        """Waits until all troubles are over, and until every voter lives and says the same."""
        while self._under_way:
            self._under_way.pop().join()
        self.cluster.mend()
        for worker in self._frozen_workers:
            if worker is not self.lab.worker:
                worker.stop()
        self._frozen_workers.clear()
        for member in self.voting():
            if member.process is None or member.process.exit_code() is not None:
                member.start()
            member.wait_until_serving()
        eventually(self._agrees, "the voters to agree about the members", 30)

    def forget_the_removed(self) -> None:
        """The processes and relays of members that are no longer in the cluster."""
        listed = {url for row in self.cluster.rows() for url in row.peerURLs}
        for member in list(self.cluster.members):
            if member.peer_url in listed:
                continue
            member.stop()
            self.cluster.members.remove(member)
            self.cluster.relays.pop(member.name).stop()
        for relay in self.cluster.relays.values():
            relay.clear()
        self.cluster.injected.clear()
        self._killed.clear()

    def _agrees(self) -> bool:
        try:
            lists = [sorted((row.ID, row.isLearner) for row in self.cluster.rows(member)) for member in self.voting()]
        except Exception:  # noqa: BLE001  (asked again)
            return False
        return all(one == lists[0] for one in lists)

    def _start_member(self, member: LocalMember) -> None:
        if member in self._killed and member in self.cluster.members:
            member.start()

    def _thaw_worker(self, worker: WorkerProcess) -> None:
        assert worker.process
        worker.process.send(signal.SIGCONT)

    def _supervise(self) -> None:
        """Starts the worker again when it has ended, as systemd does."""
        while self._is_open:
            worker: Any = self.lab.worker
            if worker.process.exit_code() is not None:
                time.sleep(RESTART)
                if self._is_open:
                    worker.start()
            time.sleep(0.1)
