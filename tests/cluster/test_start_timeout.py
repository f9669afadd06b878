"""A member that is never started: the change says what was seen of it, while it waits and when it gives up."""

from __future__ import annotations

from support.parts.lab import eventually


def test_a_member_that_never_starts(lab):
    """Its waiting text and its end have the answer at the peer URL and the leader's view."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "8s"}
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    evidence = f"{join.new.peer_url}: connection refused, and the leader gets no answer from it"
    eventually(lambda: evidence in lab.waits_for(workflow_id), "the reason in the waiting text")
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "rolled-back"), end
    assert "did not start within start_timeout (8s)" in end.answer["reason"]
    assert evidence in end.answer["reason"]
