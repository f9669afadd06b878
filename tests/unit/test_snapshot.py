"""Snapshots, saved from a scripted etcd: whole, checked, and in place at once or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from looks import cluster
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.snapshot import Save, Snapshots
from membership.errors import ClusterUnreachable, ConnectionLost

DATA = bytes(range(256)) * 100
DIGEST = hashlib.sha256(DATA).digest()
WHOLE = DATA + DIGEST


def cut(blob: bytes, *sizes: int):
    """The blob in pieces of these sizes and the rest, each with the bytes that remain after it."""
    pieces = []
    for size in (*sizes, len(blob)):
        piece, blob = blob[:size], blob[size:]
        pieces.append((piece, len(blob)))
    return pieces


class Script:
    """An etcd that sends prepared pieces; an error among them is raised."""

    def __init__(self, *pieces, look=None):
        self._pieces = pieces
        self._look = look or cluster(3)
        self.avoided = []

    def connect(self, name):
        assert name == "prod"
        return self

    def look(self, avoid=()):
        self.avoided.append(avoid)
        if isinstance(self._look, Exception):
            raise self._look
        return self._look

    def snapshot(self, avoid=()):
        self.avoided.append(avoid)
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def saved(script: Script, folder, pattern: str = "{cluster}-{time}.db"):
    """Runs the activity; gives its result and the heartbeats."""
    environment = ActivityEnvironment()
    beats = []
    environment.on_heartbeat = beats.append
    save = Save("prod", f"{folder}/{pattern}", "20260102T030405Z", avoid=("3", "http://10.0.0.3:2379"))
    return environment.run(Snapshots(script).save_snapshot, save), beats


def failure(script: Script, folder, pattern: str = "x.db") -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        saved(script, folder, pattern)
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
    path, _ = saved(Script(*cut(WHOLE, *sizes)), tmp_path)
    assert path == f"{tmp_path}/prod-20260102T030405Z.db"
    assert [file.name for file in tmp_path.iterdir()] == ["prod-20260102T030405Z.db"]
    assert (tmp_path / "prod-20260102T030405Z.db").read_bytes() == WHOLE


def test_it_is_its_owners_alone(tmp_path):
    """All secrets of a cluster are in it."""
    path, _ = saved(Script(*cut(WHOLE)), tmp_path)
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_its_progress_is_told(tmp_path):
    """A heartbeat a piece, with the part that is written."""
    _, beats = saved(Script(*cut(WHOLE, len(WHOLE) // 4, len(WHOLE) // 4)), tmp_path)
    assert [round(beat.percent) for beat in beats] == [25, 50, 100]
    assert all("saving a snapshot: 0.0 MB written" in beat.reason for beat in beats)


def test_the_member_that_goes_is_not_asked(tmp_path):
    """Neither for its status nor for its data."""
    script = Script(*cut(WHOLE))
    saved(script, tmp_path)
    assert script.avoided == [("3", "http://10.0.0.3:2379")] * 2


SPOILT = {
    "a bit that fell over": cut(b"\xff" + WHOLE[1:], 1000),
    "another digest": cut(DATA + bytes(32), len(DATA)),
    "an end that is missing": cut(WHOLE, 100, 100)[:2],
    "a digest that is missing": cut(DATA, 100),
    "nothing": [],
    "less than a digest": cut(DIGEST[:10]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_was_spoilt_on_the_way_leaves_nothing(tmp_path, case):
    """Named, and to be tried again by Temporal."""
    error = failure(Script(*SPOILT[case]), tmp_path)
    assert (error.type, error.non_retryable) == ("SnapshotFailed", False)
    assert f"{tmp_path}/x.db: the SHA-256 of what came" in error.message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script((DATA, 32), ConnectionLost("reset", "UNAVAILABLE")), "ConnectionLost"),
        (Script(look=ClusterUnreachable("nobody")), "ClusterUnreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_etcd_that_fails_leaves_nothing(tmp_path, script, kind):
    """Its own error is the reason."""
    assert kind == failure(script, tmp_path).type
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_named(tmp_path):
    """With the path and the system's own reason, and where to look."""
    error = failure(Script(*cut(WHOLE)), tmp_path, "no/such/folder.db")
    assert error.type == "SnapshotFailed"
    assert error.message == f"{tmp_path}/no/such/folder.db: No such file or directory"
    assert "snapshot_before_removal" in error.details[0]
    (tmp_path / "file").write_text("")
    assert failure(Script(*cut(WHOLE)), tmp_path, "file/x.db").message.endswith("file/x.db: Not a directory")


def test_a_snapshot_that_is_there_is_kept(tmp_path):
    """An earlier attempt, whose answer was lost, saved it; etcd is not asked again."""
    first, _ = saved(Script(*cut(WHOLE)), tmp_path)
    script = Script(*cut(b"another" + DIGEST))
    again, beats = saved(script, tmp_path)
    assert first == again
    assert (tmp_path / "prod-20260102T030405Z.db").read_bytes() == WHOLE
    assert not script.avoided
    assert not beats


def test_one_that_appears_meanwhile_is_not_replaced(tmp_path):
    """By whomever; the next attempt finds it."""

    class Late(Script):
        def snapshot(self, avoid=()):
            (tmp_path / "x.db").write_text("theirs")
            return super().snapshot(avoid)

    assert failure(Late(*cut(WHOLE)), tmp_path).message == f"{tmp_path}/x.db: File exists"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["theirs"]
