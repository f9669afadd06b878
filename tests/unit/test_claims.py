"""The line of changes: a name gets a place, and only a change's own word gets anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from membership.sent_calls import SentCall
from messages.ids import cluster_of_turns, verb_of
from messages.turns import ACT_DEADLINE, REMEMBER_AT_MOST, AddedLearner, Claim, LateCall, Ticket, TurnsState, Word
from workflows.line import Line

ONE, TWO, THREE = (Ticket(f"memberflow:prod:join:etcd-{n}", f"run-{n}") for n in (4, 5, 6))
NOW = 1000.0


def runs(state="waits", **more) -> Word:
    return Word("RUNNING", claim=Claim(state, **more), is_join=True)


def closed(status: str, at: float = NOW, claim: Claim | None = None) -> Word:
    return Word(status, at, claim, is_join=True)


def line(*said: tuple[Ticket, Word | None], state: TurnsState | None = None) -> Line:
    """The line after these words, in this order."""
    made = Line(state or TurnsState())
    for ticket, word in said:
        made.enter(ticket)
        made.learn(ticket, word, NOW)
    return made


def holding(*waiting: Ticket, **more) -> Line:
    """The first has the turn; these wait."""
    made = line((ONE, runs()), *((ticket, runs()) for ticket in waiting))
    made.grant(ONE, NOW)
    made.learn(ONE, runs("holds", **more), NOW)
    return made


def test_changes_wait_in_the_order_in_which_they_asked():
    """However often they ask, and whichever of them is heard first."""
    made = Line(TurnsState())
    made.enter(ONE)
    made.enter(TWO)
    made.learn(TWO, runs(), NOW)
    assert made.head is None, "the first may still want its place"
    made.learn(ONE, runs(), NOW)
    made.enter(ONE)
    assert (made.state.waiting, made.head) == ((ONE, TWO), ONE)


def test_a_name_alone_changes_nothing():
    """A stranger may name any change, and none at all."""
    made = holding(TWO, added=("a",))
    before = made.state
    made.enter(ONE)
    made.enter(THREE)
    assert made.state == before
    made.learn(THREE, None, NOW)
    assert (made.state, made.unasked) == (before, ())


def test_a_change_that_does_not_answer_blocks_nobody_for_long():
    """It has its place again as soon as it answers."""
    made = Line(TurnsState())
    made.enter(ONE)
    made.enter(TWO)
    made.learn(TWO, runs(), NOW)
    made.pass_over_unasked()
    assert made.head == TWO
    made.learn(ONE, runs(), NOW)
    assert made.head == ONE


@pytest.mark.parametrize("word", [runs("holds"), runs(had_turn=True)])
def test_who_held_comes_before_those_who_only_waited(word):
    """After the turns were lost."""
    assert line((TWO, runs()), (ONE, word)).state.waiting == (ONE, TWO)


@pytest.mark.parametrize("word", [None, runs("apart"), runs("ended"), closed("CANCELED"), closed("TERMINATED")])
def test_whatever_ends_leaves_the_line_at_once(word):
    """Also without a sound; the turn stays where it is."""
    made = holding(TWO, THREE)
    made.learn(TWO, word, NOW)
    assert (made.state.holder, made.state.waiting, made.state.rest_until) == (ONE, (THREE,), 0)


@pytest.mark.parametrize(
    ("word", "rests"),
    [
        (runs("apart"), False),
        (runs("ended"), False),
        (closed("COMPLETED"), False),
        (closed("FAILED"), False),
        (closed("CANCELED"), False),
        (closed("TERMINATED"), True),
        (closed("TIMED_OUT"), True),
        (None, True),
        # It had closed before the turn came to it.
        (closed("TERMINATED", NOW - 1), False),
        # Nothing of it can be on its way any more.
        (closed("TERMINATED", NOW + 1 - ACT_DEADLINE), False),
    ],
)
def test_after_a_holder_that_was_ended_from_outside_the_turn_rests(word, rests):
    """For as long as an act of it may reach etcd."""
    made = holding(TWO)
    made.learn(ONE, word, NOW)
    assert made.state.holder is None
    assert made.state.resting == rests
    if rests:
        assert NOW < made.state.rest_until <= NOW + ACT_DEADLINE


def test_a_change_that_ended_from_outside_with_its_turn_as_the_turns_did():
    """New turns know no holder; the change's own last word says that it was one."""
    assert line((ONE, closed("TERMINATED", claim=Claim("holds")))).state.resting
    assert not line((ONE, closed("TERMINATED", claim=Claim("waits")))).state.resting


