"""hold, resume and cancel, at every stage: by the command line, and by Temporal's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from lab import Cluster, Join, Lab, eventually

from etcdapi.relay import Fault
from membership.requests import Verb, change_id

LOOSE = {"min_voters": 1, "min_spare": 0}


def by_cli(lab: Lab, cluster: Cluster, verb: str, join: Join) -> None:
    """`memberflow hold`, `resume` or `cancel`."""
    end = lab.run(verb, cluster.name, join.new.name)
    assert end.code == 0, end


def by_temporal(lab: Lab, cluster: Cluster, verb: str, join: Join) -> None:
    """`temporal workflow update execute`, for a caller that has no memberflow."""
    lab.update(cluster.workflow_id(join.new), verb)


# ---- stages of a join: how to bring one there and keep it there, and what lets it go on ----


@dataclass
class Stage:
    """A join that stays where it is until `let_go`."""

    join: Join
    let_go: Callable[[], None]
    adds: int


def queued(lab: Lab, cluster: Cluster) -> Stage:
    holder = cluster.join(cluster.new_member())
    holder.handover()
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "waits for its turn" in lab.heartbeat(workflow_id), "the second join to wait in line")

    def let_go() -> None:
        holder.start_member()
        holder.wait_quietly()

    return Stage(join, let_go, adds=0)


def added(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), "the wait for the member")
    return Stage(join, join.start_member, adds=1)


def syncing(lab: Lab, cluster: Cluster) -> Stage:
    """The learner runs, but its own word on how far it is doesn't come through."""
    join = cluster.join(cluster.new_member())
    relay = cluster.relays[join.new.name]
    relay.inject(Fault("Status", "refuse", times=None))
    join.start_member()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "does not answer" in lab.heartbeat(workflow_id), "the sync to wait for the learner")
    return Stage(join, relay.faults.clear, adds=1)


def before_promote(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: "hold_before" in lab.held(cluster.workflow_id(join.new)), "the join to be held")
    return Stage(join, lambda: None, adds=1)


BOTH = (by_cli, by_temporal)


@pytest.mark.parametrize(
    ("reach", "ways"),
    [(queued, BOTH), (added, BOTH), (syncing, BOTH), (before_promote, BOTH[:1]), (before_promote, BOTH[1:])],
)
def test_held_and_resumed(lab, reach, ways):
    """Held it goes no further, whatever becomes of what it waited for; resumed it ends as if nothing had been."""
    cluster = lab.cluster()
    stage = reach(lab, cluster)
    workflow_id = cluster.workflow_id(stage.join.new)
    promotes = len(cluster.sent("MemberPromote"))
    for steer in ways:
        steer(lab, cluster, "hold", stage.join)
        assert lab.held(workflow_id)
        if steer is ways[-1]:
            stage.let_go()
        assert set(lab.pending(workflow_id)) <= {"keep_turn"}
        assert promotes == len(cluster.sent("MemberPromote")) - (reach is queued and steer is ways[-1])
        steer(lab, cluster, "resume", stage.join)
    if reach is queued:
        stage.join.start_member()
    end = stage.join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.roles()[end.answer["member_id"]] == "voter"


@pytest.mark.parametrize("reach", [queued, added, syncing, before_promote])
def test_held_and_cancelled(lab, reach):
    """A held change can be cancelled; nothing of it is left."""
    cluster = lab.cluster()
    before = cluster.roles()
    stage = reach(lab, cluster)
    by_temporal(lab, cluster, "hold", stage.join)
    by_temporal(lab, cluster, "cancel", stage.join)
    end = stage.join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert lab.status(cluster.workflow_id(stage.join.new)) == "WORKFLOW_EXECUTION_STATUS_CANCELED"
    assert cluster.counts() == (1, 0, stage.adds)
    if stage.adds:
        assert before == cluster.roles()


