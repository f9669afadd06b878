"""Every activity of a worker. Waits and watches each have a task queue of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.acts import Acts
from activities.admission import Admission
from activities.clusters_file import Clusters
from activities.credentials import CheckFiles
from activities.desired import Desired, Following
from activities.earlier_changes import EarlierChanges
from activities.launch import Launching
from activities.looks import Looks
from activities.notices import Notices, ReadEnd
from activities.settling import Settling
from activities.snapshot import Snapshots
from activities.taking_turns import Turns
from activities.temporal import Temporal
from activities.waits import Waits

Activities = list[Callable[..., Any]]


def short_activities(clusters: Clusters, temporal: Temporal, admission: Admission) -> Activities:
    """Looks, acts, launches and questions."""
    acts, observe = Acts(clusters, temporal), Looks(clusters, temporal, admission)
    launching, snapshots = Launching(clusters, temporal), Snapshots(clusters, temporal)
    turns = Turns(temporal, clusters, admission)
    return [
        *(observe.read_profile, observe.list_clusters, observe.look_beforehand, observe.check_access),
        *(observe.check_status, observe.check_status_and_turns, observe.check_after_barrier),
        *(acts.add_learner, acts.promote_learner, acts.move_leader, acts.remove_learner, acts.remove_member),
        *(launching.check_launcher, launching.launch_member, launching.describe_launched, launching.stop_launched),
        snapshots.save_snapshot,
        *(turns.ask_turn, turns.turns_run, turns.read_turns, turns.preempt, turns.cancel_change),
        *(turns.ask_change, turns.find_changes),
        Desired(clusters, observe).compare_members,
        EarlierChanges(temporal).began_with,
        CheckFiles(clusters).check_files,
    ]


def waits(clusters: Clusters, temporal: Temporal, admission: Admission, **limits: Any) -> Activities:
    """The waits. `limits` are those of `Waits`."""
    waiting = Waits(clusters, temporal, admission, **limits)
    settling = Settling(clusters, **{name: value for name, value in limits.items() if name == "clock"})
    return [
        *(waiting.wait_for_cluster, waiting.wait_for_sync, waiting.wait_for_verification),
        settling.wait_until_settled,
    ]


def watches(clusters: Clusters, temporal: Temporal, admission: Admission, read_end: ReadEnd) -> Activities:
    """
    The watches of other changes. They run on the event loop, so a thousand of them cost little.

    `read_end` reads how a closed change ended.
    """
    following = Following(temporal)
    return [
        *(Turns(temporal, clusters, admission).watch_holder, following.wait_until_closed, following.wait_for_handover),
        Notices(clusters, temporal, read_end).send_end,
    ]
