"""Hold, resume and cancel in quick succession, or as the change ends anyway: how it ends stays true."""

from __future__ import annotations

from threading import Thread

from etcdapi.faults import Fault
from support.parts.lab import Lab, eventually


def updated(lab: Lab, workflow_id: str, name: str) -> bool:
    """Whether the workflow took the update."""
    try:
        lab.update(workflow_id, name)
    except AssertionError:
        return False
    return True


def is_being_cancelled(lab: Lab, workflow_id: str) -> bool:
    """Whether the wait for the member was asked to end, and has not yet."""
    waits = [a for a in lab.executions.pending(workflow_id) if a["activityType"]["name"] == "wait_for_sync"]
    return any(a["state"] == "PENDING_ACTIVITY_STATE_CANCEL_REQUESTED" for a in waits)


def test_held_and_let_go_at_once(lab):
    """The wait that the hold ended begins again; the join is not rolled back for it."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "has not started" in lab.waits_for(workflow_id), "the wait")
    hold = Thread(target=lambda: updated(lab, workflow_id, "hold"))
    hold.start()
    eventually(lambda: is_being_cancelled(lab, workflow_id), "the wait to be asked to end")
    assert updated(lab, workflow_id, "resume")
    hold.join()
    eventually(lambda: not is_being_cancelled(lab, workflow_id), "the wait to end")
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_cancelled_as_the_promote_is_answered(lab):
    """Too late, whether the workflow's code hears of it or not: what took effect is not called cancelled."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    cancels: list[Thread] = []

    def cancel() -> None:
        cancels.append(Thread(target=lambda: lab.command("cancel", cluster.name, join.new.name).wait()))
        cancels[0].start()

    cluster.inject(Fault("MemberPromote", "pass", answered=cancel))
    join.start_member()
    end = join.wait()
    cancels[0].join()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert lab.status(workflow_id) == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
    assert cluster.roles()[end.answer["member_id"]] == "voter"