def test_cancelled_while_syncing(lab):
    """Without a hold before it; the command waits until the rollback is done."""
    cluster = lab.cluster()
    before = cluster.roles()
    join = syncing(lab, cluster).join
    end = lab.run("cancel", cluster.name, join.new.name, "--json")
    assert (end.code, end.answer["outcome"]) == (0, "cancelled"), end
    assert before == cluster.roles()
    assert join.wait().code == 1


def test_held_in_line_others_go_first(lab):
    """A held change needs nothing of the cluster, so it doesn't keep the turn from those behind it."""
    cluster = lab.cluster()
    stage = queued(lab, cluster)
    by_cli(lab, cluster, "hold", stage.join)
    holder = next(j for j in lab.commands if j is not stage.join.command and j.is_running())
    last = cluster.join(cluster.new_member())
    last_id = cluster.workflow_id(last.new)
    eventually(lambda: "waits for its turn" in lab.heartbeat(last_id), "the third join to wait in line")
    lab.run("cancel", cluster.name, cluster.members[3].name)
    holder.wait()
    last.handover(20)
    last.start_member()
    assert last.wait().code == 0
    assert lab.held(cluster.workflow_id(stage.join.new))
    by_cli(lab, cluster, "resume", stage.join)
    stage.join.start_member()
    assert stage.join.wait().code == 0


# ---- too late ----


def refused(lab: Lab, cluster: Cluster, verb: str, name: str) -> None:
    """By both ways, in the same words."""
    end = lab.run(verb, cluster.name, name)
    assert end.code == 1, end
    assert "too late: the change is past its last safe point" in end.stderr


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_too_late_after_the_promote(lab, verb):
    """The member is a voter, only its own word is missing: a clear refusal, and it stays one."""
    cluster = lab.cluster()
    new = cluster.new_member()
    cluster.inject(Fault("MemberPromote", "pass", answered=new.freeze))
    join = cluster.join(new)
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: lab.view(workflow_id)["stage"] == "verify", "the promote")
    refused(lab, cluster, verb, new.name)
    with pytest.raises(AssertionError, match="too late: the change is past its last safe point"):
        lab.update(workflow_id, verb)
    new.thaw()
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "promoted", True), end
    assert cluster.counts() == (1, 1, 0)


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_too_late_while_the_promote_is_under_way(lab, verb):
    """Asked for in time, but the promote takes effect first: exit 1, and what became of it."""
    cluster = lab.cluster()
    asked = []

    def ask() -> None:
        asked.append(lab.command(verb, cluster.name, new.name, "--json"))
        update = "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
        eventually(lambda: update in lab.events(cluster.workflow_id(new)), "the update")

    new = cluster.new_member()
    cluster.inject(Fault("MemberPromote", "pass", arrives=ask))
    join = cluster.join(new)
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    late = asked[0].wait()
    assert late.code == 1, late
    assert "promoted" in late.stdout or "too late" in late.stderr, late
    assert cluster.counts() == (1, 1, 0)


def test_steering_what_is_not_running(lab):
    """Exit 1 for a change that has ended, 2 for one that never was."""
    cluster = lab.cluster(1, fresh=True)
    join = cluster.join(cluster.new_member())
    join.start_member()
    assert join.wait().code == 0
    for verb in ("hold", "resume", "cancel"):
        ended = lab.run(verb, cluster.name, join.new.name)
        assert ended.code == 1, ended
        assert "not running any more" in ended.stderr
        unknown = lab.run(verb, cluster.name, "nobody")
        assert unknown.code == 2, unknown
        assert "no change of nobody" in unknown.stderr


def test_resuming_what_is_not_held(lab):
    """Exit 1, and the change goes on."""
    cluster = lab.cluster()
    stage = added(lab, cluster)
    end = lab.run("resume", cluster.name, stage.join.new.name)
    assert end.code == 1, end
    assert "the change is not held" in end.stderr
    stage.let_go()
    assert stage.join.wait().code == 0


