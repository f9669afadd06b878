"""hold, resume and cancel, at every stage: by the command line, and by Temporal's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from lab import LOOSE, Cluster, Command, Join, Lab, eventually, follower

from etcdapi.relay import Fault
from membership.requests import Verb, change_id


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
    """A join that stays where it is until `let_go`; the join that is ahead of it, if one is."""

    join: Join
    let_go: Callable[[], None]
    ahead: Join | None = None


def queued(lab: Lab, cluster: Cluster) -> Stage:
    holder = cluster.join(cluster.new_member())
    holder.handover()
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "waits for its turn" in lab.heartbeat(workflow_id), "the second join to wait in line")

    def let_go() -> None:
        holder.start_member()
        holder.wait_quietly()

    return Stage(join, let_go, ahead=holder)


def added(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), "the wait for the member")
    return Stage(join, join.start_member)


def syncing(lab: Lab, cluster: Cluster) -> Stage:
    """The learner runs, but its own word on how far it is doesn't come through."""
    join = cluster.join(cluster.new_member())
    relay = cluster.relays[join.new.name]
    relay.inject(Fault("Status", "refuse", times=None))
    join.start_member()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "does not answer" in lab.heartbeat(workflow_id), "the sync to wait for the learner")
    return Stage(join, relay.faults.clear)


def before_promote(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: "hold_before" in lab.held(cluster.workflow_id(join.new)), "the join to be held")
    return Stage(join, lambda: None)


STAGES = pytest.mark.parametrize("reach", [queued, added, syncing, before_promote])


@STAGES
def test_held_and_resumed(lab, reach):
    """Held it goes no further, whatever becomes of what it waited for; resumed it ends as if nothing had been."""
    cluster = lab.cluster()
    stage = reach(lab, cluster)
    workflow_id = cluster.workflow_id(stage.join.new)
    by_cli(lab, cluster, "hold", stage.join)
    assert lab.held(workflow_id)
    stage.let_go()
    assert set(lab.pending(workflow_id)) <= {"keep_turn"}
    promotes = len(cluster.sent("MemberPromote"))
    assert promotes == bool(stage.ahead)
    by_temporal(lab, cluster, "resume", stage.join)
    if stage.join.new.process is None:
        stage.join.start_member()
    end = stage.join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert promotes + 1 == len(cluster.sent("MemberPromote"))


@STAGES
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
    assert cluster.counts() == ((1, 0, 0) if stage.ahead else (1, 0, 1))
    if stage.ahead:
        by_temporal(lab, cluster, "cancel", stage.ahead)
        stage.ahead.wait_quietly()
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
    first = added(lab, cluster).join
    held, last = cluster.join(cluster.new_member()), cluster.new_member()
    held_id = cluster.workflow_id(held.new)
    eventually(lambda: "waits for its turn" in lab.heartbeat(held_id), "the second join to wait in line")
    by_cli(lab, cluster, "hold", held)
    behind = cluster.join(last)
    eventually(lambda: "waits for its turn" in lab.heartbeat(cluster.workflow_id(last)), "the third to wait in line")
    by_cli(lab, cluster, "cancel", first)
    behind.handover(20)
    behind.start_member()
    assert behind.wait().code == 0
    assert lab.held(held_id)
    by_cli(lab, cluster, "resume", held)
    held.start_member()
    assert held.wait().code == 0


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
    end = join.wait(40)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    late = asked[0].wait()
    assert late.code == 1, late
    assert "promoted" in late.stdout or "too late" in late.stderr, late
    assert cluster.counts() == (1, 1, 0)


def test_steering_what_is_not_running(lab):
    """Exit 1 for a change that is not held, or has ended; 2 for one that never was."""
    cluster = lab.cluster()
    stage = added(lab, cluster)
    name = stage.join.new.name
    end = lab.run("resume", cluster.name, name)
    assert end.code == 1, end
    assert "the change is not held" in end.stderr
    stage.let_go()
    assert stage.join.wait().code == 0
    for verb in ("hold", "resume", "cancel"):
        ended = lab.run(verb, cluster.name, name)
        assert ended.code == 1, ended
        assert "not running any more" in ended.stderr
    unknown = lab.run("hold", cluster.name, "nobody")
    assert unknown.code == 2, unknown
    assert "no change of nobody" in unknown.stderr


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
    # Of those that have ended, the latest to start.
    assert '"cancelled"' in lab.run("watch", cluster.name, name, "--json").stdout


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


@pytest.mark.parametrize("way_out", ["cancel", "resume"])
def test_a_removal_held_while_it_waits(lab, way_out):
    """Resumed the member goes; cancelled it stays, and is asked for its status again."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    target = follower(cluster)
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


def cancelled_as_it_is_sent(lab: Lab, cluster: Cluster, method: str, workflow_id: str) -> list[Command]:
    """A `memberflow cancel` that begins as the call arrives at etcd; the call goes on once Temporal knows of it."""
    asked: list[Command] = []

    def ask() -> None:
        asked.append(lab.command("cancel", cluster.name, workflow_id.rsplit(":", 1)[-1], "--json"))
        requested = "EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED"
        eventually(lambda: requested in lab.events(workflow_id), "the cancel")

    cluster.inject(Fault(method, "pass", arrives=ask))
    return asked


def test_a_removal_cancelled_as_it_is_sent(lab):
    """It takes effect, so that is what is told; exit 1 for who cancelled."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    asked = cancelled_as_it_is_sent(lab, cluster, "MemberRemove", change_id(cluster.name, "remove", target.name))
    end = cluster.remove(target.name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    late = asked[0].wait()
    assert (late.code, late.answer["outcome"]) == (1, "removed"), late


def test_a_replace_cancelled_as_the_old_one_is_removed(lab):
    """It takes effect: the cluster is not as before, and the replace doesn't say that it is."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    old.kill()
    new = cluster.new_member()
    asked = cancelled_as_it_is_sent(lab, cluster, "MemberRemove", cluster.workflow_id(new, "replace"))
    end = cluster.replace(old.name, new).wait()
    assert len(cluster.rows()) == 2
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert "old removed, new not joined" in end.answer["reason"]
    assert asked[0].wait().code == 1


def test_a_replace_cancelled_between_its_halves(lab):
    """The old one is gone, so it can't end as if nothing had been: it says what stands, and goes on when run again."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
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
    old = follower(cluster)
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
    old = follower(cluster)
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
    """A hold asked for while the promote is under way: whoever is told that it came too late is not held later."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new, "replace")
    asked = []

    def ask() -> None:
        asked.append(lab.command("hold", cluster.name, new.name))
        update = "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
        eventually(lambda: update in lab.events(workflow_id), "the hold")

    cluster.inject(Fault("MemberPromote", "pass", arrives=ask, answered=new.freeze))
    replace = cluster.replace(old.name, new)
    replace.start_member()
    eventually(lambda: lab.view(workflow_id)["stage"] == "verify", "the promote", 60)
    new.thaw()
    hold = asked[0].wait(60)
    if hold.code == 0:
        assert lab.held(workflow_id)
        assert lab.run("resume", cluster.name, new.name).code == 0
    end = replace.wait(40)
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), (hold, end)
