"""Activities as a change of this service runs them, without a server."""

from __future__ import annotations

from dataclasses import replace

from temporalio.testing import ActivityEnvironment

from messages.ids import WORKFLOW_TYPES, change_id
from messages.requests import Verb
from messages.turns import Ticket

RUN_ID = "a-run"


def inside(activity: str, verb: Verb = "join", cluster: str = "prod", member: str = "etcd-4") -> ActivityEnvironment:
    """An environment in which the named activity runs for a change."""
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info,
        activity_type=activity,
        workflow_type=WORKFLOW_TYPES[verb],
        workflow_id=change_id(cluster, verb, member),
        workflow_run_id=RUN_ID,
    )
    return environment


def ticket(environment: ActivityEnvironment) -> Ticket:
    """The ticket of the change that runs there."""
    return Ticket(environment.info.workflow_id or "", RUN_ID)
