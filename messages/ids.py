"""The names of changes in Temporal: workflow IDs, workflow types, search attributes."""

from __future__ import annotations

from membership.names import is_name
from messages.requests import Verb

# The workflow type for each verb.
WORKFLOW_TYPES: dict[str, str] = {"join": "JoinMember", "remove": "RemoveMember", "replace": "ReplaceMember"}

#: In the place of a change's verb, and the workflow type.
APPLY, APPLY_TYPE = "apply", "ApplyMembers"

# Keywords. Registered by `memberflow setup`, never required.
SEARCH_ATTRIBUTES = ("EtcdCluster", "EtcdMember", "EtcdStage")


def change_id(cluster: str, verb: Verb, member: str) -> str:
    """The workflow ID of a change: cluster, verb and member."""
    return f"memberflow:{cluster}:{verb}:{member}"


def apply_id(cluster: str) -> str:
    """The workflow ID of a cluster's `apply`: one at a time."""
    return f"memberflow:{cluster}:{APPLY}"


def parts_of(workflow_id: str) -> tuple[str, str, str]:
    """Cluster, verb and member of a change by its workflow ID. An apply has no member."""
    _, cluster, verb, *member = workflow_id.split(":")
    return cluster, verb, "".join(member)


def turns_id(cluster: str) -> str:
    """The workflow ID of a cluster's turns."""
    return f"memberflow:{cluster}"


def cluster_of_turns(workflow_id: str) -> str:
    """The cluster whose turns have this workflow ID, empty for any other ID."""
    parts = workflow_id.split(":")
    return parts[1] if len(parts) == 2 and parts[0] == "memberflow" and is_name(parts[1]) else ""


def verb_of(cluster: str, workflow_id: str) -> str:
    """The verb of the change of this cluster that has this workflow ID, empty for any other ID."""
    parts = workflow_id.split(":")
    if len(parts) != 4 or parts[:2] != ["memberflow", cluster] or not is_name(parts[3]):
        return ""
    return parts[2] if parts[2] in WORKFLOW_TYPES else ""


def change_in(workflow_id: str) -> tuple[str, str]:
    """Cluster and verb of the change that has this workflow ID, both empty for any other ID."""
    cluster = "".join(workflow_id.split(":")[1:2])
    verb = verb_of(cluster, workflow_id)
    return (cluster, verb) if verb else ("", "")


def removed_by(workflow_id: str) -> str:
    """The member that the removal with this workflow ID takes out, empty for any other ID."""
    parts = workflow_id.split(":")
    return parts[3] if len(parts) == 4 and parts[2] == "remove" else ""
