"""The faults of a relay, and its notes on the calls that pass."""

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
    """A fault for the next calls of one method."""

    #: The method's name, or `GET <path>` for plain HTTP.
    method: str
    #: lose: forwarded, and the answer never comes. unavailable: forwarded, then answered UNAVAILABLE. Both apply only
    #: to a call that succeeds: a call that the member refuses passes. refuse: answered UNAVAILABLE without being
    #: forwarded. delay: forwarded `seconds` later. pass: forwarded. forget: forwarded, and the member never learns
    #: that the caller gives up, as when the caller's machine freezes. Over plain HTTP every kind except pass drops
    #: the connection.
    kind: FaultKind
    #: The number of calls that are still affected. None: all.
    times: int | None = 1
    #: The delay.
    seconds: float = 0.0
    #: Called before anything else happens to the call.
    arrives: Callable[[], None] | None = None
    #: Called when the member has answered.
    answered: Callable[[], None] | None = None
    #: The number of calls that were affected.
    hits: int = 0

    def hit(self) -> None:
        self.times = None if self.times is None else self.times - 1
        self.hits += 1

    def missed(self) -> None:
        """The call passed after all."""
        self.times = None if self.times is None else self.times + 1
        self.hits -= 1


@dataclass
class Call:
    """A gRPC call that passed the relay, or a plain HTTP request that the relay refused."""

    #: The method's name, or `GET <path>` for plain HTTP.
    method: str
    #: Unix time in seconds at which the call came.
    at: float = field(default_factory=time.time)
    #: The kind of the fault. Empty: none.
    fault: str = ""
    #: Whether the member was sent the call.
    forwarded: bool = False
    #: The code of the member's answer. Empty: the member was not asked.
    code: str = ""
    #: Unix time in seconds at which the call ended. None: it is under way.
    ended: float | None = None
    #: Without tokens.
    metadata: tuple[tuple[str, str], ...] = ()
    #: For a change of the cluster: the peer URLs of an add, otherwise a member ID. Empty for other calls.
    subject: str = ""
    #: The ID of the member that a change of the cluster is about. For an add it comes from the member's answer.
    member_id: str = ""


def describe(call: Call, request: bytes) -> None:
    """Notes the subject of a change of the cluster. Ignores other requests and unreadable ones."""
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
    """Notes the ID of the member that an add made."""
    if call.method == "MemberAdd" and call.code == "OK":
        call.member_id = f"{rpc_pb2.MemberAddResponse.FromString(answer).member.ID:x}"
