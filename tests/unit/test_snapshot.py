"""Snapshots, saved from the etcd in memory: whole, checked, and in place at once or not at all."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.snapshot import SnapshotOrder, Snapshots
from membership.etcd_errors import ConnectionLost
from membership.policy import Policy
from support.memory.cluster import MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.memory.inside import inside
from workflows.timeouts import SNAPSHOT

DATA = bytes(range(256)) * 100
DIGEST = hashlib.sha256(DATA).digest()
WHOLE = DATA + DIGEST


class Saved(MemoryEtcd):
    """An etcd with this data, sent in pieces of these sizes and the rest. It notes who was not to be asked."""

    def __init__(self, *sizes: int, data: bytes = DATA):
        super().__init__(MemoryCluster(3, data=data, cuts=sizes))
        self.avoided = []
        self.pattern = ""

    def policy(self, name):
        assert name == "prod"
        return Policy.model_construct(snapshot_before_removal=self.pattern)

    def connect(self, name):
        assert name == "prod"
        return self

    def look(self, avoid=(), *scope, **more):
        self.avoided.append(avoid)
        return super().look(avoid, *scope, **more)

    def snapshot(self, avoid=()):
        self.avoided.append(avoid)
        yield from self.spoil(super().snapshot(avoid))

    def spoil(self, pieces):
        return pieces


def saved(etcd: Saved, folder, pattern: str = "{cluster}-{time}.db"):
    """Runs the activity; gives its result and the heartbeats."""
    environment = inside("save_snapshot", "remove")
    etcd.pattern = f"{folder}/{pattern}"
    beats = []
    environment.on_heartbeat = beats.append
    save = SnapshotOrder("prod", "20260102T030405Z", avoid=("a3", "http://etcd-3:2379"))
    return environment.run(Snapshots(etcd, None, pause=0).save_snapshot, save), beats


def failure(etcd: Saved, folder, pattern: str = "x.db") -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        saved(etcd, folder, pattern)
    return caught.value


@pytest.mark.parametrize(
    "sizes",
    [
        (),
        (len(DATA),),
        (len(DATA) - 1,),
        (len(DATA) + 1,),
        (len(DATA) + 31,),
        (100, 20, 3, 0, 1),
        (len(DATA) - 40, 20, 20, 20, 1, 1, 1),
        (1,) * 40,
    ],
)
def test_a_snapshot_is_saved_as_it_came(tmp_path, sizes):
    """With its digest, wherever the pieces are cut: through the digest, one byte each, or not at all."""
    path, _ = saved(Saved(*sizes), tmp_path)
    assert path == f"{tmp_path}/prod-20260102T030405Z.db"
    assert [file.name for file in tmp_path.iterdir()] == ["prod-20260102T030405Z.db"]
    assert (tmp_path / "prod-20260102T030405Z.db").read_bytes() == WHOLE


def test_it_is_its_owners_alone(tmp_path):
    """All secrets of a cluster are in it."""
    path, _ = saved(Saved(), tmp_path)
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_its_progress_is_told(tmp_path):
    """A heartbeat a piece, with the part that is written."""
    _, beats = saved(Saved(len(DATA) // 4, len(DATA) // 4), tmp_path)
    assert [round(beat.percent) for beat in beats] == [25, 50, 100]
    assert all("saving a snapshot: 0.0 MB written" in beat.reason for beat in beats)


def test_the_member_that_goes_is_not_asked(tmp_path):
    """Neither for its status nor for its data."""
    etcd = Saved()
    saved(etcd, tmp_path)
    assert etcd.avoided == [("a3", "http://etcd-3:2379")] * 2


SPOILT = {
    "a bit that fell over": lambda pieces: [(b"\xff" + pieces[0][0][1:], pieces[0][1]), *pieces[1:]],
    "another digest": lambda pieces: [pieces[0], (pieces[1][0][:-32] + bytes(32), 0)],
    "an end that is missing": lambda pieces: pieces[:1],
    "a digest that is missing": lambda pieces: [pieces[0], (pieces[1][0][:-32], 0)],
    "nothing": lambda pieces: [],
    "less than a digest": lambda pieces: [(DIGEST[:10], 0)],
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_was_spoilt_on_the_way_leaves_nothing(tmp_path, case):
    """Named, and final when the third try meets it too."""
    etcd = Saved(1000)
    etcd.spoil = lambda pieces: SPOILT[case](list(pieces))
    error = failure(etcd, tmp_path)
    assert (error.type, error.non_retryable) == ("SnapshotFailed", True)
    assert len(etcd.avoided) == 3 * 2
    assert f"{tmp_path}/x.db: the snapshot arrived damaged" in error.message
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_leaves_nothing(tmp_path):
    """Its own error is the reason."""

    def broken(pieces):
        yield next(pieces)
        raise ConnectionLost("reset", "UNAVAILABLE")

    etcd = Saved(1000)
    etcd.spoil = broken
    assert failure(etcd, tmp_path).type == "ConnectionLost"
    assert not list(tmp_path.iterdir())


def test_without_quorum_there_is_no_snapshot(tmp_path):
    """The look before it says so, and nothing is begun."""
    etcd = Saved()
    for member_id in list(etcd.cluster.members)[1:]:
        etcd.cluster.kill(member_id)
    assert failure(etcd, tmp_path).type == "ClusterUnreachable"
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_named(tmp_path):
    """With the path and the system's own reason, and where to look."""
    error = failure(Saved(), tmp_path, "no/such/folder.db")
    assert error.type == "SnapshotFailed"
    assert error.message == f"{tmp_path}/no/such/folder.db: No such file or directory"
    assert "snapshot_before_removal" in error.details[0]
    (tmp_path / "file").write_text("")
    assert failure(Saved(), tmp_path, "file/x.db").message.endswith("file/x.db: Not a directory")


