"""Others' hands: somebody else's learner in the slot, and a real etcdctl that acts at the same time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember
from messages.ids import change_id
from support.parts.etcd_tools import GO_MODULES, pinned, tool
from support.parts.lab import LOOSE, Cluster, Ended, Join, Lab, ends, eventually, follower


class Etcdctl:
    """etcd's own client, as an operator uses it; it speaks to the members and not to their relays."""

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def run(self, cluster: Cluster, *args: str) -> str:
        """Through the leader: a member that is being removed may not answer any more, and only it moves its lead."""
        command = [self._binary, f"--endpoints={cluster.leader().client_url}", *args]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def add_learner(self, cluster: Cluster, name: str, peer_url: str) -> str:
        """The learner's ID."""
        added = json.loads(
            self.run(cluster, "--write-out=json", "member", "add", name, "--learner", f"--peer-urls={peer_url}")
        )
        return f"{added['member']['ID']:x}"

    def remove(self, cluster: Cluster, member_id: str) -> None:
        self.run(cluster, "member", "remove", member_id)

    def promote(self, cluster: Cluster, member_id: str) -> None:
        self.run(cluster, "member", "promote", member_id)

    def move_leader(self, cluster: Cluster, to: LocalMember) -> None:
        self.run(cluster, "move-leader", cluster.id_of(to))
        eventually(lambda: cluster.leader() is to, "the member to lead")


@pytest.fixture(scope="session")
def etcdctl():
    """The etcdctl of the version that the tests run."""
    return Etcdctl(str(tool("etcdctl")))


@pytest.mark.parametrize("name", ["etcdctl", "etcdutl"])
def test_the_tools_are_of_the_server_s_version(name):
    """One place pins it: local/etcd/version.json."""
    assert f"require go.etcd.io/etcd/{name}/v3 v{pinned()}" in (GO_MODULES / name / "go.mod").read_text()


def not_by_us(end: Ended) -> bool:
    return "not by this change" in " ".join(end.answer["warnings"])


def just_before(lab: Lab, cluster: Cluster, activity: str, workflow_id: str, act: Callable[[], object]) -> None:
    """Has `act` done once, after the activity's own last look has been answered and before it sends its call."""
    done: list[object] = []

    def look_answered() -> None:
        if not done and activity in lab.pending(workflow_id):
            done.append(act)
            act()

    leader = cluster.relays[cluster.leader().name]
    leader.inject(Fault("MemberList", "pass", times=None, answered=look_answered))


# ---- somebody else's learner takes the slot ----


def waits_for_slot(lab: Lab, cluster: Cluster, etcdctl: Etcdctl) -> tuple[Join, str]:
    """A join that waits for somebody else's learner, and that learner's ID."""
    foreign = etcdctl.add_learner(cluster, "stranger", cluster.new_member("stranger").peer_url)
    join = cluster.join(cluster.new_member())
    reason = f"learner {foreign} (not started)"
    eventually(lambda: reason in join.command.said(), "the join to say what it waits for")
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "takes the learner slot" in lab.heartbeat(workflow_id), "the wait to tell it too")
    return join, foreign


