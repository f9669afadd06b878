"""The line of changes: what a claim says, and when it says nothing any more."""

from __future__ import annotations

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


def test_a_change_that_was_reset_is_heard_again():
    """Its time goes on, though its workflow began anew."""
    assert turns(claim(at=5.0, giving_back=True), claim(at=9.0)).waiting == (MINE,)
