"""Workflow code runs in the sandbox; only data and activities pass through."""

from __future__ import annotations

import warnings

from temporalio import workflow
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.register import WORKFLOWS, turns_of

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
