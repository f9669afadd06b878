"""A newcomer whose settings endanger the cluster: held before it may vote, or warned of."""

from __future__ import annotations

import pytest

from support.parts.lab import eventually

# Less than etcd's default of 2 GB, which the voters have.
SMALL = ("--quota-backend-bytes=33554432",)


@pytest.mark.parametrize("policy", ["hold", "warn"])
def test_a_newcomer_with_a_smaller_quota(lab, policy):
    """Held until a person says that it may vote as it is; the outcome says so in either case."""
    # Young: etcd sends no snapshot, after which the learner would be silent and show no quota.
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"newcomer": policy}
    new = cluster.new_member(flags=SMALL)
    join = cluster.join(new)
    join.start_member()
    if policy == "hold":
        held = eventually(lambda: lab.held(cluster.workflow_id(new)), "the join to be held")
        assert "its quota is 34 MB, and the others' is 2147 MB" in held
        assert not cluster.sent("MemberPromote")
        assert lab.run("resume", cluster.name, new.name).code == 0
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert any("its quota is 34 MB" in warning for warning in end.answer["warnings"])
