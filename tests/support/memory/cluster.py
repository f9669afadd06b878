"""
An etcd cluster in memory that obeys etcd's rules: the side of the servers.

The contract suite holds it to a real one. It notes every moment in which quorum was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import TypeVar

from membership import etcd_errors as e
from membership.errors import MemberflowError
from membership.model import Member
from membership.verdicts import quorum

READY = 0.9
CLUSTER_ID = "feed"

T = TypeVar("T")


@dataclass
class Process:
    """A member, and the process that it may or may not have."""

    id: str
    peer_urls: tuple[str, ...]
    is_learner: bool
    name: str = ""
    alive: bool = False
    match: int = 0
    # Its client port takes calls and answers none: frozen, or, while it lives, silent after a snapshot.
    mute: bool = False
    # Before it has restored a snapshot, it lists what it was started with, and itself as a voter.
    restored: bool = True
    # Requests that came while it was frozen.
    buffer: list[Callable[[], object]] = field(default_factory=list)

    @property
    def frozen(self) -> bool:
        return self.mute and not self.alive

    @property
    def row(self) -> Member:
        urls = (f"http://{self.name}:2379",) if self.name else ()
        return Member(self.id, self.name, self.peer_urls, urls, self.is_learner)


@dataclass
class MemoryCluster:
    """The servers' side: what all members agree on."""

    size: int = 3
    cluster_id: str = CLUSTER_ID
    members: dict[str, Process] = field(default_factory=dict)
    index: int = 20
    term: int = 2
    leader: str = ""
    lost_quorum: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    on_added: Callable[[Process], None] = lambda _: None
    # Voters that call themselves learners, whatever the lists say (etcd#18347).
    denying: set[str] = field(default_factory=set)
    # The database, and the sizes of the pieces in which it is sent, the last one with all the rest.
    data: bytes = b"everything" * 100
    cuts: tuple[int, ...] = (600, 400)
    # The voters that the last look showed.
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.lock = RLock()
        self._undecided: Callable[[], None] | None = None
        self._next_id = 0xA0
        for number in range(1, self.size + 1):
            member = self._new((f"http://etcd-{number}:2380",), is_learner=False)
            member.name, member.alive, member.match = f"etcd-{number}", True, self.index
        self._elect()

    # ---- processes ----

    def start(self, member_id: str, name: str) -> None:
        with self.lock:
            member = self.members[member_id]
            member.name, member.alive = name, True
            self._elect()

    def kill(self, member_id: str) -> None:
        with self.lock:
            member = self.members[member_id]
            member.alive = member.mute = False
            member.buffer.clear()
            self._elect()

    def freeze(self, member_id: str) -> None:
        with self.lock:
            member = self.members[member_id]
            member.alive, member.mute = False, True
            self._elect()

    def revive(self, member_id: str) -> None:
        """It is started again, or thawed: then the requests that it kept go to the leader of now."""
        with self.lock:
            member = self.members[member_id]
            member.alive, member.mute = True, False
            self._elect()
            if self.has_quorum() and self._undecided:
                change, self._undecided = self._undecided, None
                self._commit(change)
            while member.buffer:
                with suppress(MemberflowError):
                    member.buffer.pop(0)()

    # ---- rules ----

    def send(self, to: str, call: Callable[[], T]) -> T:
        """A call to a member, which forwards it to the leader; a frozen one keeps it."""
        receiver = self.members.get(to)
        if receiver and receiver.frozen:
            receiver.buffer.append(call)
            raise e.DeadlineExceeded("Deadline Exceeded", "DEADLINE_EXCEEDED")
        return call()

    def voters(self) -> list[Process]:
        return [m for m in self.members.values() if not m.is_learner]

    def has_quorum(self) -> bool:
        return sum(m.alive for m in self.voters()) >= quorum(len(self.voters()))

    def add_learner(self, peer_urls: tuple[str, ...]) -> Member:
        voters = self.voters()
        if len(voters) > 1 and sum(m.alive for m in voters) < quorum(len(voters) + 1):
            raise e.Unhealthy("etcdserver: unhealthy cluster", "UNAVAILABLE")
        added: list[Process] = []

        def apply() -> None:
            if any(set(m.peer_urls) & set(peer_urls) for m in self.members.values()):
                raise e.PeerURLExist("etcdserver: Peer URLs already exists", "FAILED_PRECONDITION")
            if any(m.is_learner for m in self.members.values()):
                raise e.TooManyLearners("etcdserver: too many learner members in cluster", "FAILED_PRECONDITION")
            added.append(self._new(tuple(sorted(peer_urls)), is_learner=True))
            self.applied.append(("add", added[0].id))

        self._propose(apply)
        self.on_added(added[0])
        return added[0].row

    def promote(self, member_id: str) -> None:
        member = self._known(member_id)
        if member.match / self.members[self._must_lead()].match < READY:
            text = "etcdserver: can only promote a learner member which is in sync with leader"
            raise e.LearnerNotReady(text, "FAILED_PRECONDITION")

        def apply() -> None:
            if not member.is_learner:
                raise e.MemberNotLearner("etcdserver: can only promote a learner member", "FAILED_PRECONDITION")
            member.is_learner = False
            self.applied.append(("promote", member_id))

        self._propose(apply)

    def remove(self, member_id: str) -> None:
        member = self._known(member_id)
        if not member.is_learner:
            rest = [m for m in self.voters() if m is not member]
            if not rest:
                text = "etcdserver: re-configuration failed due to not enough started members"
                raise e.MemberNotEnoughStarted(text, "UNKNOWN")
            if member.alive and sum(m.alive for m in rest) < quorum(len(rest)):
                raise e.Unhealthy("etcdserver: unhealthy cluster", "UNAVAILABLE")

        def apply() -> None:
            del self.members[member_id]
            self.removed.add(member_id)
            self.applied.append(("remove", member_id))

        self._propose(apply)

    def move_leader(self, member_id: str, asked: str = "") -> None:
        """Nobody forwards it: the member that is asked must lead."""
        member = self.members.get(member_id)
        if asked not in ("", self.leader):
            raise e.NotLeader("etcdserver: not leader", "FAILED_PRECONDITION")
        if member_id == self._must_lead():
            return
        if member is None or member.is_learner:
            raise e.BadLeaderTransferee("etcdserver: bad leader transferee", "FAILED_PRECONDITION")
        if not member.alive or not self.has_quorum():
            raise e.TimeoutLeaderTransfer("etcdserver: request timed out, leader transfer took too long", "UNKNOWN")
        self.leader, self.term = member_id, self.term + 1
        self.applied.append(("move", member_id))

    def commit(self) -> None:
        self._propose(lambda: None)

    def sync(self) -> None:
        """Time passes: live members get what the leader has; a learner takes two rounds for it."""
        for member in self.members.values():
            if member.alive and self.has_quorum():
                done = not member.is_learner or member.match > 0
                member.match = self.index if done else self.index // 2

    def _known(self, member_id: str) -> Process:
        if member_id not in self.members:
            raise e.MemberNotFound("etcdserver: member not found", "NOT_FOUND")
        return self.members[member_id]

    def _must_lead(self) -> str:
        if not self.leader:
            raise e.NoLeader("etcdserver: no leader", "UNAVAILABLE")
        return self.leader

    def _new(self, peer_urls: tuple[str, ...], *, is_learner: bool) -> Process:
        self._next_id += 1
        member = Process(f"{self._next_id:x}", peer_urls, is_learner)
        self.members[member.id] = member
        return member

    def _propose(self, change: Callable[[], None]) -> None:
        self._must_lead()
        if not self.has_quorum():
            # Raft keeps one membership change in its log; a second one is dropped in silence.
            self._undecided = self._undecided or change
            raise e.DeadlineExceeded("Deadline Exceeded", "DEADLINE_EXCEEDED")
        self._commit(change)

    def _commit(self, change: Callable[[], None]) -> None:
        self.index += 1
        change()
        for voter in self.voters():
            if voter.alive:
                voter.match = self.index
        if not self.has_quorum():
            self.lost_quorum.append(str(self.applied[-1:]))
        self._elect()

    def _elect(self) -> None:
        """A leader that is frozen without quorum still believes to be one for a while; a dead one is replaced."""
        alive = [m.id for m in self.voters() if m.alive]
        if self.leader not in alive:
            self.leader = alive[0] if self.has_quorum() and alive else ""
            self.term += 1
