"""A change that is blind, overtaken, or finds what somebody else did at an awkward moment."""

from __future__ import annotations

import pytest

from membership.etcd_errors import NO_ACCESS, PermissionDenied
from support.memory.faulty import Trouble
from support.memory.scenes import LOOSE, Scene, cancelled, failure, held, looked, misconfigured, until, url, view, waits

# ---- blind ----


async def test_the_quorum_is_lost_after_the_promote(scene):
    """Silence is no failure: it is promoted and not verified, and the turn is free again."""
    made = scene(2, **LOOSE)
    made.starts_at_once()
    promote = made.cluster.promote

    def promoted(member_id):
        promote(member_id)
        made.cluster.kill(member_id)

    def then(_):
        if "promote" in made.applied:
            made.cluster.kill(made.member("etcd-2").id)

    made.cluster.promote = promoted
    looked(made, then)
    join = await made.join()
    end = await join.result()
    assert (end.outcome, end.verified) == ("promoted", False)
    assert any("is not verified: cannot look" in warning for warning in end.warnings)


async def test_a_split_view_is_one_again(scene):
    """The same command after a SplitView says so once more: the member still calls itself a learner."""
    made = scene(3)
    made.starts_at_once()
    first = await made.join()

    async def is_added():
        return made.applied

    await until(is_added, "the add")
    made.cluster.denying.add(made.cluster.applied[0][1])
    assert (await failure(first))[0] == "SplitView"
    assert (await failure(await made.join()))[0] == "SplitView"
    assert made.applied == ["add", "promote"]
    made.cluster.denying.clear()
    assert (await (await made.join()).result()).outcome == "already-voter"


async def test_a_split_view_in_a_replacement(scene):
    """Both halves stand, and it says nothing else."""
    made = scene(3, **LOOSE)
    made.cluster.kill(made.member("etcd-3").id)

    def on_added(member):
        made.cluster.start(member.id, "etcd-9")
        made.cluster.denying.add(member.id)

    made.cluster.on_added = on_added
    error, end = await failure(await made.replace())
    assert error == "SplitView"
    assert "not joined" not in end.reason


async def test_cancelled_without_the_right_to_remove(scene):
    """Its learner stays, so it does not end as one that was taken back."""
    made = scene(3)
    join = await made.join()
    await waits(join, "sync")

    def remove(*_args, **_more):
        raise PermissionDenied("etcdserver: permission denied")

    right, made.etcd.remove = made.etcd.remove, remove
    await join.cancel()
    error, end = await failure(join)
    assert (error, end.outcome) == ("PermissionDenied", "failed")
    assert "its learner could not be removed" in end.reason
    assert (made.applied, made.added().name) == (["add"], "")
    made.etcd.remove = right
    made.cluster.on_added = lambda member: made.cluster.start(member.id, "etcd-8")
    end = await (await made.join("etcd-8")).result()
    assert (end.outcome, made.applied) == ("promoted", ["add", "remove", "add", "promote"])
    assert any("left behind by" in warning for warning in end.warnings)


@pytest.mark.parametrize("error", NO_ACCESS)
async def test_each_refusal_of_the_caller_ends_an_act(scene, error):
    """No waiting helps: the looks succeed, so etcd knows the caller, and refuses it."""
    made = scene(3)

    def add(*_args, **_more):
        raise error("etcdserver: refused")

    made.etcd.add_learner = add
    name, end = await failure(await made.join())
    assert (name, end.outcome, end.attempts) == (error.__name__, "failed", {"add": 1})


async def test_credentials_that_do_not_suffice_refuse_a_change_with_work_to_do(scene):
    """Before its turn. A change whose effect is there succeeds all the same."""
    made = scene(3)

    def refuse():
        raise PermissionDenied("etcdserver: permission denied")

    made.etcd.check_access = refuse
    name, end = await failure(await made.join())
    assert (name, end.outcome, made.applied) == ("PermissionDenied", "refused", [])
    end = await (await made.join("etcd-3")).result()
    assert end.outcome == "already-voter"


# ---- whose ----


