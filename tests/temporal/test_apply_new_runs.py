"""Applies that go on for so long that they continue as new, on a real Temporal server with a low limit."""

from __future__ import annotations

import pytest
from apply_scenes import added, begin, failed, held, held_after_the_first, runs, seen, shown, starts_each, voters

from messages.apply import ApplyView
from support.memory.scenes import LOOSE, cancelled, until
from support.parts.low_limits import replay_runs, runs_of

NEW = ("etcd-4", "etcd-5", "etcd-6", "etcd-7")


@pytest.fixture
def scene(low_scene):
    """Makes a cluster whose applies go on in new runs."""
    return low_scene


async def test_an_apply_goes_on_in_new_runs(scene):
    """Its changes and its time are those of the whole apply, every history replays, and nothing happens twice."""
    made = scene(1, **LOOSE)
    starts_each(made)
    apply = await begin(made, "etcd-1", *NEW)
    end = await apply.result()
    assert (end.outcome, voters(made)) == ("applied", {"etcd-1", *NEW})
    assert shown(end) == [(f"join:{name}", "promoted") for name in NEW]
    assert made.applied == ["add", "promote"] * len(NEW)
    assert await replay_runs(made.client, apply.id) > 1
    assert end.seconds["total"] > sum(each.seconds["total"] for each in end.changes)


async def test_a_wait_without_an_end_needs_no_long_history(scene):
    """While the cluster has no leader nothing can be chosen, for as long as that takes."""
    made = scene(3)
    apply = await held_after_the_first(made, "etcd-4", "etcd-5")
    starts_each(made)
    leader, made.cluster.leader = made.cluster.leader, ""
    before = await runs_of(made.client, apply)
    await apply.execute_update("resume")

    async def there() -> bool:
        return await runs_of(made.client, apply) > before

    await until(there, "a new run")
    made.cluster.leader = leader
    assert shown(await apply.result()) == [("join:etcd-4", "promoted"), ("join:etcd-5", "promoted")]


async def test_held_and_cancelled_in_a_later_run(scene):
    """What has ended stays, and is in the view of the later run."""
    made, apply = await at_the_last(scene)
    await apply.execute_update("hold", "alice", result_type=ApplyView)
    assert (await seen(apply)).hold_asked
    await apply.execute_update("cancel")
    await cancelled(apply)
    assert [outcome.member for outcome in (await seen(apply)).done] == list(NEW[:3])
    assert voters(made) == {"etcd-1", *NEW[:3]}


async def test_what_others_undo_is_known_in_a_later_run(scene):
    """A member that joined in an earlier run is not let in again."""
    made, apply = await at_the_last(scene)
    await apply.execute_update("hold", "alice")
    made.cluster.start((await added(made)).id, "etcd-7")
    await held(apply)
    made.cluster.remove(made.member("etcd-4").id)
    await apply.execute_update("resume")
    assert (await failed(apply))[0] == "UndoneByOthers"


async def at_the_last(scene):
    """The cluster, and its apply in a later run: the last new member is being added, and does not start."""
    made = scene(1, **LOOSE)
    starts_each(made)
    made.cluster.on_added = lambda m: made.cluster.start(m.id, m.peer_urls[0][7:-5]) if "etcd-7" not in str(m) else None
    apply = await begin(made, "etcd-1", *NEW)
    await runs(apply, "etcd-7")
    assert await runs_of(made.client, apply) > 1
    return made, apply
