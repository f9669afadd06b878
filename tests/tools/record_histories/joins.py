"""Joins, by how they end."""

from __future__ import annotations

from membership.duration import parse_duration
from messages.ids import turns_id
from messages.launching import GoOn, Launch, Launched, always
from messages.requests import JoinRequest
from support.memory import scenes
from support.memory.faulty import Trouble
from tools.record_histories.scene import HASTY, LOOSE, Scene, Set, first_run, write


async def promoted(scene: Set) -> None:
    one = scene("promoted")
    await one.save(await one.join(), "join-promoted", "promoted")


async def renewed(scene: Set) -> None:
    """A join that goes on in new runs, and its turns, which do so too."""
    one = scene("renewed", troubles=(Trouble("promote", 1, "is refused on the way"),))
    join = one.client.get_workflow_handle((await one.join()).id)
    await one.save(join, "join-continued", "promoted")
    write(await first_run(one.client, join.id), "join-continues")
    await one.save(one.client.get_workflow_handle(turns_id(one.name)), "turns-continued", "completed")
    write(await first_run(one.client, turns_id(one.name)), "turns")


async def lost_answer(scene: Set) -> None:
    one = scene("lost-answer", troubles=(Trouble("promote", 1, "loses its answer"),))
    await one.save(await one.join(), "join-lost-answer", "promoted")


async def rolled_back(scene: Set) -> None:
    one = scene("rolled-back", policy=HASTY, starts=False)
    await one.save(await one.join(), "join-rolled-back", "StartTimeout")


async def cancelled(scene: Set) -> None:
    one = scene("cancelled", starts=False)
    join = await one.join()
    await one.added.wait()
    await join.cancel()
    await one.save(join, "join-cancelled", "cancelled")


async def refused(scene: Set) -> None:
    one = scene("refused")
    taken = JoinRequest(cluster=one.name, name="etcd-4", peer_urls=("http://etcd-1:2380",))
    await one.saved(taken, "join-refused", "PeerURLConflict")


async def already_voter(scene: Set) -> None:
    one = scene("already-voter")
    await (await one.join()).result()
    await one.save(await one.join(), "join-already-voter", "already-voter")


async def held(scene: Set) -> None:
    """And resumed."""
    one = scene("held")
    join = await one.join(hold_before="promote")
    await scenes.held(join)
    await join.execute_update("resume")
    await one.save(join, "join-held", "promoted")


async def held_by_a_clock(scene: Set) -> None:
    """And resumed, when the member has started after all."""
    one = scene("held-by-a-clock", policy=HASTY.model_copy(update={"on_failure": "hold"}), starts=False)
    join = await one.join()
    await scenes.held(join)
    one.start(one.learner())
    await join.execute_update("resume")
    await one.save(join, "join-held-by-a-clock", "promoted")


class Launches:
    """A launcher whose engine is the cluster itself."""

    def __init__(self, one: Scene) -> None:
        self._one = one

    def check(self, launch: Launch) -> None:
        assert launch.name == "etcd-4"

    def start(self, launch: Launch, go_on: GoOn = always) -> Launched:
        go_on(ask=True)
        self._one.start(self._one.learner())
        return Launched("memberflow-etcd-4", "c0ffee", "volume", "memory", created=True)

    def state(self, launch: Launch) -> None:
        return None

    def stop(self, launch: Launch) -> bool:
        return True


async def launched(scene: Set) -> None:
    one = scene("launched", starts=False)
    one.clusters.launchers["memory"] = Launches(one)
    await one.save(await one.join(launcher="memory"), "join-launched", "promoted")


async def adopted(scene: Set) -> None:
    """The same join takes over the learner that its earlier run left behind."""
    one = scene("adopted", starts=False)
    await one.abandoned()
    again = await one.join()
    one.start(one.learner())
    await one.save(again, "join-adopted", "promoted")


async def cleared(scene: Set) -> None:
    """Another join removes it first."""
    one = scene("cleared", starts=False)
    await one.abandoned()
    one.starts = True
    await one.save(await one.join("http://etcd-5:2380"), "join-cleared", "promoted")


async def foreign_learner(scene: Set) -> None:
    one = scene("foreign", policy=LOOSE.model_copy(update={"foreign_learner_timeout": parse_duration("1s")}))
    one.cluster.add_learner(("http://etcd-9:2380",))
    await one.save(await one.join(), "join-foreign-learner", "ForeignLearner")


async def removed_by_others(scene: Set) -> None:
    one = scene("removed-by-others", starts=False)
    join = await one.join()
    await join.execute_update("wait_until_added")
    one.cluster.remove(one.learner().id)
    await one.save(join, "join-removed-by-others", "RemovedByOthers")


async def unverified(scene: Set) -> None:
    """The new voter dies as it becomes one."""
    one = scene("unverified")
    promote = one.cluster.promote

    def promote_and_die(member_id: str) -> None:
        promote(member_id)
        one.cluster.kill(member_id)

    one.cluster.promote = promote_and_die
    await one.save(await one.join(), "join-unverified", "promoted")


JOINS = (
    *(promoted, lost_answer, rolled_back, cancelled, refused, already_voter),
    *(held, held_by_a_clock, launched, adopted, cleared, foreign_learner, removed_by_others, unverified),
)
# On a server that suggests a new run after so few events that a change and its turns need several.
LONG_JOINS = (renewed,)
