"""Whatever dies in the middle of a join, the join ends, and nothing takes effect twice."""

from __future__ import annotations

import signal
import time
from threading import Lock

import pytest
from lab import eventually

from etcdapi.relay import Fault

# Seconds within which a change goes on after its worker was killed and started again, on a slow machine too.
GOES_ON_WITHIN = 45


def crash(lab, cluster, method, moment):
    """The worker is killed as a call arrives, or as its answer leaves, and a new one is started at once."""

    once = Lock()  # several members may be asked at the same moment

    def kill_and_restart():
        if once.acquire(blocking=False):
            lab.worker.kill()
            lab.worker.start()

    hook = {"arrives": {"arrives": kill_and_restart}, "answered": {"answered": kill_and_restart}}[moment]
    cluster.inject(Fault(method, "pass", **hook))


@pytest.mark.parametrize("moment", ["arrives", "answered"])
@pytest.mark.parametrize("method", ["Status", "MemberAdd", "MemberPromote"])
def test_worker_killed(lab, method, moment):
    """kill -9 in the preflight, in the add and in the promote; before the effect and after it."""
    cluster = lab.cluster()
    crash(lab, cluster, method, moment)
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    adds, promotes, removes = cluster.counts()
    assert (adds, removes) == (1, 0)
    assert promotes in (1, 2)
    assert list(cluster.roles().values()).count("voter") == 4


def test_worker_killed_while_it_waits_for_the_member(lab):
    """A wait goes on with the clocks of its last heartbeat."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), "the wait")
    lab.worker.kill()
    lab.worker.start()
    join.start_member()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_worker_killed_in_the_rollback(lab):
    """The removal is applied, the worker dead: the next one finds it done."""
    cluster = lab.cluster()
    before = cluster.roles()
    crash(lab, cluster, "MemberRemove", "answered")
    join = cluster.join(cluster.new_member())
    join.handover()
    lab.cancel(cluster.workflow_id(join.new))
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert before == cluster.roles()
    assert cluster.counts() == (1, 0, 1)


def test_worker_stopped_in_order(lab):
    """SIGTERM lets a promote under way end; the next worker goes on, and the promote is not sent again."""
    cluster = lab.cluster()

    def stop_in_background():
        lab.worker.process.send(signal.SIGTERM)

    cluster.inject(Fault("MemberPromote", "delay", seconds=2, arrives=stop_in_background))
    join = cluster.join(cluster.new_member())
    join.start_member()
    assert lab.worker.process.wait(40) == 0
    assert list(cluster.roles().values()).count("voter") == 4
    lab.worker.start()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    assert end.answer["attempts"]["promote"] == 1


@pytest.mark.parametrize("method", ["Status", "MemberList"])
def test_worker_frozen_inside_an_act_sends_nothing_when_thawed(lab, method):
    """Temporal has given the act up while its worker was frozen; a second worker does the work."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new, "--hold-before", "promote")
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: lab.held(workflow_id), "the join to be held")
    frozen = lab.worker
    frozen_at = []

    def freeze():
        # The act's own last look is under way: its answer finds nobody.
        if not frozen_at and "promote_learner" in lab.pending(workflow_id):
            frozen_at.append(time.time())
            frozen.process.send(signal.SIGSTOP)

    # Long enough for the act to time out while frozen.
    leader = cluster.relays[cluster.leader().name]
    leader.inject(Fault(method, "pass", times=None, arrives=freeze))
    lab.worker = lab.another_worker()
    lab.update(workflow_id, "resume")
    eventually(lambda: frozen_at or not join.command.is_running(), "the act in the worker that freezes", 60)
    if not frozen_at:
        pytest.fail("the act never ran in a worker that could be frozen")
    leader.faults.clear()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    sent = len(cluster.sent("MemberPromote"))
    frozen.process.send(signal.SIGCONT)
    eventually(lambda: "nothing was sent" in frozen.log_text(), "the thawed act's report")
    assert (1, sent) == (sent, len(cluster.sent("MemberPromote")))
    frozen.stop()


def test_temporal_restarted(lab):
    """The server is killed while the member is waited for; the join goes on when it is back."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    lab.server.kill()
    join.start_member()
    time.sleep(2)  # the outage itself
    lab.restart_server()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


@pytest.mark.parametrize("kind", ["pass", "lose"])
def test_leader_killed_as_the_promote_arrives(lab, kind):
    """Before or after it took effect; at most two promotes, and a voter in the end."""
    cluster = lab.cluster(fresh=True)
    leader = cluster.leader()
    hook = {"arrives": leader.kill} if kind == "pass" else {"answered": leader.kill}
    cluster.relays[leader.name].inject(Fault("MemberPromote", kind, **hook))
    new = cluster.new_member()
    join = cluster.join(new)
    join.start_member()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    rows = {f"{r.ID:x}": r.isLearner for r in cluster.rows(new)}
    assert len(rows) == 4
    assert not any(rows.values())
    adds, promotes, removes = cluster.counts()
    assert (adds, removes) == (1, 0)
    assert promotes <= 2


@pytest.mark.parametrize("meanwhile", ["nothing", "cancel", "clock"])
def test_followers_frozen_while_the_promote_is_in_flight(lab, meanwhile):
    """It may commit long after its deadline: neither a cancel nor a clock removes the member before that is known."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"join_timeout": "25s"} if meanwhile == "clock" else {}
    leader = cluster.leader()
    followers = [m for m in cluster.members if m is not leader]
    new = cluster.new_member()

    def freeze():
        for follower in followers:
            follower.freeze()

    cluster.relays[leader.name].inject(Fault("MemberPromote", "pass", arrives=freeze))
    join = cluster.join(new)
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: "what became of promote" in lab.waits_for(workflow_id), "the barrier", 40)
    if meanwhile == "cancel":
        lab.cancel(workflow_id)
    if meanwhile == "clock":
        eventually(lambda: lab.timer_fired(workflow_id), "join_timeout", 40)
    for follower in followers:
        follower.thaw()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    adds, promotes, removes = cluster.counts()
    assert (adds, removes) == (1, 0)
    assert promotes <= 2
    assert cluster.roles()[end.answer["member_id"]] == "voter"


def test_new_member_killed_as_the_promote_is_answered(lab):
    """It is a voter, nobody can verify it, and that is what is said."""
    cluster = lab.cluster()
    new = cluster.new_member()
    cluster.inject(Fault("MemberPromote", "pass", answered=new.kill))
    join = cluster.join(new)
    join.start_member()
    end = join.wait(60)
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "promoted", False), end
    assert "not verified" in " ".join(end.answer["warnings"])
    assert cluster.counts() == (1, 1, 0)