def test_a_rest_under_way_is_finished_by_the_next_run():
    """And what was named and not yet asked is asked by it."""
    made = holding(TWO)
    made.learn(ONE, closed("TERMINATED"), NOW)
    made.enter(THREE)
    after = Line(replace(made.state, unasked=(TWO, *made.unasked)))
    assert (after.state.rest_until, after.unasked, after.is_idle) == (made.state.rest_until, (THREE,), False)
    assert after.state.waiting == (TWO,)
    after.end_rest()
    assert (after.state.resting, after.head) == (False, TWO)


def test_learners_are_those_of_the_change_s_last_word():
    """Another change may say that one is gone."""
    made = holding(TWO, added=("a",))
    assert made.state.learners == (AddedLearner("a", ONE),)
    made.learn(ONE, runs("holds", added=("b",), gone=("a",)), NOW)
    assert made.state.learners == (AddedLearner("b", ONE),)
    made.learn(ONE, runs("holds"), NOW)
    assert made.state.learners == (AddedLearner("b", ONE),), "it was reset, and still has it"
    made.learn(TWO, runs(gone=("b",)), NOW)
    assert made.state.learners == ()


@pytest.mark.parametrize("word", [closed("TERMINATED"), closed("FAILED", claim=Claim("ended", added=("a",))), None])
def test_a_learner_whose_change_ended_unfinished_is_an_orphan(word):
    """It is remembered, whatever becomes of the line."""
    made = holding(added=("a",))
    made.learn(ONE, word, NOW)
    made.end_rest()
    assert made.state.orphans == (AddedLearner("a", ONE),)
    assert not made.is_idle


@pytest.mark.parametrize("word", [closed("COMPLETED"), runs("ended", added=("a",), succeeded=True)])
def test_a_change_that_ended_well_leaves_no_learner(word):
    """What it added is a voter."""
    made = holding(added=("a",))
    made.learn(ONE, word, NOW)
    assert made.state.learners == ()


ADD = SentCall("add", "", ("http://10.0.0.4:2380",), "1", 2, ())
REMOVAL = SentCall("remove", "3", (), "1", 2, ())


def left(*calls: SentCall) -> Line:
    """The first change has ended, and these calls of it may still take effect. The second has the turn."""
    made = holding(TWO)
    made.learn(ONE, runs("ended", late=calls), NOW)
    made.grant(TWO, NOW)
    return made


@pytest.mark.parametrize("status", ["FAILED", "CANCELED", "TERMINATED", "TIMED_OUT"])
def test_a_call_that_may_come_late_is_remembered(status):
    """However the change was ended, and by the next run of the turns, too."""
    made = holding(TWO)
    made.learn(ONE, closed(status, claim=Claim("holds", late=(REMOVAL,))), NOW)
    made.end_rest()
    made.drop(TWO)
    made = Line(replace(made.state))
    assert made.state.late == (LateCall(REMOVAL, ONE),)
    assert not made.is_idle


@pytest.mark.parametrize("word", [runs("holds", late=(REMOVAL,)), runs("ended", late=(REMOVAL,), succeeded=True)])
def test_a_call_is_not_late_before_its_change_has_ended_without_success(word):
    """A running change settles it itself, and a change that succeeded has outdone it."""
    made = holding(TWO)
    made.learn(ONE, word, NOW)
    assert made.state.late == ()


def test_a_change_that_sees_a_late_call_settled_ends_its_memory():
    """The claim of that change counts also when it has completed."""
    made = left(REMOVAL)
    assert made.may_learn_from(TWO)
    made.learn(TWO, closed("COMPLETED", claim=Claim("ended", settled=(LateCall(REMOVAL, ONE),), succeeded=True)), NOW)
    assert (made.state.late, made.is_idle) == ((), True)


