"""The peer URLs of a new member, judged against those of the members that are there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import LOOSE, asked, checked, cluster, facts, the, voter

from membership.failures import Failure
from membership.judge_join import judge_add
from membership.model import Member, handover
from membership.preflight import check_join
from membership.verdicts import Ready, Refuse

LOCAL = replace(
    cluster(1), members=(Member("1", "etcd-1", ("http://127.0.0.1:2380",), ("http://127.0.0.1:2379",), False),)
)


@pytest.mark.parametrize(
    ("status", "url", "told"),
    [
        (cluster(3), "http://10.0.0.3:2379", "leads to the client URL http://10.0.0.3:2379 of member etcd-3 (3)"),
        (LOCAL, "http://localhost:2380", "leads to the peer URL http://127.0.0.1:2380 of member etcd-1 (1)"),
        (LOCAL, "http://[::1]:2379", "leads to the client URL http://127.0.0.1:2379 of member etcd-1 (1)"),
    ],
)
def test_the_place_of_another_member(status, url, told):
    """Only one process can listen there, so the new member would never start: refused by the other one's name."""
    verdict = judge_add(status, facts(url=url))
    assert isinstance(verdict, Refuse)
    assert (verdict.error, told in verdict.reason) == (Failure.PEER_URL_CONFLICT, True)


@pytest.mark.parametrize("url", ["http://10.0.0.3:2381", "http://10.0.0.33:2380", "http://etcd-9.example:2380"])
def test_a_place_of_its_own(url):
    """Another port, or another host."""
    assert judge_add(cluster(3), facts(url=url)) == Ready()


def test_a_replacement_takes_over_a_peer_url_and_no_client_url():
    """The old member makes room at the one; at another one's client URL the new member could not serve its peers."""
    good = asked(old="3", name="etcd-3", url="http://10.0.0.3:2380")
    assert the("join", checked(cluster(3), good)).verdict == "ok"
    bad = asked(old="3", url="http://10.0.0.2:2379")
    assert the("join", checked(cluster(3), bad)).error == Failure.PEER_URL_CONFLICT


def test_a_loopback_address_among_others_is_warned_of():
    """Each member would dial itself; where all are on one machine there is nothing to say."""
    warned = the("new address", check_join(cluster(3), facts(policy=LOOSE, url="http://127.0.0.1:2380")))
    assert (warned.verdict, "http://127.0.0.1:2380" in warned.evidence) == ("warn", True)
    assert "new address" not in [c.name for c in check_join(LOCAL, facts(url="http://127.0.0.1:3380"))]
    assert "new address" not in [c.name for c in check_join(cluster(3), facts())]


@pytest.mark.parametrize(
    "name", ["a\nLD_PRELOAD=/x", "a,b=http://evil:1", "a b", "$(id)", "`id`", "a'b", "x" * 200, "etcd-9", "etcd-1"]
)
def test_a_member_with_an_odd_name_stands_in_a_handover_by_its_id(name):
    """Etcd compares URLs only; a name with a line break put LD_PRELOAD into the next member's environment."""
    members = (voter(1), replace(voter(2), name=name), Member("9", "", ("http://10.0.0.9:2380",), (), True))
    given = handover(members, "9", "etcd-9")
    first = "1" if name == "etcd-1" else "etcd-1"
    assert given.initial_cluster == f"{first}=http://10.0.0.1:2380,2=http://10.0.0.2:2380,etcd-9=http://10.0.0.9:2380"
    assert all(value.isprintable() for value in given.env().values())


def test_a_url_that_no_handover_can_carry_stays_out_of_it():
    """Etcd refuses such a start by itself; a shell would run it."""
    odd = replace(voter(2), peer_urls=("http://$(id):2380", "http://10.0.0.2:2380"))
    new = Member("9", "", ("http://10.0.0.9:2380",), (), True)
    assert handover((odd, new), "9", "n").initial_cluster == "etcd-2=http://10.0.0.2:2380,n=http://10.0.0.9:2380"
