"""Every judgement, by the name of its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from membership.judge_join import judge_add, judge_promote, judge_rollback, judge_sync, judge_verified
from membership.judge_removal import judge_gone, judge_move, judge_removal
from membership.model import ClusterStatus
from membership.verdicts import Facts, Verdict

StepName = Literal["add", "sync", "promote", "verify", "rollback", "move", "remove", "gone"]

JUDGES: dict[StepName, Callable[[ClusterStatus, Facts], Verdict]] = {
    "add": judge_add,
    "sync": judge_sync,
    "promote": judge_promote,
    "verify": judge_verified,
    "rollback": judge_rollback,
    "move": judge_move,
    "remove": judge_removal,
    "gone": judge_gone,
}


def judge(step: StepName, status: ClusterStatus, facts: Facts) -> Verdict:
    """The verdict of the named step. A look that found another cluster has failed, so it never comes here."""
    return JUDGES[step](status, facts)
