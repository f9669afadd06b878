"""How a change ends, or where it stands when the caller stops waiting."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

OutcomeKind = Literal[
    "promoted",
    "already-voter",
    "removed",
    "already-removed",
    "replaced",
    "applied",
    "no-changes",
    "started",
    "added",
    "voter",
    "held",
    "rolled-back",
    "cancelled",
    "refused",
    "failed",
]


class Outcome(BaseModel):
    """
    How a change ended, or where it stands when the caller stopped waiting.

    A later version may send fields that this version does not know. They are left out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: The name of the cluster in the clusters file.
    cluster: str
    #: The new member, or the name or ID that a removal was given.
    member: str
    #: The ID of that member, in hex. None where the change never knew it.
    member_id: str | None = None
    #: How it ended, or where it stands.
    outcome: OutcomeKind
    #: The names of the voters, or their IDs, by the last look. Empty without a look.
    voters: tuple[str, ...] = ()
    #: How many calls were sent, by act.
    attempts: dict[str, int] = {}
    #: The duration of each stage, and `total`, in seconds.
    seconds: dict[str, float] = {}
    #: The ID of the etcd cluster, in hex, None where the change ended without a look at it.
    cluster_id: str | None = None
    #: The ID of the workflow in Temporal.
    workflow_id: str
    #: The ID of its run.
    run_id: str
    #: Whether the members confirmed the effect. None where they were not asked.
    verified: bool | None = None
    #: Why the change did not succeed, or why it is held. None for a success.
    reason: str | None = None
    #: The next thing to do. None where nothing is to be done.
    hint: str | None = None
    #: Calls whose effect may still come, a sentence for each. Empty unless the error is Unsettled.
    unsettled: tuple[str, ...] = ()
    #: Oddities on the way, a sentence for each.
    warnings: tuple[str, ...] = ()
