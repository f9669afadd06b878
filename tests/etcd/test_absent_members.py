"""Why a member does not start, on a real member: each mistake with its own evidence."""

from __future__ import annotations

import pytest
from reach import client

from activities.absence import Absence
from local.etcd_cluster import LocalMember
from membership.allow import Allow
from membership.judge_join import judge_sync
from membership.model import handover
from membership.policy import Policy
from membership.verdicts import Facts
from support.parts.command import eventually

REFUSED = "connection refused, and the leader gets no answer from it: is etcd running there?"
FOREIGN = "answers at its peer URL, so it was started with ETCD_INITIAL_CLUSTER_STATE=new or with old data"


def never_started(new, values):
    """Nothing runs there."""


def started_as_a_new_cluster(new, values):
    """STATE=new in place of existing."""
    new.start({**values, "ETCD_INITIAL_CLUSTER_STATE": "new"})


def started_with_old_data(new, values):
    """It was the only member of a cluster of its own."""
    alone = {"ETCD_INITIAL_CLUSTER": f"{new.name}={new.peer_url}", "ETCD_INITIAL_CLUSTER_STATE": "new"}
    new.start({**values, **alone})
    new.wait_until_serving()
    new.stop()
    new.start(values)


def started_with_a_wrong_cluster(new, values):
    """Its own URL alone: etcd ends at once."""
    new.start({**values, "ETCD_INITIAL_CLUSTER": f"{new.name}={new.peer_url}"})
    eventually(lambda: new.process.exit_code() is not None, "the end of the member")


@pytest.mark.parametrize(
    ("mistake", "evidence"),
    [
        (never_started, REFUSED),
        (started_as_a_new_cluster, FOREIGN),
        (started_with_old_data, FOREIGN),
        (started_with_a_wrong_cluster, REFUSED),
    ],
)
def test_a_mistake(single, etcd_binary, tmp_path, mistake, evidence):
    """The wait's text says what answers at the peer URL, what the leader sees, and what to check."""
    new = LocalMember("new", etcd_binary, tmp_path / "new")
    with client(single.client_url) as etcd:
        etcd.look()
        added = etcd.add_learner((new.peer_url,), 5)
        status = etcd.look()
        facts = Facts("prod", status.cluster_id, Policy(), "new", (new.peer_url,), added.id)
        mistake(new, handover(status.members, added.id, "new").env())

        def reason():
            look = etcd.look()
            wait = judge_sync(look, facts)
            return evidence in Absence(facts, Allow).explain(etcd, look, 15.0, wait).reason

        eventually(reason, f"the evidence: {evidence}")
    new.stop()
