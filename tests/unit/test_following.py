"""How changes are compared, followed and read, without a server."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from temporalio.service import RPCError, RPCStatusCode

from client.change_request import differences, make_request
from client.ended import read_outcome, with_name
from client.exit_codes import FAILED, OUT_OF_REACH, CommandError
from client.follow import _due, _Followed, pause_after, still_bearable
from client.sight import _HANDOVER, _VIEW, Sight
from messages.outcomes import Outcome
from messages.views import ChangeView

JOIN = {"cluster": "prod", "name": "n", "peer_urls": ["http://a:2380", "http://b:2380"], "requested_by": "alice"}


def join(**more):
    return make_request("join", **{**JOIN, **more})


# ---- the same request? ----


def test_the_same_request_by_another_caller_is_no_other_request():
    """Who asks, and the order of the peer URLs, make no difference."""
    other = {**JOIN, "requested_by": "bob", "peer_urls": JOIN["peer_urls"][::-1]}
    assert differences(join(), other) == []


@pytest.mark.parametrize(
    ("running", "told"),
    [
        ({"peer_urls": ["http://c:2380"]}, "peer_urls: http://c:2380 (yours: http://a:2380 http://b:2380)"),
        ({"hold_before": "promote"}, "hold_before: promote (yours: not set)"),
        ({"from_the_future": True}, "from_the_future: on"),
        ({"name": 7}, "its request cannot be read"),
    ],
)
def test_a_different_request_is_named_by_its_difference(running, told):
    """The equal fields would say nothing."""
    assert differences(join(), {**JOIN, **running}) == [told]


def test_a_flag_is_named_by_its_state():
    """`--preempt` on a removal that was started without."""
    asked = make_request("remove", cluster="prod", member="n", preempt=True)
    assert differences(asked, {"cluster": "prod", "member": "n"}) == ["preempt: off (yours: on)"]


def test_a_failure_is_named_once():
    """However many layers have put its name before the text."""
    assert with_name("AuthFailed", "wrong password") == "AuthFailed: wrong password"
    assert with_name("AuthFailed", "AuthFailed: wrong password") == "AuthFailed: wrong password"


# ---- what newer versions send ----


def test_one_field_more_is_left_out():
    """A newer worker's outcome, view and handover are read by this version."""
    known = {"cluster": "prod", "member": "n", "outcome": "promoted", "workflow_id": "w", "run_id": "r"}
    assert Outcome.model_validate({**known, "mood": "fine"}).outcome == "promoted"
    assert _VIEW.validate_python({"what": "w", "stage": "sync", "mood": "fine"}).stage == "sync"
    values = {"name": "n", "initial_cluster": "n=http://a:1", "initial_advertise_peer_urls": "http://a:1"}
    assert _HANDOVER.validate_python({**values, "mood": "fine"}).name == "n"


def test_an_outcome_that_cannot_be_read_is_told_in_words():
    """A kind of a newer version is no crash of this one, and nothing of it is lost."""
    with pytest.raises(CommandError) as unread:
        read_outcome({"cluster": "prod", "member": "n", "outcome": "moved", "workflow_id": "w", "run_id": "r"})
    assert (unread.value.code, "moved" in unread.value.message) == (FAILED, True)


# ---- following ----


def followed(name, stage, held="", end=None):
    view = ChangeView(what=name, stage=stage, held=held)
    handle, description = SimpleNamespace(id=name), SimpleNamespace()
    seen = Sight(handle, description, view, None, "", None, "", 1, end=end)
    return _Followed(None, handle, seen)


def test_changes_in_line_are_looked_at_by_rotation():
    """The one that has the turn at every round, one of the others at each: the cost does not grow with the line."""
    line = [followed("a", "sync"), followed("b", "turn"), followed("c", "turn"), followed("d", "sync", held="h")]
    rounds = [[each.handle.id for each in _due(line, number, everybody=False)] for number in range(4)]
    assert rounds == [["a", "b"], ["a", "c"], ["a", "d"], ["a", "b"]]


def test_a_change_that_has_ended_is_not_looked_at_again():
    """The next in line moves up."""
    line = [followed("a", "ended", end=object()), followed("b", "turn"), followed("c", "turn")]
    assert [each.handle.id for each in _due(line, 0, everybody=False)] == ["b", "c"]
    assert [each.handle.id for each in _due(line, 0, everybody=True)] == ["b", "c"]


def test_following_a_waiting_change_costs_at_most_a_call_in_two_seconds():
    """After the first half minute, however many calls a round takes; before it, a person sees what happens at once."""
    assert [calls / pause_after(31, calls) <= 0.5 for calls in (1, 2, 7)] == [True] * 3
    assert pause_after(1, 2) < 0.5


def test_a_voter_is_known_by_what_follows_its_promote():
    """`--until voter` returns in the verification, or in what a replace does after it."""
    assert followed("a", "verify").seen.is_voter
    assert not followed("a", "promote").seen.is_voter
    after = Sight(None, None, ChangeView(what="", stage="remove", seconds={"verify": 1.0}), None, "", None, "", 1)
    assert after.is_voter


def test_a_server_that_is_away_is_given_up_in_the_end():
    """A short silence is not mentioned, a longer one is, and after a minute following ends."""
    away = RPCError("no route", RPCStatusCode.UNAVAILABLE, b"")
    assert still_bearable(away, 1) == ""
    assert "out of reach" in still_bearable(away, 10)
    with pytest.raises(CommandError) as given_up:
        still_bearable(away, 61)
    assert given_up.value.code == OUT_OF_REACH
