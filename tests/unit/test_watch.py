"""How far a sync is, when it stalls, when it is told and when a silent learner is nudged: with a clock of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import NEW_ID, cluster, facts, learner, own_word
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.progress import Notes, ProgressMeter
from activities.watch import NUDGE_AFTER, SPLIT_AFTER, VERIFY_FOR, Watch
from membership.acts import Order
from membership.errors import ClusterUnreachable
from membership.model import RaftProgress, SyncProgress
from membership.requests import Policy
from membership.turns import Ticket
from membership.verdicts import Wait

LEADER = RaftProgress(1000, "StateReplicate")


def at(match: int, state: str = "StateReplicate", *, down=()):
    """A look in which the learner's log has come this far."""
    status = cluster(3, learner(), down=down)
    return replace(status, progress={**status.progress, "1": LEADER, NEW_ID: RaftProgress(match, state)})


def behind(phase="replicating"):
    return Wait("behind", phase)


def test_percent_is_the_number_that_the_server_divides():
    """Match over the leader's match."""
    progress = ProgressMeter(0).see(1, at(250), NEW_ID, behind())
    assert (progress.percent, progress.match, progress.target) == (25.0, 250, 1000)


def test_eta_follows_the_speed():
    """100 entries a second, 500 to go."""
    meter = ProgressMeter(0)
    for second in range(6):
        progress = meter.see(second, at(second * 100), NEW_ID, behind())
    assert progress.eta == 5.0


def test_a_snapshot_has_no_percent_and_never_stalls():
    """Nobody outside sees its bytes: time and size are all there is to tell."""
    meter = ProgressMeter(0)
    for second in range(0, 1000, 100):
        progress = meter.see(second, at(0, "StateSnapshot", down=(NEW_ID,)), NEW_ID, behind("receiving snapshot"))
    assert (progress.percent, progress.eta, progress.elapsed, progress.idle) == (None, None, 900.0, 0.0)
    assert progress.snapshot_size == 1


def test_the_stall_clock_counts_only_what_could_be_seen():
    """Blind looks and snapshots rest it; movement sets it back."""
    meter = ProgressMeter(0)
    assert meter.see(10, at(100), NEW_ID, behind()).idle == 0
    assert meter.see(15, at(100), NEW_ID, behind()).idle == 5
    assert meter.blind(100, "cannot look").idle == 5
    assert meter.see(103, at(100), NEW_ID, behind()).idle == 8
    assert meter.see(104, at(101), NEW_ID, behind()).idle == 0


def test_a_new_attempt_goes_on_with_the_old_clocks():
    """Its worker died; the time between the attempts is nobody's."""
    meter = ProgressMeter(1000, SyncProgress("behind", "replicating", elapsed=60, idle=20, match=100))
    progress = meter.see(1005, at(100), NEW_ID, behind())
    assert (progress.elapsed, progress.idle) == (65.0, 25.0)


def test_without_debug_vars_the_applied_index_tells():
    """The learner's own, against the leader's."""
    status = cluster(3, learner(), progress={})
    status = replace(status, statuses={**status.statuses, NEW_ID: own_word(NEW_ID, index=400, is_learner=True)})
    assert ProgressMeter(0).see(1, status, NEW_ID, behind()).percent == 40.0


def test_notes_are_few():
    """A phase that lasted, and once more; then, however long it takes, one in ten minutes."""
    told = []
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.phase)) or True)
    for tenth in range(36000):
        second = tenth / 10
        phase = "not started" if second < 5 else "receiving snapshot" if second < 8 else "replicating"
        notes.consider(SyncProgress("", phase, elapsed=second))
    assert told[:3] == [(6.0, "receiving snapshot"), (9.0, "replicating"), (19.0, "replicating")]
    assert told[3:] == [(later, "replicating") for later in (600.0, 1200.0, 1800.0, 2400.0, 3000.0)]


def test_another_reason_is_noted_and_other_figures_are_not():
    """What a wait is for may change late; how far it is changes all the time."""
    told = []
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.reason)) or True)
    for second in range(700):
        reason = f"{700 - second} raft entries behind" if second < 650 else "WrongMember"
        notes.consider(SyncProgress(reason, "unknown", elapsed=float(second)))
    assert told == [(1.0, "699 raft entries behind"), (651.0, "WrongMember")]


def test_a_quick_sync_is_not_noted():
    """It costs no history."""
    told = []
    notes = Notes(lambda progress: told.append(progress) or True)
    for tenth in range(5):
        notes.consider(SyncProgress("", "replicating", elapsed=tenth / 10))
    assert not told


def test_a_note_that_was_not_heard_is_sent_again():
    """The workflow's start clock depends on it."""
    heard = iter([False, True])
    told = []
    notes = Notes(lambda progress: told.append(progress.elapsed) or next(heard))
    for second in range(4):
        notes.consider(SyncProgress("", "replicating", elapsed=float(second)))
    assert told == [1.0, 2.0]


class Script:
    """An etcd that shows prepared looks, one a second; the last one for ever. It is its own clock."""

    def __init__(self, *looks):
        self._looks = list(looks)
        self.now = 0.0
        self.commits = []
        self.peeks = []

    def clock(self):
        return self.now

    def look(self, avoid=()):
        self.now += 1
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, Exception):
            raise look
        return look

    def progress(self):
        return {}

    def peek(self, progress):
        """What the leader knows of the learner, twenty times a second."""
        self.now += 0.05
        self.peeks.append(self.now)
        return {NEW_ID: progress}

    def commit(self):
        self.commits.append(self.now)

    def connect(self, cluster):
        return self


