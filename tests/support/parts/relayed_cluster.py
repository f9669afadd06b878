"""Etcd clusters for tests: members behind relays, and what becomes of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from etcdapi.connection import etcd3
from etcdapi.faults import Call, Fault
from etcdapi.raft import parse_view
from etcdapi.relay import Relay
from etcdapi.stubs import rpc_pb2
from local import loopback
from local.etcd_cluster import LocalMember
from local.processes import free_port
from membership.model import RaftProgress
from messages.ids import change_id
from messages.requests import Verb
from support.parts.command import Command, eventually
from support.parts.running_join import Join

if TYPE_CHECKING:
    from support.parts.lab import Lab

# A policy under which a test's small cluster may lose a voter.
LOOSE = {"min_voters": 1, "min_spare": 0}


@dataclass
class Cluster:
    """A real cluster; every member has a relay in front, and changes see the relays only."""

    lab: Lab
    name: str
    members: list[LocalMember]
    relays: dict[str, Relay]
    injected: list[list[Fault]] = field(default_factory=list)
    born: float = 0.0
    binary: Path | None = None  # of another version than the lab's
    single_use: bool = False  # nothing for later tests: full, locked or old
    access: dict[str, str] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    #: Client URLs that the clusters file names although their members do not run yet.
    named: list[str] = field(default_factory=list)
    #: The client URLs that the clusters file names instead of those of the members.
    listed: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))
    at_end: list[Callable[[], None]] = field(default_factory=list)

    # ---- members ----

    def new_member(self, name: str = "", binary: Path | None = None, **changes: Any) -> LocalMember:
        """A member that is not in the cluster yet, with its relay."""
        name = name or f"new-{next(self.numbers)}"
        binary = binary or self.binary or self.lab.binary
        member = LocalMember(name, binary, self.lab.folder / self.name / name, **changes)
        relay = Relay(free_port(), member.client_port)
        relay.start()
        member.advertised = member.advertised or f"http://127.0.0.1:{relay.port}"
        if name in self.relays:  # of a member that is called the same, and keeps its own
            self.at_end.append(relay.stop)
        self.relays.setdefault(name, relay)
        self.members.append(member)
        return member

    def client(self, member: LocalMember) -> Any:
        """etcd3's client, straight to a member."""
        return etcd3.client("127.0.0.1", member.client_port, timeout=5)

    def rows(self, through: LocalMember | None = None) -> list[rpc_pb2.Member]:
        """The linearizable member list, past the relays, from the first member that gives one."""
        request = rpc_pb2.MemberListRequest(linearizable=True)
        for member in [through] if through else self.members:
            client = self.client(member)
            try:
                return list(client.clusterstub.MemberList(request, timeout=3).members)
            except Exception as error:  # noqa: BLE001  (the next member is asked)
                last = error
            finally:
                client.close()
        raise last

    def roles(self) -> dict[str, str]:
        """`voter` or `learner` by member ID."""
        return {f"{row.ID:x}": "learner" if row.isLearner else "voter" for row in self.rows()}

    def id_of(self, member: LocalMember) -> str:
        return next(f"{row.ID:x}" for row in self.rows() if member.peer_url in row.peerURLs)

    def leader(self) -> LocalMember:
        """The member that says of itself that it leads."""

        def find() -> LocalMember | None:
            for member in self.members:
                if member.process is None or not member.is_serving():
                    continue
                client = self.client(member)
                try:
                    status = client.maintenancestub.Status(rpc_pb2.StatusRequest(), timeout=2)
                    if status.leader and status.leader == status.header.member_id:
                        return member
                except Exception:  # noqa: BLE001  (not this one)
                    continue
                finally:
                    client.close()
            return None

        return eventually(find, "a leader")

    def progress(self) -> dict[str, RaftProgress]:
        """Every member's log by the leader's own word, by member ID."""
        return raft_progress(f"{self.leader().client_url}/debug/vars")

    def revive(self, member: LocalMember) -> None:
        """Starts a killed member again; the cluster counts as new then, because links are."""
        member.start()
        member.wait_until_serving()
        self.born = time.monotonic()

    # ---- relays ----

    def inject(self, *faults: Fault) -> None:
        """Into every relay: which member leads is the cluster's own business."""
        for fault in faults:
            copies = [replace(fault) for _ in self.relays]
            for relay, copy in zip(self.relays.values(), copies, strict=True):
                relay.inject(copy)
            self.injected.append(copies)

    def unused_faults(self) -> list[Fault]:
        """Those that no call came for, at any relay: they were no trouble."""
        return [copies[0] for copies in self.injected if not any(copy.hits for copy in copies)]

    def mend(self) -> None:
        """No fault is left."""
        for relay in self.relays.values():
            relay.faults.clear()

    def sent(self, method: str) -> list[Call]:
        """The calls of a method that reached any member, in order."""
        return sorted((c for r in self.relays.values() for c in r.sent(method)), key=lambda c: c.at)

    def changes(self) -> list[Call]:
        """All calls that reached a member and would change who is one or leads, in order."""
        methods = ("MemberAdd", "MemberPromote", "MemberRemove", "MoveLeader")
        return sorted((call for method in methods for call in self.sent(method)), key=lambda call: call.at)

    def counts(self) -> tuple[int, int, int]:
        """Adds, promotes and removals that reached a member."""
        return (len(self.sent("MemberAdd")), len(self.sent("MemberPromote")), len(self.sent("MemberRemove")))

    def hide(self, member: LocalMember) -> None:
        """From now on nobody reaches the member at the URL that it advertises. The other members still do."""
        self.single_use = True
        self.relays[member.name].stop()

    # ---- commands ----

    def endpoints(self) -> list[str]:
        return self.listed or [m.advertised for m in self.members if m.process is not None][:3] + self.named

    def join(self, new: LocalMember, *args: str) -> Join:
        """Starts `memberflow join` for a new member."""
        return Join(self, new, *args)

    def remove(self, wanted: str, *args: str) -> Command:
        """Starts `memberflow remove`."""
        self.lab.write_clusters_file()
        return self.lab.command("remove", self.name, wanted, "--json", *args)

    def replace(self, old: str, new: LocalMember, *args: str) -> Join:
        """Starts `memberflow replace`."""
        return Join(self, new, *args, old=old)

    def workflow_id(self, new: LocalMember, verb: Verb = "join") -> str:
        return change_id(self.name, verb, new.name)

    # ---- data ----

    def fill(self, megabytes: int, size: int = 100_000) -> None:
        """Puts this much data into the cluster, in values of `size` bytes."""
        self.single_use = True
        client = self.client(self.leader())
        value = b"x" * size
        for number in range(megabytes * 1_000_000 // size):
            client.put(f"fill/{number}", value)
        client.close()

    def set_alarm(self, member_id: str, kind: str, action: str = "ACTIVATE") -> None:
        """Raises an alarm in a member's name, as etcd itself does, or disarms it."""
        client = self.client(self.leader())
        request = rpc_pb2.AlarmRequest(action=action, memberID=int(member_id, 16), alarm=kind)
        client.maintenancestub.Alarm(request, timeout=5)
        client.close()

    # ---- after a test ----

    def heal(self) -> bool:
        """Back to the first three voters; false when that is not possible."""
        try:
            for member in self.members:
                if member.process is not None and member.process.exit_code() is None:
                    member.thaw()
            for member in self.members[3:]:
                member.stop()
            for member in self.members[:3]:
                if member.process is None or member.process.exit_code() is not None:
                    return False
            self._remove_all_but_first_three()
        except Exception:  # noqa: BLE001  (then a new cluster it is)
            return False
        for gone in self.members[3:]:
            shutil.rmtree(gone.folder / "data", ignore_errors=True)
        del self.members[3:]
        for name in list(self.relays):
            if name not in {m.name for m in self.members}:
                self.relays.pop(name).stop()
        for relay in self.relays.values():
            relay.clear()
        self.injected.clear()
        self.policy = {}
        return True

    def _remove_all_but_first_three(self) -> None:
        own = {m.peer_url for m in self.members[:3]}
        client = self.client(self.leader())
        for row in self.rows():
            if not own & set(row.peerURLs):
                eventually(lambda r=row: _removed(client, r.ID), "the removal of a test's member", 15, 0.3)
        client.close()

    def stop(self) -> None:
        # Not in order: each would first hand its lead over, which takes seconds and tells nothing.
        for member in self.members:
            if member.process is not None:
                member.kill()
        for relay in self.relays.values():
            relay.stop()
        # etcd reserves 128 MB for each member's log: a whole run of the tests would fill the disk.
        for data in (self.lab.folder / self.name).glob("*/data"):
            shutil.rmtree(data, ignore_errors=True)


def raft_progress(debug_vars: str) -> dict[str, RaftProgress]:
    """The logs of all members, from a leader's own page."""
    view = parse_view(loopback.get(debug_vars, timeout=3))
    return view.progress if view else {}


def _removed(client: Any, member_id: int) -> bool:
    try:
        client.clusterstub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=member_id), timeout=5)
    except Exception:  # noqa: BLE001  (asked again)
        return False
    return True


def once(do: Callable[[], object]) -> Callable[[], None]:
    """Does it for the first caller only: several members may be asked at the same moment."""
    free = Lock()

    def do_first() -> None:
        if free.acquire(blocking=False):
            do()

    return do_first


def follower(cluster: Cluster) -> LocalMember:
    leader = cluster.leader()
    return next(m for m in cluster.members if m is not leader)


def dead_follower(cluster: Cluster) -> LocalMember:
    member = follower(cluster)
    member.kill()
    return member


def ends(member: LocalMember, code: int = 0) -> None:
    """
    A removed process ends by itself, in order; etcd crashes one that is asked in that moment (etcd#21966).

    A process that was removed in the moment of its start ends by an error of its own: its listener meets a server that
    is stopping already.
    """
    eventually(lambda: member.process and member.process.exit_code() is not None, f"the end of {member.name}")
    assert member.process
    lines = member.process.last_lines()
    if code == 0 and '"error":"server is stopping"' in lines:
        code = 1
    assert member.process.exit_code() == code, lines
