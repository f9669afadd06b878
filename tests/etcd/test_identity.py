"""Whose answers count: a change knows its cluster by ID, and finds it where its voters were seen."""

from __future__ import annotations

import pytest
from reach import Seeming, client, seeming_voter

from local.processes import free_port
from membership import etcd_errors as e
from membership.errors import ClusterUnreachable, WrongCluster

OURS, OTHERS = 0xC0FFEE, 0xBAD


@pytest.fixture
def ours():
    """A voter of the cluster that the change began on."""
    server = seeming_voter(OURS, 0xA)
    yield server
    server.close()


@pytest.fixture
def others():
    """A voter of somebody else's cluster."""
    server = seeming_voter(OTHERS, 0xB)
    yield server
    server.close()


def test_another_clusters_answers_are_never_evidence(ours, others):
    """The endpoints belong to two clusters: a change sees its own alone, and without a change it is an error."""
    with client(others.url, ours.url) as etcd:
        status = etcd.expecting("c0ffee").look()
        assert (status.cluster_id, [*status.statuses]) == ("c0ffee", ["a"])
        with pytest.raises(WrongCluster):
            etcd.look()


def test_a_look_in_which_only_another_cluster_answers_fails(others):
    """A DNS name that moved, say: what answers there is not the cluster of this change."""
    with client(others.url) as etcd, pytest.raises(WrongCluster, match="for cluster bad, not for cluster c0ffee"):
        etcd.expecting("c0ffee").look()


def test_an_id_in_the_clusters_file_holds_from_the_first_look(others):
    """It is compared as a number, whatever its case and padding."""
    with client(others.url, cluster_id="C0FFEE") as etcd, pytest.raises(WrongCluster):
        etcd.look()
    with client(others.url, cluster_id="0BAD") as etcd:
        assert etcd.look().cluster_id == "bad"
        with pytest.raises(WrongCluster, match="began on cluster c0ffee, and the clusters file says cluster_id bad"):
            etcd.expecting("c0ffee").look()


def test_a_change_finds_its_cluster_where_its_voters_were(ours):
    """Every configured endpoint is gone; a worker that starts anew has nothing but what the change remembers."""
    gone = f"http://127.0.0.1:{free_port()}"
    with client(gone) as etcd:
        with pytest.raises(ClusterUnreachable):
            etcd.look()
        assert etcd.expecting("c0ffee", also=[ours.url]).look().readers == ("a",)
        with pytest.raises(ClusterUnreachable):
            etcd.look()


def test_a_remembered_url_of_another_cluster_is_no_evidence(ours, others):
    """The address was given to somebody else meanwhile."""
    with client(ours.url) as etcd:
        status = etcd.expecting("c0ffee", also=[others.url]).look()
    assert (status.cluster_id, status.readers) == ("c0ffee", ("a",))


def test_a_change_acts_on_its_own_look(ours, others):
    """Another change of the same name looked at another cluster in between: its leader is not sent this act."""
    with client(ours.url) as etcd:
        change = etcd.expecting("c0ffee")
        change.look()
        other = etcd.expecting("bad", also=[others.url])
        other._seeds = (others.url,)
        assert other.look().cluster_id == "bad"
        with pytest.raises(e.UnknownEtcdError):
            change.add_learner(("http://10.0.0.9:2380",), 1)
    assert (ours.count("MemberAdd"), others.count("MemberAdd")) == (1, 0)


def test_without_an_expected_id_nothing_else_is_asked(ours):
    """An address from a request proves nothing by itself."""
    silent = Seeming(lambda *_: "not here")
    with client(ours.url) as etcd:
        etcd.expecting("", also=[silent.url]).look()
    assert silent.asked == []
    silent.close()
