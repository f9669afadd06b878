"""What etcd's answers are taken for: leaders, lists, alarms, identities, and why a member counts as silent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdapi import reading
from etcdapi.raft import parse_view, uptime_of
from etcdapi.stubs import rpc_pb2
from membership.errors import WrongCluster
from membership.etcd_errors import DeadlineExceeded
from membership.model import Alarm, Member, RaftProgress
from membership.witness import RaftView

CLUSTER = 0xC0FFEE
OTHER = 0xBAD


def row(number, name="etcd", *, learner=False, peers=(), clients=()):
    return rpc_pb2.Member(
        ID=number, name=name, isLearner=learner, peerURLs=peers or [f"http://p{number}:1"], clientURLs=clients
    )


def members(*rows):
    return reading.read_members(rpc_pb2.MemberListResponse(members=rows))


def answer(member, *, cluster=CLUSTER, **fields):
    return rpc_pb2.StatusResponse(header=rpc_pb2.ResponseHeader(cluster_id=cluster, member_id=member), **fields)


def status(member, leader, term):
    return reading.read_status(answer(member, leader=leader, raftTerm=term))


def test_ids_are_written_as_etcdctl_prints_them():
    """Lower-case hex without padding; etcd's 0 is nobody."""
    assert [reading.hex_id(number) for number in (0, 10, 0x8E9E05C52164694D, 2**64 - 1)] == [
        "",
        "a",
        "8e9e05c52164694d",
        "f" * 16,
    ]


def test_a_member_is_the_same_in_whatever_order_its_urls_come():
    """Two lists are compared by value."""
    one = reading.read_member(row(1, peers=["http://b:1", "http://a:1"], clients=["http://d:1", "http://c:1"]))
    other = reading.read_member(row(1, peers=["http://a:1", "http://b:1"], clients=["http://c:1", "http://d:1"]))
    assert one == other == Member("1", "etcd", ("http://a:1", "http://b:1"), ("http://c:1", "http://d:1"), False)


def test_members_come_in_the_order_of_their_ids():
    """By number; as text, 1000 would come first."""
    assert [m.id for m in members(row(0x1000), row(2), row(0xFF))] == ["2", "ff", "1000"]


def test_a_status_is_read_whole():
    """Each number at its place; a member that knows no leader says 0."""
    sizes = {"dbSize": 7, "dbSizeInUse": 6, "dbSizeQuota": 8}
    indexes = {"raftTerm": 3, "raftIndex": 50, "raftAppliedIndex": 49}
    found = reading.read_status(answer(0xA, version="3.7.1", leader=0, isLearner=True, **sizes, **indexes))
    assert (found.member_id, found.version, found.leader, found.term) == ("a", "3.7.1", "", 3)
    assert (found.raft_index, found.applied_index) == (50, 49)
    assert (found.db_size, found.db_size_in_use, found.db_quota, found.is_learner) == (7, 6, 8, True)


@pytest.mark.parametrize(
    ("texts", "alarms"),
    [
        ((), ()),
        (("memberID:10 alarm:NOSPACE ",), (Alarm("a", "NOSPACE"),)),
        (("memberID:10  alarm:CORRUPT",), (Alarm("a", "CORRUPT"),)),
        (("memberID:18446744073709551615 alarm:NOSPACE",), (Alarm("f" * 16, "NOSPACE"),)),
        (
            ("etcdserver: no leader", "memberID:1 alarm:NOSPACE ", "memberID:1 alarm:CORRUPT "),
            (Alarm("1", "NOSPACE"), Alarm("1", "CORRUPT")),
        ),
        (("something new",), ()),
    ],
)
def test_alarms_are_read_from_texts(texts, alarms):
    """Of 3.5 to 3.7, which differ in white space; other errors of a status are no alarms."""
    assert alarms == reading.read_status(answer(1, errors=texts)).alarms


@pytest.mark.parametrize(
    ("said", "leader", "term"),
    [
        ((), "", 0),
        (((1, 1, 5), (2, 1, 5), (3, 1, 5)), "1", 5),
        (((1, 1, 5), (2, 2, 6), (3, 2, 6)), "2", 6),
        (((2, 2, 6), (3, 2, 6), (1, 1, 5)), "2", 6),
        (((1, 1, 5), (2, 1, 5), (3, 3, 6)), "", 6),
        (((3, 3, 6), (1, 1, 5)), "", 6),
        (((1, 1, 5), (2, 2, 5)), "", 5),
        (((1, 1, 5), (2, 1, 5), (3, 3, 5)), "1", 5),
        (((1, 1, 5), (2, 0, 6)), "", 6),
        (((2, 0, 6), (3, 3, 6)), "3", 6),
        (((1, 0, 5), (2, 0, 5)), "", 5),
    ],
    ids=[
        "nobody",
        "agreed",
        "a deposed one still votes",
        "order",
        "more know another one of an earlier term",
        "as many know another one",
        "two leaders of one term",
        "the others know another one of this term",
        "election",
        "one knows it already",
        "none",
    ],
)
def test_the_highest_term_decides_who_leads(said, leader, term):
    """Unless as many voters know another leader: within an election that passes, and otherwise one of them lies."""
    assert reading.agree_on_leader(status(*one) for one in said) == (leader, term)


