"""The newcomer's own settings: which of them endanger a cluster, and which are as good as the others'."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import NEW_ID, cluster, learner, own_word

from membership.model import Alarm
from membership.newcomer import check_newcomer

GB = 10**9


def look(*, urls=("http://10.0.0.9:2379",), others="http://10.0.0.{}:2379", **own):
    """Three voters with a quota of 2 GB and a database of 1 GB, and a learner with these settings."""
    newcomer = replace(learner(), client_urls=urls)
    status = cluster(3, newcomer)
    members = tuple(m if m.is_learner else replace(m, client_urls=(others.format(m.id),)) for m in status.members)
    statuses = {i: replace(s, db_size=GB, db_quota=2 * GB) for i, s in status.statuses.items()}
    statuses[NEW_ID] = replace(own_word(NEW_ID, is_learner=True), db_size=GB, **{"db_quota": 2 * GB, **own})
    return replace(status, members=members, statuses=statuses)


def evidence(status):
    return [check.evidence for check in check_newcomer(status, NEW_ID)]


@pytest.mark.parametrize(
    "status",
    [
        look(),
        look(db_quota=0),
        look(db_quota=3 * GB),
        look(version="3.7.0"),
        look(version="3.8.0"),
        look(urls=("http://127.0.0.9:2379",), others="http://127.0.0.{}:2379"),
        look(urls=("https://10.0.0.9:2379",), others="https://10.0.0.{}:2379"),
        look(urls=("https://10.0.0.9:2379",)),
        look(urls=()),
    ],
)
def test_nothing_is_said_of_settings_like_the_others(status):
    """Nor of better ones, nor of what a server before 3.6 does not show."""
    assert evidence(status) == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (look(db_quota=GB), "quota is 1000 MB, and the database has 1000 MB: the next write makes the whole cluster"),
        (look(db_quota=GB + 10**6), "quota is 1001 MB, and the others' is 2000 MB"),
        (look(version="3.6.9"), "runs etcd 3.6.9, which is older than the others' 3.7.1"),
        (look(others="https://10.0.0.{}:2379"), "advertises http://10.0.0.9:2379, without TLS"),
        (look(urls=("http://localhost:2379",)), "advertises http://localhost:2379, which only its own machine"),
        (look(urls=("http://0.0.0.0:2379",)), "advertises http://0.0.0.0:2379, which is not an address"),
        (look(urls=("http://[::]:2379",)), "advertises http://[::]:2379, which is not an address"),
    ],
)
def test_settings_that_endanger_the_cluster(status, told):
    """Each with the figures, and a hint."""
    [check] = check_newcomer(status, NEW_ID)
    assert told in check.evidence
    assert check.verdict == "warn"
    assert check.hint


def test_a_newcomer_that_raised_an_alarm():
    """The writes have stopped by then. The alarm outlives the member, so it is told of a member that is gone, too."""
    told = ["it raised the alarm NOSPACE: the whole cluster is read-only until `etcdctl alarm disarm`"]
    alarmed = look(db_quota=GB)
    alarmed.statuses["1"] = replace(alarmed.statuses["1"], alarms=(Alarm(NEW_ID, "NOSPACE"),))
    assert evidence(alarmed) == told
    assert evidence(replace(alarmed, members=alarmed.members[:3])) == told
    assert evidence(look(alarms=(Alarm("1", "NOSPACE"),))) == []


def test_of_a_silent_newcomer_only_its_row_is_judged():
    """Its Status shows nothing."""
    status = look(urls=("http://localhost:2379",), db_quota=1)
    del status.statuses[NEW_ID]
    assert evidence(status) == ["it advertises http://localhost:2379, which only its own machine reaches"]