def test_it_is_waited_for(lab, etcdctl):
    """With the reason shown and without the turn; once it is gone the join goes on."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    join, foreign = waits_for_slot(lab, cluster, etcdctl)
    seen = lab.run("status", cluster.name, "--json").answer
    assert seen["turns"]["holder"] is None
    etcdctl.remove(cluster, foreign)
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_it_is_given_up_on(lab, etcdctl):
    """After foreign_learner_timeout the join fails, names it, and leaves it where it is."""
    cluster = lab.cluster()
    cluster.policy = {"foreign_learner_timeout": "8s"}
    join, foreign = waits_for_slot(lab, cluster, etcdctl)
    end = join.wait(60)
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert foreign in end.answer["reason"]
    assert "foreign_learner_timeout (8s)" in end.answer["reason"]
    assert "etcdctl" in end.answer["hint"]
    assert cluster.roles()[foreign] == "learner"
    assert cluster.counts() == (0, 0, 0)


def test_a_held_give_up_goes_on(lab, etcdctl):
    """With on_failure = hold, `resume` waits anew once the learner is gone."""
    cluster = lab.cluster()
    cluster.policy = {"foreign_learner_timeout": "6s", "on_failure": "hold"}
    join, foreign = waits_for_slot(lab, cluster, etcdctl)
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "ForeignLearner" in lab.held(workflow_id), "the join to be held")
    etcdctl.remove(cluster, foreign)
    lab.update(workflow_id, "resume")
    join.start_member()
    assert join.wait().code == 0


def test_it_does_not_block_the_removal_of_a_dead_voter(lab, etcdctl):
    """The removal warns of it and leaves it alone."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    foreign = etcdctl.add_learner(cluster, "stranger", cluster.new_member("stranger").peer_url)
    dead = follower(cluster)
    dead.kill()
    end = cluster.remove(dead.name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert foreign in " ".join(end.answer["warnings"])
    assert cluster.roles()[foreign] == "learner"


# ---- the same member, at the same time: a join ----


@pytest.mark.parametrize("starts", [True, False])
def test_it_adds_the_member_first(lab, etcdctl, starts):
    """Our add comes second, if at all. The join goes on with that learner, and never removes it."""
    cluster = lab.cluster()
    cluster.policy = {} if starts else {"start_timeout": "2s"}
    new = cluster.new_member()
    add = partial(etcdctl.add_learner, cluster, new.name, new.peer_url)
    just_before(lab, cluster, "add_learner", cluster.workflow_id(new), add)
    join = cluster.join(new)
    join.handover()
    if starts:
        join.start_member()
    end = join.wait()
    assert any("was not added by this change" in warning for warning in end.answer["warnings"]), end
    if starts:
        assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    else:
        assert (end.code, end.answer["outcome"]) == (1, "failed"), end
        assert cluster.roles()[cluster.id_of(new)] == "learner"
    assert not cluster.sent("MemberRemove")


@pytest.mark.parametrize("moment", ["while it is held", "just before ours"])
def test_it_promotes_the_member_first(lab, etcdctl, moment):
    """That is success, and said to be another's; nothing is attempted again."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new, "--hold-before", "promote")
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: lab.held(workflow_id), "the join to be held")
    if moment == "while it is held":
        etcdctl.promote(cluster, cluster.id_of(new))
    else:
        promote = partial(etcdctl.promote, cluster, cluster.id_of(new))
        just_before(lab, cluster, "promote_learner", workflow_id, promote)
    lab.update(workflow_id, "resume")
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "promoted", True), end
    assert "OK" not in [c.code for c in cluster.sent("MemberPromote")]
    assert not_by_us(end), end


def test_it_removes_the_learner(lab, etcdctl):
    """The join is over: it says who did not do that, adds nothing again, and can be run again."""
    cluster = lab.cluster()
    before = cluster.roles()
    join = cluster.join(cluster.new_member())
    join.handover()
    etcdctl.remove(cluster, cluster.id_of(join.new))
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert "not by this change" in end.answer["reason"]
    assert before == cluster.roles()
    assert cluster.counts() == (1, 0, 0)


# ---- a removal ----


def test_it_removes_the_member_while_the_removal_is_in_line(lab, etcdctl):
    """Already removed, but not by this change."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    holder = cluster.join(cluster.new_member())
    holder.handover()
    target = follower(cluster)
    target_id = cluster.id_of(target)
    removal = cluster.remove(target.name)
    workflow_id = change_id(cluster.name, "remove", target.name)
    eventually(lambda: "its turn behind" in lab.waits_for(workflow_id), "the removal to wait in line")
    etcdctl.remove(cluster, target_id)
    assert lab.run("cancel", cluster.name, holder.new.name).code == 0
    end = removal.wait()
    assert (end.code, end.answer["outcome"], end.answer["member_id"]) == (0, "already-removed", target_id), end
    assert not_by_us(end), end
    assert len(cluster.sent("MemberRemove")) == 1  # the cancelled join's own learner
    assert len(cluster.rows()) == 2


def test_it_removes_the_member_just_before_ours(lab, etcdctl):
    """The next look shows the effect, and it is said whose it was not."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    target_id = cluster.id_of(target)
    workflow_id = change_id(cluster.name, "remove", target.name)
    just_before(lab, cluster, "remove_member", workflow_id, partial(etcdctl.remove, cluster, target_id))
    end = cluster.remove(target.name).wait()
    assert (end.code, end.answer["member_id"]) == (0, target_id), end
    assert "OK" not in [c.code for c in cluster.sent("MemberRemove")]
    assert len(cluster.rows()) == 2
    assert not_by_us(end), end


def test_it_moves_the_leadership_to_the_member_that_goes(lab, etcdctl):
    """While the first removal is refused on the way: leadership is moved away again before the next."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    target_id = cluster.id_of(target)
    leader = cluster.relays[cluster.leader().name]
    leader.inject(Fault("MemberRemove", "refuse", arrives=lambda: etcdctl.move_leader(cluster, target)))
    end = cluster.remove(target.name).wait(60)
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert target_id not in cluster.roles()
    assert len(cluster.sent("MoveLeader")) == 1
    assert len(cluster.sent("MemberRemove")) == 1
    ends(target)
