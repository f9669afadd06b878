"""Why a member that was added does not start, as far as it can be seen from here."""

from __future__ import annotations

from datetime import timedelta

from membership.model import ClusterStatus
from membership.verdicts import Facts
from membership.witness import PeerList

# Seconds after which a member that has not started is asked for at its peer URL.
ABSENT_AFTER = 15.0

_LEADER = {
    "StateProbe": "the leader gets no answer from it",
    "StateSnapshot": "the leader sends it a snapshot",
    "StateReplicate": "the leader reaches it",
}


def absent_after(start_timeout: timedelta) -> float:
    """Seconds after which the reason is looked for: in time to be told before a short `start_timeout` ends."""
    return min(ABSENT_AFTER, start_timeout.total_seconds() / 2)


def why_absent(status: ClusterStatus, facts: Facts, told: PeerList | str) -> str:
    """
    The evidence, and the next thing to check.

    `told`: the answer at the member's peer URLs, or why there was none.
    """
    if isinstance(told, PeerList):
        if told.cluster_id != status.cluster_id:
            return (
                f"another cluster ({told.cluster_id}) answers at its peer URL, so it was started with "
                "ETCD_INITIAL_CLUSTER_STATE=new or with old data: empty its data directory, and start it with the "
                "values of `memberflow env`"
            )
        return f"it answers this worker at its peer URL, and {_seen(status, facts)}: can the voters reach this URL?"
    return (
        f"{told}, and {_seen(status, facts)}: is etcd running there? It ends at once with a wrong "
        "ETCD_INITIAL_CLUSTER, with old data, or when it is older than the cluster, and its log says so"
    )


def _seen(status: ClusterStatus, facts: Facts) -> str:
    """The leader's view of the member."""
    raft = status.progress.get(facts.member_id)
    return _LEADER.get(raft.state, f"the leader has it in {raft.state}") if raft else "the leader does not show it"
