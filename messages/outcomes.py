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

    cluster: str
    member: str
    member_id: str | None = None
    outcome: OutcomeKind
    voters: tuple[str, ...] = ()
    attempts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    #: The ID of the etcd cluster, in hex, None where the change ended without a look at it.
    cluster_id: str | None = None
    workflow_id: str
    run_id: str
    verified: bool | None = None
    reason: str | None = None
    hint: str | None = None
    #: Calls whose effect may still come, a sentence for each. Empty unless the error is Unsettled.
    unsettled: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