def test_several_changes_of_one_name(lab):
    """Exit 2 with a list; --verb decides."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    stage = before_promote(lab, cluster)
    name = stage.join.new.name
    removal = cluster.remove(name)
    removal_id = change_id(cluster.name, "remove", name)
    eventually(lambda: "waits for its turn" in lab.heartbeat(removal_id), "the removal to wait in line")
    for verb in ("hold", "resume", "cancel"):
        end = lab.run(verb, cluster.name, name)
        assert end.code == 2, end
        assert f"several changes of {name}: join, remove" in end.stderr
        assert "--verb" in end.stderr
    assert lab.run("hold", cluster.name, name, "--verb", "leave").code == 2
    assert lab.run("hold", cluster.name, name, "--verb", "replace").code == 2
    assert lab.run("hold", cluster.name, name, "--verb", "remove").code == 0
    assert lab.held(removal_id)
    assert lab.run("cancel", cluster.name, name, "--verb", "remove").code == 0
    assert removal.wait().code == 1
    assert lab.run("resume", cluster.name, name, "--verb", "join").code == 0
    assert stage.join.wait().code == 0


# ---- on_failure = hold ----


def test_a_failure_that_is_held_can_be_cancelled(lab):
    """Resumed without being mended it is held again; cancelled it leaves nothing."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "2s", "on_failure": "hold"}
    before = cluster.roles()
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "StartTimeout" in lab.held(workflow_id), "the join to be held")
    by_cli(lab, cluster, "resume", join)
    eventually(lambda: "has not started" in lab.waits_for(workflow_id), "the wait to go on")
    eventually(lambda: "StartTimeout" in lab.held(workflow_id), "the join to be held again")
    by_temporal(lab, cluster, "cancel", join)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert before == cluster.roles()
    assert cluster.counts() == (1, 0, 1)


# ---- removals and replacements ----


def waiting_removal(lab: Lab, verb: Verb, cluster: Cluster, name: str) -> str:
    """The workflow ID of a change whose removals don't get through, once it waits before another attempt."""
    workflow_id = change_id(cluster.name, verb, name)
    eventually(lambda: "before another remove" in lab.waits_for(workflow_id), "the wait before another removal", 60)
    return workflow_id


