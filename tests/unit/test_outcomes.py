"""Outcomes are read across versions."""

from __future__ import annotations

from messages.outcomes import Outcome

KNOWN = {"cluster": "prod", "member": "etcd-4", "outcome": "promoted", "workflow_id": "w", "run_id": "r"}


def test_an_outcome_of_a_later_version_can_be_read():
    """One field more is no failure of a change that went through."""
    later = Outcome.model_validate({**KNOWN, "one_field_more": 1})
    assert later == Outcome.model_validate(KNOWN)