def watch(script, activity, step="sync", **policy):
    """Runs one wait on a script; gives its result and the heartbeats."""
    environment = ActivityEnvironment()
    beats = []
    environment.on_heartbeat = lambda *details: beats.extend(details)
    waits = Watch(script, _NoTemporal(), clock=script.clock, patience=10_000)
    order = Order(step, facts(NEW_ID, Policy(**policy)), Ticket("w", "r"))
    return environment.run(getattr(waits, activity), order), beats


class _NoTemporal:
    """Nobody to tell."""

    @property
    def client(self):
        return self

    def get_workflow_handle(self, *_, **__):
        return self

    def signal(self, *_):
        return None

    def call(self, _):
        return None

    def avoided(self, _, known):
        return ()


def test_caught_up_must_be_seen_twice():
    """One look might be luck."""
    lucky = at(1000)
    script = Script(at(10), lucky, at(10), lucky, lucky)
    status, _ = watch(script, "wait_for_sync")
    assert lucky == status
    assert script.now == 5


@pytest.mark.parametrize(("peeks", "looks"), [(3, 3), (30, 4)], ids=["it moves soon", "it moves after a while"])
def test_a_member_that_has_nothing_yet_is_left_in_peace(peeks, looks):
    """Looks are a second apart until the leader knows something of it; then the next follows at once."""
    script = Script(at(0), *[at(0)] * (looks - 3), at(1000), at(1000))
    script.progress = lambda: script.peek(RaftProgress(0 if len(script.peeks) < peeks else 5, "StateReplicate"))
    watch(script, "wait_for_sync")
    assert len(script.peeks) == peeks + 1
    assert script.now == pytest.approx(looks + len(script.peeks) * 0.05)


def test_somebody_elses_promote_ends_the_wait_at_once():
    """There is nothing to confirm."""
    script = Script(cluster(3, replace(learner(), is_learner=False)))
    watch(script, "wait_for_sync")
    assert script.now == 1


def test_a_stall_fails_by_name():
    """After `stall_timeout`, with what it last waited for."""
    script = Script(at(500))
    with pytest.raises(ApplicationError) as failed:
        watch(script, "wait_for_sync", stall_timeout="30s")
    assert (failed.value.type, failed.value.non_retryable) == ("LearnerStalled", True)
    assert "500 raft entries behind" in failed.value.message
    assert script.now == 31


def test_a_blind_watch_goes_on():
    """It tells why it sees nothing, and doesn't fail."""
    script = Script(ClusterUnreachable("nobody"), at(500), ClusterUnreachable("nobody"), at(1000), at(1000))
    _, beats = watch(script, "wait_for_sync")
    assert [word for beat in beats for word in ("cannot look", "behind") if word in beat.reason] == [
        "cannot look",
        "behind",
        "cannot look",
    ]


def test_a_synced_but_silent_learner_is_nudged():
    """One raft entry, again after as long as before."""
    silent = at(1000, down=(NEW_ID,))
    script = Script(*[silent] * 30, at(1000), at(1000))
    watch(script, "wait_for_sync")
    assert script.commits == [1 + NUDGE_AFTER, 1 + 2 * NUDGE_AFTER]


def test_a_learner_that_is_behind_is_not_nudged():
    """Entries come anyway."""
    script = Script(*[at(999, down=(NEW_ID,))] * 30, at(1000), at(1000))
    watch(script, "wait_for_sync")
    assert not script.commits


NEW_VOTER = replace(learner(), is_learner=False)


def test_a_new_voter_that_stays_silent_is_given_up():
    """Promoted all the same; that it could not be verified is for the workflow to say."""
    script = Script(cluster(3, NEW_VOTER, down=(NEW_ID,)))
    watch(script, "wait_for_verification", "verify")
    assert script.now == VERIFY_FOR


def test_a_split_view_fails_by_name():
    """The lists agree, and the member says otherwise for ten seconds."""
    statuses = {"1": own_word("1"), NEW_ID: own_word(NEW_ID, is_learner=True)}
    script = Script(cluster(1, NEW_VOTER, statuses=statuses))
    with pytest.raises(ApplicationError) as failed:
        watch(script, "wait_for_verification", "verify")
    assert (failed.value.type, failed.value.non_retryable) == ("SplitView", True)
    assert script.now == SPLIT_AFTER + 1


def test_a_member_that_comes_round_is_no_split_view():
    """It only took a moment."""
    statuses = {"1": own_word("1"), NEW_ID: own_word(NEW_ID, is_learner=True)}
    late = cluster(1, NEW_VOTER, statuses=statuses)
    script = Script(*[late] * 5, cluster(3, NEW_VOTER))
    watch(script, "wait_for_verification", "verify")
    assert script.now == 6


def test_waiting_for_the_cluster_ends_with_the_reason():
    """Whatever the verdict is then."""
    script = Script(cluster(3, down=("3",)), cluster(3, leader=""), cluster(3))
    status, beats = watch(script, "wait_for_cluster", "add")
    assert cluster(3) == status
    assert [word for beat in beats for word in ("voters are down", "no leader") if word in beat.reason] == [
        "voters are down",
        "no leader",
    ]
