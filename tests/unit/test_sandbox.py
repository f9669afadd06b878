"""Workflow code runs in the sandbox; only data and activities pass through."""

from __future__ import annotations

import warnings
from dataclasses import is_dataclass
from typing import Any, cast, get_args, get_type_hints

from temporalio import workflow
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.register import short_activities, waits, watches
from activities.temporal import Temporal
from workflows.carried import NextRun
from workflows.register import WORKFLOWS, turns_of
from workflows.results import RESULTS

OWN_PACKAGE = "workflows."


async def _no_histories():
    for _ in ():
        yield _


async def test_nothing_is_imported_into_the_sandbox_by_accident():
    """What is not passed through is our own workflow code, and nothing else."""
    strict = SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_import_notification_policy(
            workflow.SandboxImportNotificationPolicy.WARN_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )
    replayer = Replayer(workflows=[*WORKFLOWS, turns_of(None)], workflow_runner=strict)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await replayer.replay_workflows(_no_histories())
    named = {str(w.message) for w in caught}
    foreign = [text for text in named if OWN_PACKAGE not in text]
    assert not foreign, foreign
    assert named, "the policy warned of nothing at all: this test sees nothing"


def data_classes(hint):
    """The dataclasses in a type, and in the fields of these."""
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and is_dataclass(part):
            yield part
            for field in get_type_hints(part).values():
                yield from data_classes(field)
        elif part is not hint:
            yield from data_classes(part)


async def test_every_result_of_an_activity_can_be_read_in_the_sandbox():
    """And the state for a new run: Pydantic looks names of types up in modules that the sandbox has imported."""
    temporal = Temporal(cast("Any", None))
    clusters = cast("Any", None)
    watching = watches(clusters, temporal, None, cast("Any", None))
    activities = [*short_activities(clusters, temporal, None), *waits(clusters, temporal, None), *watching]
    found = {each.__module__ for a in activities for each in data_classes(get_type_hints(a).get("return"))}
    found |= {each.__module__ for each in data_classes(NextRun) if not each.__module__.startswith(OWN_PACKAGE)}
    assert {"membership.model", "messages.turns"} <= found
    assert not found - {each.__module__ for each in RESULTS}, "workflows/results.py must import these"