@pytest.mark.parametrize(
    ("terms", "voters", "liars"),
    [
        ({}, 3, ""),
        ({"a": 5, "b": 5, "c": 5}, 3, ""),
        ({"a": 5, "b": 5, "c": 2**63}, 3, "c"),
        ({"a": 5, "b": 6, "c": 6}, 3, ""),
        ({"a": 5, "c": 2**63}, 3, ""),
        ({"a": 5, "c": 6}, 2, "c"),
        ({"a": 5, "b": 5, "c": 6, "d": 6, "f": 6}, 5, ""),
        ({"a": 5, "b": 5, "c": 5, "d": 9, "f": 9}, 5, "df"),
        ({"a": 5, "b": 5, "c": 9}, 4, "c"),
        ({"c": 9}, 1, ""),
    ],
)
def test_a_term_without_a_quorum_is_refuted(terms, voters, liars):
    """It began with the votes of a quorum, so too many voters at earlier terms prove that it never did."""
    told = {who: reading.read_status(answer(int(who, 16), raftTerm=term), (who,)) for who, term in terms.items()}
    assert set(reading.refuted(told, voters)) == set(liars)


def test_the_list_of_most_voters():
    """Each voter counts once, however many client URLs it has; the first list wins a tie."""
    one, other = members(row(1), row(2)), members(row(1))
    assert reading.common_list(listed(a=other, b=one, c=one)) == one
    assert reading.common_list(listed(a=other, b=one)) == other
    lists = {"u1": ("a", other), "u2": ("a", other), "u3": ("b", one), "u4": ("c", one)}
    assert reading.common_list(lists) == one


def test_an_answer_at_anothers_url_is_none_of_a_member():
    """A member that lies could speak for a dead one."""
    rows = members(row(1, clients=["http://a"]), row(2, clients=["http://b"]))
    statuses, silent = reading.identify(rows, {"http://a": LATE, "http://b": answer(1)}, ())
    assert statuses == {}
    assert silent == {"1": str(LATE), "2": "http://b answers as member 1"}


def listed(**lists):
    """By URL: who answered, and its list."""
    return {f"http://{who}": (who, rows) for who, rows in lists.items()}


def test_lists_that_agree():
    """Names and client URLs don't count, nor does the order: a member publishes the former while it starts."""
    leader = members(row(1), row(2, ""))
    other = members(row(2, "late", clients=["http://c:1"]), row(1))
    assert reading.agree_on_members(listed(a=leader, b=other)) == (leader, ())


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (members(row(1)), "b lists 2 voter http://p2:1"),
        (members(row(1), row(2, learner=True)), "b lists 2 learner http://p2:1, 2 voter http://p2:1"),
        (members(row(1), row(2), row(3, learner=True)), "b lists 3 learner http://p3:1"),
        (
            members(row(1), row(2, peers=["http://x:1", "http://y:1"])),
            "b lists 2 voter http://p2:1, 2 voter http://x:1",
        ),
    ],
    ids=["one is missing", "another role", "one more", "another peer URL"],
)
def test_a_list_that_differs_is_told(others, told):
    """Who, and in what; the first list is the one that counts."""
    leader = members(row(1), row(2))
    found, [dissent] = reading.agree_on_members(listed(a=leader, b=others))
    assert found == leader
    assert dissent.startswith(told)


def test_every_voter_that_differs_is_told_once():
    """Though it answered through two client URLs."""
    leader, other = members(row(1), row(2)), members(row(1))
    lists = {"u1": ("1", leader), "u3": ("3", other), "u2": ("2", other), "u2-too": ("2", other), "u4": ("4", leader)}
    _, dissent = reading.agree_on_members(lists)
    assert [who.split()[0] for who in dissent] == ["2", "3"]


def test_configured_endpoints_of_different_clusters_are_an_error():
    """With both IDs; only endpoints of the configuration count, and silence is no contradiction."""
    seeds = ("http://a", "http://b", "http://not-asked")
    answers = {"http://a": answer(1), "http://b": DeadlineExceeded("late"), "http://c": answer(3, cluster=OTHER)}
    assert reading.agree_on_cluster(answers, seeds) == CLUSTER
    with pytest.raises(WrongCluster, match="http://a answers for cluster c0ffee; http://c answers for cluster bad"):
        reading.agree_on_cluster(answers, (*seeds, "http://c"))


def test_silent_endpoints_tell_no_cluster():
    """The one that was known before still holds then."""
    assert reading.agree_on_cluster({"http://a": DeadlineExceeded("late")}, ["http://a"]) == 0


def test_answers_of_another_cluster_are_an_error_and_no_evidence():
    """Its leader, its term and its member list would be taken for this cluster's."""
    late = DeadlineExceeded("late")
    answers = {"http://a": answer(1), "http://b": late, "http://c": answer(3, cluster=OTHER)}
    checked = reading.of_cluster(answers, CLUSTER)
    assert (checked["http://a"], checked["http://b"]) == (answers["http://a"], late)
    assert isinstance(checked["http://c"], WrongCluster)