def test_a_snapshot_that_is_there_is_kept(tmp_path):
    """An earlier attempt, whose answer was lost, saved it; etcd is not asked again."""
    first, _ = saved(Saved(), tmp_path)
    etcd = Saved(data=b"another")
    again, beats = saved(etcd, tmp_path)
    assert first == again
    assert (tmp_path / "prod-20260102T030405Z.db").read_bytes() == WHOLE
    assert not etcd.avoided
    assert not beats


def test_one_that_appears_meanwhile_is_not_replaced(tmp_path):
    """By whomever; the next try finds it."""

    def late(pieces):
        (tmp_path / "x.db").write_text("theirs")
        return pieces

    etcd = Saved()
    etcd.spoil = late
    assert saved(etcd, tmp_path, "x.db")[0] == f"{tmp_path}/x.db"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["theirs"]


def broken_first(times):
    """Spoils the first snapshots of an etcd."""
    left = iter([True] * times)

    def spoil(pieces):
        if next(left, False):
            raise ConnectionLost("reset", "UNAVAILABLE")
        return pieces

    return spoil


def test_what_passes_is_tried_again(tmp_path):
    """Twice; the heartbeat tells what happened."""
    etcd = Saved()
    etcd.spoil = broken_first(2)
    _, beats = saved(etcd, tmp_path, "x.db")
    assert (tmp_path / "x.db").read_bytes() == WHOLE
    assert [beat.reason[:43] for beat in beats[:2]] == [
        f"the snapshot failed, and try {n} of 3 follows" for n in (2, 3)
    ]
    assert "reset" in beats[0].reason


def test_a_worker_that_stops_uses_up_no_try(tmp_path):
    """However often: between two pieces, or before another try, the snapshot goes to another worker."""
    for spoil in (lambda pieces: pieces, broken_first(1)):
        etcd, environment = Saved(), inside("save_snapshot", "remove")
        etcd.pattern = f"{tmp_path}/{{time}}.db"
        etcd.spoil = spoil
        environment.worker_shutdown()
        save = SnapshotOrder("prod", "20260102T030405Z")
        with pytest.raises(ApplicationError) as left:
            environment.run(Snapshots(etcd, None, pause=0).save_snapshot, save)
        assert (left.value.type, left.value.non_retryable) == ("WorkerShutdown", False)
        assert not list(tmp_path.iterdir())
    assert SNAPSHOT["retry_policy"].maximum_attempts == 0


def test_what_a_killed_worker_left_is_removed(tmp_path):
    """Of this snapshot: not another's, not a person's file, and not what is being written at this moment."""
    stays = (".x.db.abcdefg1", ".x.db.old", ".x.db.part.abcdefgh", ".y.db.abcdefgh", "x.db.abcdefgh")
    for name in (".x.db.abcdefgh", *stays):
        (tmp_path / name).write_text("part")
    with (tmp_path / ".x.db.abcdefg1").open() as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        saved(Saved(), tmp_path, "x.db")
    assert {file.name for file in tmp_path.iterdir()} == {"x.db", *stays}


def test_what_is_being_written_is_locked(tmp_path):
    """So that an attempt which begins meanwhile leaves it alone."""
    etcd = Saved(100)

    def spoil(pieces):
        yield next(pieces)
        [part] = tmp_path.iterdir()
        with part.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield from pieces

    etcd.spoil = spoil
    saved(etcd, tmp_path)
