"""The line of changes: what a claim says, and when it says nothing any more."""

from __future__ import annotations

from dataclasses import replace

from activities.temporal import Avoided
from messages.turns import Claim, Ticket, TurnsState
from workflows.turns import ClusterTurns

MINE, OTHER = Ticket("memberflow:prod:join:etcd-4", "run-1"), Ticket("memberflow:prod:join:etcd-5", "run-2")


def turns(*claims: Claim) -> TurnsState:
    """The line after these claims."""
    line = ClusterTurns()
    for claim in claims:
        line.claim(claim)
    return line.turns()


def claim(ticket: Ticket = MINE, at: float = 1.0, **more) -> Claim:
    return Claim("prod", ticket, at=at, **more)


def test_changes_wait_in_the_order_in_which_they_asked():
    """However often they ask."""
    assert turns(claim(), claim(OTHER), claim(at=2.0)).waiting == (MINE, OTHER)


def test_who_held_comes_before_those_who_only_waited():
    """After the turns were lost."""
    assert turns(claim(OTHER), claim(holding=True)).waiting == (MINE, OTHER)


def test_a_claim_that_comes_late_says_nothing():
    """A keeper's last claim may overtake nothing: the turn was given back, and must not come again unasked."""
    holding = claim(holding=True)
    given_back = claim(at=2.0, giving_back=True)
    assert turns(holding, given_back, holding).waiting == ()
    assert turns(holding, given_back, claim(at=3.0)).waiting == (MINE,)


def test_an_announcement_is_not_taken_back_by_an_older_claim():
    """Else a member would be asked in the moment of its removal."""
    older, announcing = claim(holding=True), claim(at=2.0, holding=True, removing=("9", "http://h:2379"))
    assert turns(older, announcing, older).removing == announcing.removing
    assert turns(older, announcing, replace(announcing, at=3.0, removing=())).removing == ()


def test_a_change_that_was_reset_is_heard_again():
    """Its time goes on, though its workflow began anew."""
    assert turns(claim(at=5.0, giving_back=True), claim(at=9.0)).waiting == (MINE,)


def test_a_look_in_two_parts_hears_of_a_removal_between_them():
    """What is avoided is asked for at the moment of the question."""
    removing: list[str] = []
    avoided = Avoided(("7",), lambda: tuple(removing))
    assert ("7" in avoided, "9" in avoided, len(avoided)) == (True, False, 1)
    removing.append("9")
    assert ("9" in avoided, sorted(avoided)) == (True, ["7", "9"])
