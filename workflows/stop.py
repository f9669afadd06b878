"""Why a change does not go on."""

from __future__ import annotations

from typing import Literal

StopKind = Literal["refused", "clock", "failed", "cancelled"]


class Stop(Exception):
    """A change stops: a verdict refused it, a clock ran out, it failed otherwise, or it was cancelled."""

    def __init__(self, kind: StopKind, error: str, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        #: A "clock" may be answered by holding the change instead of rolling it back.
        self.kind = kind
        #: The type under which the workflow fails.
        self.error = error
        #: For a person, like `hint`: the cause, and the next thing to do.
        self.reason = reason
        self.hint = hint
