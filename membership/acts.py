"""What goes to activities and comes back from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from membership.judgements import Join
from membership.turns import Ticket


@dataclass(frozen=True)
class Look:
    """
    One look at a cluster; members in `avoid` are not asked for anything.

    `patience`: for so many seconds it begins anew while the cluster can't be read, as during an election.
    """

    cluster: str
    avoid: tuple[str, ...] = ()
    patience: float = 0.0


@dataclass(frozen=True)
class Order:
    """A step of a join to be watched, or acted on by the change that has `ticket`."""

    step: str
    join: Join
    ticket: Ticket

    @property
    def cluster(self) -> str:
        return self.join.request.cluster


@dataclass(frozen=True)
class ActReport:
    """
    What an act knows of its one call.

    `applied`: "yes" (etcd said so, or the list shows it), "no" (not sent, or certainly refused), "maybe".
    `reason` is why nothing was sent, or what came back; `error` is its name. It chooses how long to pause and
    what to tell a person; what is done next is decided by looking.
    """

    sent: bool
    applied: Literal["yes", "no", "maybe"]
    error: str = ""
    reason: str = ""
    turn_lost: bool = False
    answer_lost: bool = False


def not_sent(reason: str, *, turn_lost: bool = False) -> ActReport:
    return ActReport(sent=False, applied="no", error="NotSent", reason=reason, turn_lost=turn_lost)