@pytest.mark.parametrize(("gone", "known"), [((), 1), (("a",), 0)])
def test_a_learner_that_a_late_add_brought_is_left_behind(gone, known):
    """By the change that sent the add, and until a change saw that it is a learner no more."""
    made = left(ADD)
    brought = AddedLearner("a", ONE)
    for _ in range(2):
        made.learn(TWO, runs("holds", settled=(LateCall(ADD, ONE),), brought=(brought,), gone=gone), NOW)
    assert made.state.orphans == (brought,) * known
    assert made.state.late == ()


def test_not_more_late_calls_are_remembered_than_a_payload_bears():
    """The latest of them, each once."""
    made = holding(TWO)
    many = tuple(replace(REMOVAL, member_id=f"{n:x}") for n in range(REMEMBER_AT_MOST + 1))
    for _ in range(2):
        made.learn(ONE, runs("ended", late=many), NOW)
    assert [x.call for x in made.state.late] == list(many[1:])


def test_a_held_join_may_be_preempted_by_those_who_asked_for_it():
    """A held removal may not, nor a join that goes on."""
    made = holding(TWO, held=True)
    made.enter(THREE)
    made.learn(THREE, runs(preempt=True), NOW)
    assert (made.state.holder_is_held, made.state.preempting) == (True, (THREE,))
    made.learn(ONE, runs("holds"), NOW)
    assert not made.state.holder_is_held
    made.learn(ONE, replace(runs("holds", held=True), is_join=False), NOW)
    assert not made.state.holder_is_held
    made.drop(THREE)
    assert made.state.preempting == ()


@pytest.mark.parametrize(
    ("workflow_id", "verb"),
    [
        ("memberflow:prod:join:etcd-4", "join"),
        ("memberflow:prod:replace:8e9e05c52164694d", "replace"),
        ("memberflow:other:join:etcd-4", ""),
        ("memberflow:prod:drop:etcd-4", ""),
        ("memberflow:prod:join:", ""),
        ("memberflow:prod:join:a b", ""),
        ("memberflow:prod:join:a:b", ""),
        ("memberflow:prod", ""),
        ("", ""),
    ],
)
def test_only_a_change_of_this_cluster_is_asked(workflow_id, verb):
    """By its workflow ID, before anything else."""
    assert verb_of("prod", workflow_id) == verb


@pytest.mark.parametrize(("workflow_id", "cluster"), [("memberflow:prod", "prod"), ("memberflow:", ""), ("x:y", "")])
def test_turns_are_those_of_the_cluster_in_their_workflow_id(workflow_id, cluster):
    """Nothing else says which cluster they keep."""
    assert cluster_of_turns(workflow_id) == cluster


FOUR, FIVE = (Ticket(f"memberflow:prod:join:etcd-{n}", f"run-{n}") for n in (7, 8))


def limited(claim: Claim | None = None, most: int = 1) -> Word:
    """The word of a change, at a worker whose clusters file has this `max_waiting`."""
    return Word("RUNNING", claim=claim or Claim("waits"), is_join=True, max_waiting=most)


def test_a_full_line_turns_a_new_change_away():
    """However many ask in the same moment: each is judged when its turns hear of it, one after the other."""
    made = holding()
    for ticket in (TWO, THREE, FOUR):
        made.enter(ticket)
    for ticket in (THREE, TWO, FOUR):
        made.learn(ticket, limited(), NOW)
    assert (made.state.waiting, made.turned_away) == ((THREE,), {TWO, FOUR})
    made.learn(THREE, limited(), NOW)
    assert made.state.waiting == (THREE,), "it has its place, and keeps it"
    made.drop(THREE)
    made.learn(FIVE, limited(), NOW)
    assert made.state.waiting == (FIVE,), "there is room again"


@pytest.mark.parametrize(
    "claim",
    [Claim("holds"), Claim("waits", had_turn=True), Claim("waits", added=("a",)), Claim("waits", returns=True)],
)
def test_a_change_that_has_begun_finds_room_in_a_full_line(claim):
    """It had the turn, has a learner in the cluster, or let others go first: it must not be left half done."""
    made = holding(TWO)
    made.learn(THREE, limited(claim), NOW)
    assert THREE in made.state.waiting
    assert not made.turned_away
