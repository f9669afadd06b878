"""Why a change does not go on."""

from __future__ import annotations

from typing import Literal

StopKind = Literal["refused", "clock", "failed", "cancelled"]


class Stop(Exception):
    """
    A change stops: a verdict refused it, a clock ran out, it failed otherwise, or somebody cancelled it.

    `error` is the type under which the workflow fails, `reason` and `hint` are for a person. A clock may be
    answered by holding the change instead of rolling it back.
    """

    def __init__(self, kind: StopKind, error: str, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.error = error
        self.reason = reason
        self.hint = hint
