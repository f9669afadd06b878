"""How far a sync is, how long it has stood still, and what is told of it; the times are the test's own."""

from __future__ import annotations

from dataclasses import replace

from made_up_looks import NEW_ID, cluster, learner, own_word

from activities.progress_meter import Notes, ProgressMeter
from membership.model import RaftProgress, SyncProgress
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
    """Two phases that lasted; then one each time that it has taken twice as long."""
    told = []
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.phase)) or True)
    for tenth in range(36000):
        second = tenth / 10
        phase = "not started" if second < 5 else "receiving snapshot" if second < 8 else "replicating"
        notes.consider(SyncProgress("", phase, elapsed=second))
    assert told[:2] == [(6.0, "receiving snapshot"), (9.0, "replicating")]
    assert told[2:] == [(later, "replicating") for later in (600.0, 1200.0, 2400.0)]


def test_another_attempt_does_not_catch_up_on_notes():
    """It has two of its own, after however many hours: its worker may be a new one, its phase another."""
    told = []
    resumed = SyncProgress("", "replicating", elapsed=7200.0)
    notes = Notes(lambda progress: told.append(progress.elapsed) or True, resumed)
    for second in range(7200, 9000):
        notes.consider(SyncProgress("", "replicating", elapsed=float(second)))
    assert told == [7201.0, 7211.0]


def test_another_reason_is_noted_and_other_figures_are_not():
    """What a wait is for may change late; how far it is changes all the time."""
    told = []
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.reason)) or True)
    for second in range(700):
        reason = f"{700 - second} raft entries behind" if second < 650 else "WrongMember"
        notes.consider(SyncProgress(reason, "unknown", elapsed=float(second)))
    assert told == [(1.0, "699 raft entries behind"), (651.0, "WrongMember")]


def test_a_member_that_does_not_start_is_noted_once():
    """The change shows the reason. The later phases have their own notes."""
    told = []
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.phase)) or True, absent_after=15.0)
    for second in range(60):
        phase = "not started" if second < 30 else "receiving snapshot" if second < 40 else "replicating"
        notes.consider(SyncProgress("nothing answers", phase, elapsed=float(second)))
    assert told == [(16.0, "not started"), (31.0, "receiving snapshot"), (41.0, "replicating")]


def test_a_long_wait_does_not_repeat_a_note():
    """The workflow knows the reason from the wait before. Another phase is news."""
    told = []
    before = SyncProgress("nothing answers since 60 s", "not started", elapsed=60.0)
    notes = Notes(lambda progress: told.append((progress.elapsed, progress.phase)) or True, before, 15.0, before)
    for second in range(60, 200):
        phase = "not started" if second < 100 else "replicating"
        notes.consider(SyncProgress(f"nothing answers since {second} s", phase, elapsed=float(second)))
    assert told[0] == (100.0, "replicating")


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
