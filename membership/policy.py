"""How safe a cluster's operator wants its changes to be."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from membership.duration import Duration, parse_duration

# The attempts of a change within this time fit into the history of one workflow (`workflows.pauses`).
LONGEST = parse_duration("365d")


class Policy(BaseModel):
    """How safe a cluster's operator wants its changes to be. Read once per change and kept in its history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_voters: int = Field(3, ge=1, description="a removal that leaves fewer voters is refused")
    min_spare: int = Field(1, ge=0, description="spare (live voters minus quorum) that a change must leave")
    start_timeout: Duration = Field(
        parse_duration("10m"), le=LONGEST, description="longest time from the add until the new member starts"
    )
    stall_timeout: Duration = Field(
        parse_duration("5m"), le=LONGEST, description="longest time without progress in a sync that can be observed"
    )
    join_timeout: Duration = Field(
        parse_duration("2h"), le=LONGEST, description="longest time for a join or a removal, from its first turn on"
    )
    max_lag_entries: int = Field(
        100, ge=0, description="a learner that lacks at most so many raft entries has caught up"
    )
    foreign_learner_timeout: Duration = Field(
        parse_duration("30m"),
        le=LONGEST,
        description="longest wait for a learner from outside memberflow to leave the learner slot",
    )
    known_learners: tuple[str, ...] = Field(
        (),
        description="names or hex IDs of learners that stay learners: joins go past them, under etcd's --max-learners",
    )
    settle_timeout: Duration = Field(
        parse_duration("10m"),
        le=LONGEST,
        description="longest wait for a silent member that was sent a call, before a change goes back or fails",
    )
    on_failure: Literal["rollback", "hold"] = Field(
        "rollback", description="whether a change goes back or is held when a clock runs out"
    )
    newcomer: Literal["hold", "warn"] = Field(
        "hold",
        description="whether a join is held or only warns when the new member's own settings endanger the cluster",
    )
    snapshot_before_removal: str = Field(
        "",
        description="path of the snapshot that is saved before a voter is removed ({cluster} and {time} are filled in)",
    )

    def with_limits_of(self, other: Policy) -> Policy:
        """This policy, with the stricter limits of both on an act's effect."""
        return self.model_copy(
            update={
                "min_voters": max(self.min_voters, other.min_voters),
                "min_spare": max(self.min_spare, other.min_spare),
                "max_lag_entries": min(self.max_lag_entries, other.max_lag_entries),
            }
        )

    @field_validator("snapshot_before_removal")
    @classmethod
    def _snapshot_path(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError(f"{value!r} is not an absolute path: write it like /var/backups/{{cluster}}-{{time}}.db")
        if set(re.findall(r"\{(.*?)\}", value)) - {"cluster", "time"}:
            raise ValueError(f"{value!r}: only {{cluster}} and {{time}} can be filled in")
        if value and "{time}" not in value:
            raise ValueError(f"{value!r} lacks {{time}}: every snapshot needs a name of its own")
        return value
