"""
The workflows for which a worker runs an activity: those of this service, each for its own activities.

Every client that may write to the Temporal namespace can start any activity, with any payload: by itself, or from a
workflow of its own. Such an activity is refused before it does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from membership.errors import MemberflowError
from messages.ids import APPLY_TYPE, WORKFLOW_TYPES, apply_id, verb_of
from messages.notices import NOTIFY_TYPE

_JOINS = frozenset({WORKFLOW_TYPES["join"], WORKFLOW_TYPES["replace"]})
_REMOVALS = frozenset({WORKFLOW_TYPES["remove"], WORKFLOW_TYPES["replace"]})
_CHANGES = _JOINS | _REMOVALS
_PLANS = frozenset({"PlanChange"})
_APPLY = frozenset({APPLY_TYPE})
_TURNS = frozenset({"ClusterTurns"})
_QUESTIONS = frozenset({"InspectCluster", "ListClusters"})

#: The workflow types that may run each activity, by its name.
CALLERS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("add_learner", "promote_learner"), _JOINS),
    **dict.fromkeys(("check_launcher", "launch_member", "describe_launched", "stop_launched"), _JOINS),
    **dict.fromkeys(("remove_member", "move_leader", "save_snapshot"), _REMOVALS),
    "remove_learner": _CHANGES,
    **dict.fromkeys(("wait_for_cluster", "wait_for_sync", "wait_for_verification", "wait_until_settled"), _CHANGES),
    **dict.fromkeys(("check_status_and_turns", "check_after_barrier"), _CHANGES),
    **dict.fromkeys(("ask_turn", "turns_run", "preempt"), _CHANGES),
    "read_turns": _CHANGES | _QUESTIONS,
    "cancel_change": _CHANGES | _APPLY,
    **dict.fromkeys(("ask_change", "find_changes", "watch_holder"), _TURNS),
    **dict.fromkeys(("wait_until_closed", "wait_for_handover"), _APPLY),
    "compare_members": _APPLY | {"PlanApply"},
    "read_profile": _CHANGES | _PLANS | _APPLY | _QUESTIONS | {"PlanApply"},
    **dict.fromkeys(("look_beforehand", "began_with"), _CHANGES | _PLANS),
    "check_status": _CHANGES | _QUESTIONS,
    "send_end": frozenset({NOTIFY_TYPE}),
    **dict.fromkeys(("list_clusters", "check_access", "check_files"), _QUESTIONS),
}

# Their whole argument is the name of a cluster.
_OF_A_NAME = ("read_profile", "read_turns", "turns_run", "check_files")


class NotTrusted(MemberflowError):
    """Only a change of this service may ask for this activity, and only in its own way."""

    hint = "start JoinMember, RemoveMember or ReplaceMember to ask for a change (docs/security.md)"


class OwnCallers(Interceptor):
    """Refuses an activity that no workflow of this service asks for."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _OwnCallers(next)


class _OwnCallers(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info, argument = activity.info(), input.args[0] if input.args else None
        if why := why_refused(info, cluster_of(info.activity_type, argument)):
            raise ApplicationError(why, NotTrusted.hint, type=NotTrusted.__name__, non_retryable=True)
        return await self.next.execute_activity(input)


def cluster_of(activity_type: str, argument: Any) -> str | None:
    """The cluster that an activity with this argument is about. None: it is about none."""
    found = argument if activity_type in _OF_A_NAME else getattr(argument, "cluster", None)
    return found if isinstance(found, str) else None


def why_refused(info: activity.Info, cluster: str | None) -> str:
    """
    Why this activity does not run. Empty: a workflow of this service asks for it, about its own cluster.

    `cluster` is None for an activity that is about no cluster.
    """
    kind = info.workflow_type or ""
    if kind not in CALLERS.get(info.activity_type, ()):
        return f"{info.activity_type} must not be run by {kind or 'an activity without a workflow'}"
    workflow_id = info.workflow_id or ""
    if cluster is None or _is_of(cluster, kind, workflow_id):
        return ""
    asked = f"{info.activity_type} was asked for cluster {cluster!r:.140}"
    return f"{asked}, but no {kind} of that cluster has the ID {workflow_id!r}"


def _is_of(cluster: str, kind: str, workflow_id: str) -> bool:
    """Whether the ID of a change or an apply names this cluster. The other types have IDs of their callers' choice."""
    if kind in _CHANGES:
        return WORKFLOW_TYPES.get(verb_of(cluster, workflow_id)) == kind
    return kind not in _APPLY or workflow_id == apply_id(cluster)