async def test_a_learner_that_an_unanswered_add_may_have_added(scene):
    """It came after the look behind the barrier: the member that was sent the add may have had it until then."""
    made = scene(3, (Trouble("add_learner", 1, "freezes its receiver"),), **LOOSE)
    join = await made.join()
    await waits(join, "sync")
    assert not any("was not added by this change" in warning for warning in (await view(join)).warnings)
    await join.cancel()
    await cancelled(join)
    assert (made.applied, len(made.cluster.members)) == (["add", "remove"], 3)


async def test_a_learner_left_behind_while_others_had_the_turn(scene):
    """It is removed first, as it would have been at the beginning."""
    made = scene(3, **LOOSE)
    down = made.member("etcd-3")
    made.cluster.kill(down.id)
    join = await made.join()
    await waits(join, "add")
    await join.execute_update("hold")
    made.cluster.revive(down.id)
    other = await made.join("gone")
    await other.execute_update("wait_until_added")
    await other.terminate()

    async def orphaned():
        return (await made.turns()).orphans

    await until(orphaned, "the orphan")
    made.starts_at_once()
    await join.execute_update("resume")
    end = await join.result()
    assert (end.outcome, made.applied) == ("promoted", ["add", "remove", "add", "promote"])
    assert any("was removed first" in warning for warning in end.warnings)


def forgotten(made: Scene):
    """Whether the turns know no learner any more; they ask a change after its end."""

    async def condition():
        return (await made.turns()).learners == ()

    return condition


async def test_a_learner_that_others_removed_is_forgotten(scene):
    """The join fails, and nobody has anything in the cluster that the turns must remember."""
    made = scene(3)
    join = await made.join()
    await waits(join, "sync")
    made.cluster.remove(made.added().id)
    assert (await failure(join))[0] == "RemovedByOthers"
    await until(forgotten(made), "the turns to forget the learner")


async def test_a_learner_whose_peer_url_was_mended_is_still_ours(scene):
    """Its ID is what it is known by; asked for at the old URL, it is not added again."""
    made = scene(3, start_timeout="1s", on_failure="hold")
    for mended, way_out in (("one", "cancel"), ("another", "resume")):
        join = await made.join()
        assert "StartTimeout" in await held(join)
        made.added().peer_urls = (url(mended),)
        await join.execute_update(way_out)
        if way_out == "cancel":
            await cancelled(join)
        else:
            error, end = await failure(join)
            assert (error, end.outcome) == ("PeerURLsChanged", "rolled-back")
            assert url(mended) in end.reason
    assert made.applied == ["add", "remove"] * 2
    await until(forgotten(made), "the turns to forget the learner")


async def test_a_replacement_is_judged_again_with_its_turn(scene):
    """The join ahead took the new name: nothing is removed for a join that can't happen."""
    made = scene(4, **LOOSE)
    made.cluster.kill(made.member("etcd-3").id)
    ahead = await made.join()
    await waits(ahead, "sync")
    replace = await made.replace(at=url("elsewhere"))
    await waits(replace, "turn")
    made.cluster.start(made.added().id, "etcd-9")
    assert (await ahead.result()).outcome == "promoted"
    error, end = await failure(replace)
    assert (error, end.outcome, made.applied) == ("NameConflict", "refused", ["add", "promote"])


async def test_a_replacement_goes_on_after_a_run_that_did_nothing(scene):
    """What the first run began with is remembered across one that was refused at its first look."""
    made = scene(2, (Trouble("remove", None, "is refused on the way"),))
    made.starts_at_once()
    first = await made.replace("etcd-2")
    await waits(first, "remove")
    await first.cancel()
    assert (await failure(first))[1].reason.startswith("new joined, old not removed")
    made.etcd._troubles = (Trouble("look", None, "fails"),)
    look, made.etcd.look = made.etcd.look, misconfigured
    assert (await failure(await made.replace("etcd-2")))[0] == "InvalidConfiguration"
    made.etcd._troubles, made.etcd.look = (), look
    end = await (await made.replace("etcd-2")).result()
    assert (end.outcome, made.applied) == ("replaced", ["add", "promote", "remove"])