@pytest.mark.parametrize("way_out", ["resume", "cancel"])
def test_a_removal_held_while_it_waits(lab, way_out):
    """Resumed the member goes; cancelled it stays, and is asked for its status again."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    leader = cluster.leader()
    target = next(m for m in cluster.members if m is not leader)
    target_id = cluster.id_of(target)
    cluster.inject(Fault("MemberRemove", "refuse", times=None))
    removal = cluster.remove(target.name)
    workflow_id = waiting_removal(lab, "remove", cluster, target.name)
    assert lab.run("hold", cluster.name, target.name).code == 0
    assert lab.held(workflow_id)
    for relay in cluster.relays.values():
        relay.faults.clear()
    assert lab.run(way_out, cluster.name, target.name).code == 0
    end = removal.wait()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "removed"), end
        assert target_id not in cluster.roles()
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert len(cluster.rows()) == 3
        eventually(lambda: asked_again(lab, cluster, target_id), "the member to be asked again")
        assert not cluster.sent("MemberRemove")


def asked_again(lab: Lab, cluster: Cluster, member_id: str) -> bool:
    return member_id in lab.run("status", cluster.name, "--json").answer["status"]["statuses"]


def test_a_removal_cancelled_as_it_is_sent_comes_too_late(lab):
    """It took effect: exit 1 for who cancelled, and the removal is what it is."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    leader = cluster.leader()
    target = next(m for m in cluster.members if m is not leader)
    workflow_id = change_id(cluster.name, "remove", target.name)
    asked = []

    def ask() -> None:
        asked.append(lab.command("cancel", cluster.name, target.name, "--json"))
        requested = "EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED"
        eventually(lambda: requested in lab.events(workflow_id), "the cancel")

    cluster.inject(Fault("MemberRemove", "pass", arrives=ask))
    end = cluster.remove(target.name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    late = asked[0].wait()
    assert (late.code, late.answer["outcome"]) == (1, "removed"), late


def test_a_replace_cancelled_between_its_halves(lab):
    """The old one is gone, so it can't end as if nothing had been: it says what stands, and goes on when run again."""
    cluster = lab.cluster(fresh=True)
    leader = cluster.leader()
    old = next(m for m in cluster.members if m is not leader)
    old_id = cluster.id_of(old)
    old.kill()
    new = cluster.new_member()
    replace = cluster.replace(old.name, new)
    replace.handover()
    assert lab.run("hold", cluster.name, new.name).code == 0
    assert lab.held(cluster.workflow_id(new, "replace"))
    cancel = lab.run("cancel", cluster.name, new.name, "--json")
    assert (cancel.code, cancel.answer["outcome"]) == (1, "failed"), cancel
    assert "old removed, new not joined" in cancel.answer["reason"]
    assert "run the same command again" in cancel.answer["hint"]
    assert replace.wait().code == 1
    assert list(cluster.roles().values()) == ["voter"] * 2
    assert old_id not in cluster.roles()
    replace.env_file.unlink()
    again = cluster.replace(old.name, new)
    again.start_member()
    end = again.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3


def test_a_replace_cancelled_before_anything_stands(lab):
    """The new one is only a learner yet: all of it is taken back."""
    cluster = lab.cluster()
    before = cluster.roles()
    leader = cluster.leader()
    old = next(m for m in cluster.members if m is not leader)
    replace = cluster.replace(old.name, cluster.new_member(), "--hold-before", "promote")
    replace.start_member()
    workflow_id = cluster.workflow_id(replace.new, "replace")
    eventually(lambda: lab.held(workflow_id), "the replace to be held")
    assert lab.run("cancel", cluster.name, replace.new.name).code == 0
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert before == cluster.roles()


def test_a_replace_cancelled_after_the_join(lab):
    """The new one is a voter and stays one; the old one stays too, and goes when the same command is run again."""
    cluster = lab.cluster(fresh=True)
    leader = cluster.leader()
    old = next(m for m in cluster.members if m is not leader)
    cluster.inject(Fault("MemberRemove", "refuse", times=None))
    replace = cluster.replace(old.name, cluster.new_member())
    replace.start_member()
    waiting_removal(lab, "replace", cluster, replace.new.name)
    cancel = lab.run("cancel", cluster.name, replace.new.name, "--json")
    assert (cancel.code, cancel.answer["outcome"]) == (1, "failed"), cancel
    assert "new joined, old not removed" in cancel.answer["reason"]
    assert list(cluster.roles().values()) == ["voter"] * 4
    for relay in cluster.relays.values():
        relay.faults.clear()
    end = cluster.replace(old.name, replace.new).wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert cluster.counts() == (1, 1, 1)


def test_a_replace_is_held_or_says_that_it_is_not(lab):
    """A hold asked for while the promote is under way finds the next safe point: between the halves."""
    cluster = lab.cluster(fresh=True)
    leader = cluster.leader()
    old = next(m for m in cluster.members if m is not leader)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new, "replace")
    asked = []

    def ask() -> None:
        asked.append(lab.command("hold", cluster.name, new.name))
        update = "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
        eventually(lambda: update in lab.events(workflow_id), "the hold")

    cluster.inject(Fault("MemberPromote", "pass", arrives=ask))
    replace = cluster.replace(old.name, new)
    replace.start_member()
    eventually(lambda: asked and not asked[0].is_running(), "the answer to the hold", 60)
    hold = asked[0].wait()
    if hold.code == 0:
        assert lab.held(workflow_id)
        assert lab.run("resume", cluster.name, new.name).code == 0
    end = replace.wait(60)
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), (hold, end)
