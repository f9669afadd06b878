"""Sets the search attributes of a change or an apply."""

from __future__ import annotations

from collections.abc import Collection

from temporalio import workflow
from temporalio.common import SearchAttributeKey


def upsert(known: Collection[str], *, cluster: str, member: str, stage: str) -> None:
    """Only attributes that the namespace has, the `known` ones, and none at start: their absence must break nothing."""
    values = {"EtcdCluster": cluster, "EtcdMember": member, "EtcdStage": stage}
    updates = [SearchAttributeKey.for_keyword(name).value_set(value) for name, value in values.items() if name in known]
    if updates:
        workflow.upsert_search_attributes(updates)