URL = "http://learner:2379"
LATE = DeadlineExceeded("too late", "DEADLINE_EXCEEDED", URL)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({}, f"{URL} was not asked"),
        ({URL: LATE}, str(LATE)),
        ({URL: answer(1)}, f"{URL} answers as member 1"),
        ({URL: answer(9, cluster=OTHER)}, f"{URL} answers for cluster bad"),
    ],
    ids=["not asked", "late", "a neighbour", "a namesake of another cluster"],
)
def test_who_answers_as_somebody_else_stays_silent(answers, why):
    """A worker on an etcd host would take its neighbour for the learner: etcd advertises localhost by default."""
    rows = members(row(1, clients=["http://voter:2379"]), row(9, learner=True, clients=[URL]))
    checked = reading.of_cluster({"http://voter:2379": answer(1), **answers}, CLUSTER)
    statuses, silent = reading.identify(rows, checked, ())
    assert list(statuses) == ["1"]
    assert silent == {"9": why}


def test_every_client_url_has_its_own_reason():
    """And a member without one has said nothing yet."""
    rows = members(row(1, clients=["http://a", "http://b"]), row(2, ""))
    _, silent = reading.identify(rows, {"http://a": answer(3), "http://b": LATE}, ())
    assert silent == {
        "1": f"http://a answers as member 3; {LATE}",
        "2": "has published no client URL yet",
    }


def test_one_of_its_urls_is_enough():
    """Whichever it is, also one that the list doesn't have: the member said its own ID."""
    rows = members(row(1, clients=["http://a", "http://b"]), row(2))
    statuses, silent = reading.identify(rows, {"http://a": LATE, "http://b": answer(1), "x": answer(2)}, ())
    assert (set(statuses), silent) == ({"1", "2"}, {})


def test_a_member_that_is_being_removed_counts_as_not_asked():
    """Whatever came in before."""
    rows = members(row(1, clients=["http://a"]))
    statuses, silent = reading.identify(rows, {"http://a": answer(1)}, ["1"])
    assert (statuses, silent) == ({}, {"1": "not asked, because it is being removed"})


ANSWERS = st.one_of(st.just(LATE), st.builds(answer, st.integers(1, 5), cluster=st.sampled_from([CLUSTER, OTHER])))


@given(st.dictionaries(st.sampled_from([f"http://c{n}" for n in range(1, 6)]), ANSWERS), st.sets(st.integers(1, 5)))
def test_every_member_either_answers_or_has_a_reason(answers, avoid):
    """Never both, never neither, never somebody who is not in the list."""
    rows = members(*(row(n, clients=[f"http://c{n}"]) for n in range(1, 5)))
    statuses, silent = reading.identify(rows, reading.of_cluster(answers, CLUSTER), {str(n) for n in avoid})
    assert sorted([*statuses, *silent]) == ["1", "2", "3", "4"]
    assert all(who == found.member_id for who, found in statuses.items())
    assert all(silent.values())


def test_the_leaders_progress():
    """By member ID, as raft has it. The rest of the page does not matter."""
    rows = {"a": {"match": 7, "next": 8, "state": "StateReplicate"}, "b": {"match": 0, "state": "StateSnapshot"}}
    page = json.dumps(
        {"cmdline": [], "raft.status": {"id": "a", "lead": "a", "term": 2, "commit": 7, "progress": rows}}
    ).encode()
    progress = {"a": RaftProgress(7, "StateReplicate"), "b": RaftProgress(0, "StateSnapshot")}
    assert parse_view(page) == RaftView("a", "a", 2, 7, progress)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"404 page not found",
        b"[]",
        b"{}",
        b'{"raft.status": null}',
        b'{"raft.status": {"id": "b"}}',
        b'{"raft.status": {"progress": {}}}',
        b'{"raft.status": {"progress": null}}',
        b'{"raft.status": {"progress": [1]}}',
        b'{"raft.status": {"progress": {"a": {"match": 1}}}}',
        b'{"raft.status": {"progress": {"a": {"match": "x", "state": "StateReplicate"}}}}',
        b'{"raft.status": {"progress": {"a": 5}}}',
        b"[" * 100_000,
        b'{"raft.status": {"id": "b", "lead": "b", "term": 1, "commit": 1, "progress": {"a": {"match": 1'
        + b"0" * 400
        + b', "state": "StateReplicate"}}}}',
    ],
)
def test_a_page_of_another_shape_tells_nothing(body):
    """A debug page is optional evidence: a later etcd may have another page."""
    assert parse_view(body) is None


@pytest.mark.parametrize("started", [b"nan", b"inf", b"soon", b""])
def test_an_uptime_that_is_no_number(started):
    """A member that lies has been up for no time at all."""
    with pytest.raises(ValueError):  # noqa: PT011  (Python's own, of several texts)
        uptime_of(b"process_start_time_seconds " + started + b"\n", "Sat, 01 Jun 2030 00:00:00 GMT")
