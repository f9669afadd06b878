"""The handovers of an apply: each is given out once, and a file of an earlier run never starts a member."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from client.exit_codes import USAGE, CommandError
from console.applying import Following, _Handovers
from membership.model import Handover
from messages.apply import ApplyRequest, ApplyView, StepView
from messages.outcomes import Outcome

REQUEST = ApplyRequest.model_validate(
    {"cluster": "prod", "members": [{"name": n, "peer_urls": [f"http://{n}:2380"]} for n in ("a", "b", "c")]}
)
HANDOVER = Handover("b", "a=http://a:2380,b=http://b:2380", "http://b:2380")


def step(name, verb="join"):
    return StepView(verb, name, f"{name} joins", f"memberflow:prod:{verb}:{name}", "run")


def seen(handover=None, running=None, left=(), done=()):
    """A look at an apply, as far as the handovers need it."""
    view = ApplyView(what="", stage="apply", running=running, left=left, done=done, compared=True)
    child = SimpleNamespace(handover=handover) if running else None
    return SimpleNamespace(view=view, is_running=True, running=child)


def test_an_old_file_is_removed_and_the_new_one_written_once(tmp_path):
    """Only for members that are still to be added: a voter keeps its file."""
    for name in "abc":
        (tmp_path / f"{name}.env").write_text("old")
    handovers = _Handovers(REQUEST, Following(env_dir=tmp_path))
    handovers(seen(running=step("b"), left=(step("c"),)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.env"]
    handovers(seen(HANDOVER, running=step("b"), left=(step("c"),)))
    assert "ETCD_NAME=b" in (tmp_path / "b.env").read_text()
    (tmp_path / "b.env").write_text("changed by a person")
    handovers(seen(HANDOVER, running=step("b"), left=(step("c"),)))
    assert (tmp_path / "b.env").read_text() == "changed by a person"


def test_a_machine_waits_for_its_own_member_alone():
    """Until it may be started, or needs no start; nothing is known before the first comparison."""
    handovers = _Handovers(REQUEST, Following(member="b"))
    early = SimpleNamespace(view=ApplyView(what="", stage="preflight"), is_running=True, running=None)
    assert not handovers.is_enough(early)
    assert not handovers.is_enough(seen(running=step("a"), left=(step("b"),)))
    assert not handovers.is_enough(seen(running=step("b")))
    there = seen(HANDOVER, running=step("b"))
    handovers(there)
    assert handovers.is_enough(there)
    done = Outcome(cluster="prod", member="b", outcome="promoted", workflow_id="w", run_id="r")
    assert _Handovers(REQUEST, Following(member="b")).outcome(seen(running=step("c"), done=(done,))) is done


def test_a_handover_is_not_known_at_once():
    """--no-wait and --member exclude each other."""
    with pytest.raises(CommandError) as refused:
        Following(no_wait=True, member="b")
    assert refused.value.code == USAGE
