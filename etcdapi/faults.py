"""What a relay does to the calls that come by, and what it notes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.message import DecodeError

from etcdapi.stubs import rpc_pb2

FaultKind = Literal["lose", "unavailable", "refuse", "delay", "pass", "forget"]


@dataclass
class Fault:
    """
    What happens to the next `times` calls of `method` (None: to all).

    lose: forwarded, and its answer never comes. unavailable: forwarded, then answered UNAVAILABLE. Both happen
    to a call that succeeds; one that the member refuses goes by. refuse: answered UNAVAILABLE without being
    forwarded. delay: forwarded `seconds` later. pass: forwarded. forget: forwarded, and the member never learns that
    the caller gives up, as when the caller's machine freezes with it.
    `arrives` is called before anything else, `answered` when the member has answered. For plain HTTP the
    method is `GET <path>`, and every kind but pass drops the connection.
    `hits` counts the calls that it happened to.
    """

    method: str
    kind: FaultKind
    times: int | None = 1
    seconds: float = 0.0
    arrives: Callable[[], None] | None = None
    answered: Callable[[], None] | None = None
    hits: int = 0

    def hit(self) -> None:
        self.times = None if self.times is None else self.times - 1
        self.hits += 1

    def missed(self) -> None:
        """The call went by after all."""
        self.times = None if self.times is None else self.times + 1
        self.hits -= 1


@dataclass
class Call:
    """
    A gRPC call that came by, or a plain HTTP request that was refused.

    `code` is what the member answered, empty when it was not asked. Of a change of the cluster, `subject` is what
    it asks for (the peer URLs of an add, else a member ID) and `member_id` the member that it is about: of an add,
    the one that the member answered with.
    """

    method: str
    at: float = field(default_factory=time.time)
    fault: str = ""
    forwarded: bool = False
    code: str = ""
    ended: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    subject: str = ""
    member_id: str = ""


def describe(call: Call, request: bytes) -> None:
    """Notes what a request asks for; nothing, where it is no change of the cluster or not to be read."""
    try:
        match call.method:
            case "MemberAdd":
                call.subject = ",".join(rpc_pb2.MemberAddRequest.FromString(request).peerURLs)
            case "MemberPromote":
                call.member_id = call.subject = f"{rpc_pb2.MemberPromoteRequest.FromString(request).ID:x}"
            case "MemberRemove":
                call.member_id = call.subject = f"{rpc_pb2.MemberRemoveRequest.FromString(request).ID:x}"
            case "MoveLeader":
                call.member_id = call.subject = f"{rpc_pb2.MoveLeaderRequest.FromString(request).targetID:x}"
    except DecodeError:
        return


def describe_answer(call: Call, answer: bytes) -> None:
    """Notes which member an add made."""
    if call.method == "MemberAdd" and call.code == "OK":
        call.member_id = f"{rpc_pb2.MemberAddResponse.FromString(answer).member.ID:x}"
