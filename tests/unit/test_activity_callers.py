"""Activities are refused to every caller but the workflows of this service, each about its own cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.activity import _Definition
from temporalio.testing import ActivityEnvironment
from temporalio.workflow import _Definition as WorkflowDefinition

from activities.callers import CALLERS, cluster_of, why_refused
from activities.register import short_activities, waits, watches
from messages.apply import ApplyRequest, Compare
from messages.orders import LookOrder, SettleOrder
from messages.turns import Ticket, TurnRequest
from workflows.register import WORKFLOWS, turns_of


class Nothing:
    """In the place of a server."""

    client = None


def registered() -> set[str]:
    """The names of the activities that a worker runs."""
    every = [
        *short_activities(None, Nothing(), None),
        *waits(None, Nothing(), None),
        *watches(None, Nothing(), None, None),
    ]
    return {definition.name for one in every if (definition := _Definition.from_callable(one))}


def asked(activity: str, kind: str | None, workflow_id: str, argument: object = None) -> str:
    info = ActivityEnvironment().info
    info = replace(info, activity_type=activity, workflow_type=kind, workflow_id=workflow_id)
    return why_refused(info, cluster_of(activity, argument))


def test_every_activity_has_its_callers():
    """An activity without an entry would run for no workflow, and an entry without an activity is a slip."""
    assert set(CALLERS) == registered()


def test_the_callers_are_the_workflows_of_this_service():
    """A type that was renamed would be refused by every worker."""
    known = {WorkflowDefinition.must_from_class(one).name for one in (*WORKFLOWS, turns_of(None), turns_of(object()))}
    assert set().union(*CALLERS.values()) == known


@pytest.mark.parametrize("activity", sorted(CALLERS))
def test_no_activity_runs_by_itself_or_for_strangers(activity):
    """Neither without a workflow nor in a workflow of another type, whatever the payload says."""
    for kind in (None, "", "Evil"):
        told = asked(activity, kind, "memberflow:prod:join:etcd-4", LookOrder("prod"))
        assert told == f"{activity} must not be run by {kind or 'an activity without a workflow'}"


@pytest.mark.parametrize(
    ("activity", "kind", "workflow_id", "argument"),
    [
        ("check_status", "JoinMember", "mine", LookOrder("prod")),
        ("check_status", "JoinMember", "memberflow:other:join:etcd-4", LookOrder("prod")),
        ("check_status", "JoinMember", "memberflow:prod:remove:etcd-4", LookOrder("prod")),
        ("wait_until_settled", "RemoveMember", "memberflow:q:remove:x", SettleOrder("prod", "a", (), 1e9)),
        ("ask_turn", "JoinMember", "mine", TurnRequest("prod", Ticket("x", "y"))),
        ("compare_members", "ApplyMembers", "mine", "an apply"),
        ("read_profile", "JoinMember", "memberflow:other:join:etcd-4", "prod"),
        ("read_profile", "ApplyMembers", "mine", "prod"),
        ("read_turns", "RemoveMember", "memberflow:other:remove:x", "prod"),
        ("turns_run", "ReplaceMember", "memberflow:other:replace:x", "prod"),
    ],
)
def test_an_activity_is_about_the_cluster_of_its_workflow(activity, kind, workflow_id, argument):
    """Otherwise a change of one cluster could have the worker look at another, at URLs of the caller's choice."""
    if argument == "an apply":
        members = ({"name": "etcd-4", "peer_urls": ("http://etcd-4:2380",)},)
        argument = Compare(LookOrder("prod"), ApplyRequest(cluster="prod", members=members))
    assert asked(activity, kind, workflow_id, argument).endswith(f"has the ID {workflow_id!r}")
    own = "memberflow:prod:apply" if kind == "ApplyMembers" else f"memberflow:prod:{kind[:-6].lower()}:etcd-4"
    assert asked(activity, kind, own, argument) == ""


def test_every_start_of_an_activity_is_foreseen():
    """Each module of workflows starts only activities that its own workflows may run."""
    own = {
        "cluster_turns.py": {"ClusterTurns"},
        "inspect.py": {"InspectCluster", "ListClusters"},
        "plan.py": {"PlanChange"},
        "plan_apply.py": {"PlanApply"},
        "notify.py": {"NotifyEnd"},
        "apply.py": {"ApplyMembers"},
        "applying.py": {"ApplyMembers"},
        "container.py": {"JoinMember"},
        "joining.py": {"JoinMember"},
        "learner.py": {"JoinMember"},
        "removing.py": {"RemoveMember"},
    }
    for path in sorted(Path("workflows").glob("*.py")):
        text = path.read_text()
        for activity, kinds in CALLERS.items():
            if f".{activity}," in text:
                assert kinds & own.get(path.name, {"JoinMember", "RemoveMember"}), f"{path.name}: {activity}"
