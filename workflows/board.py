"""Shows a change: current details, search attributes, one log line per stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from temporalio import workflow

from workflows.counters import record_stage
from workflows.search_attributes import upsert

with workflow.unsafe.imports_passed_through():
    from membership.checks import Check
    from membership.lasting import judge_again
    from membership.model import ClusterStatus, SyncProgress
    from membership.policy import Policy
    from messages.views import ChangeView, End, Stage, details


class Board:
    """The view of one change for a person. `stages` are the stages of its normal course."""

    def __init__(self, what: str, verb: str, cluster: str, member: str, stages: tuple[Stage, ...]) -> None:
        self.view = ChangeView(what=what, stage=stages[0], verb=verb)
        self._search_attributes: tuple[str, ...] = ()
        self._cluster, self._member = cluster, member
        self._stages = stages
        #: Seconds since the epoch.
        self.began = workflow.info().workflow_start_time.timestamp()
        self._entered = workflow.time()
        self._noticed: list[Check] = []
        self._show()

    def carry(self) -> tuple[ChangeView, tuple[Check, ...]]:
        """The view and the warnings to judge again, for the next run."""
        return replace(self.view, seconds=self._seconds()), tuple(self._noticed)

    def restore(self, began: float, view: ChangeView, noticed: tuple[Check, ...]) -> None:
        """Goes on with the board of the run before."""
        self.began, self.view, self._noticed = began, view, list(noticed)
        self._entered = workflow.info().workflow_start_time.timestamp()
        self._show()

    def _seconds(self) -> dict[str, float]:
        """The durations of all stages so far."""
        before = self.view.seconds.get(self.view.stage, 0.0)
        return {**self.view.seconds, self.view.stage: round(before + workflow.time() - self._entered, 3)}

    def enter(self, stage: Stage) -> None:
        """The change comes to another stage."""
        if stage == self.view.stage:
            return
        record_stage(self.view.verb, self.view.stage, workflow.time() - self._entered)
        spent = self._seconds()
        self._entered = workflow.time()
        self.view = replace(self.view, stage=stage, waits_for="", progress=None, seconds=spent)
        self._show()
        self._upsert()
        workflow.logger.info("stage", extra={"stage": stage, "cluster": self._cluster, "member": self._member})

    def use_search_attributes(self, names: tuple[str, ...]) -> None:
        """Sets the attributes that the namespace has. None is set before this is known."""
        self._search_attributes = names
        self._upsert()

    def waits_for(self, reason: str) -> None:
        self.view = replace(self.view, waits_for=reason)
        self._show()

    def held(self, why: str) -> None:
        self.view = replace(self.view, held=why)
        self._show()
        self._upsert()

    def end(self, end: End) -> None:
        """The change has ended so."""
        self.view = replace(self.view, end=end)
        self.enter("ended")
        self._show()

    def note(self, progress: SyncProgress) -> None:
        self.view = replace(self.view, progress=progress, waits_for=progress.reason)
        self._show()

    def sent(self, what: str) -> None:
        attempts = {**self.view.attempts, what: self.view.attempts.get(what, 0) + 1}
        self.view = replace(self.view, attempts=attempts)

    def knows_member(self, member_id: str) -> None:
        self.view = replace(self.view, member_id=member_id)

    def warn(self, text: str) -> None:
        if text not in self.view.warnings:
            self.view = replace(self.view, warnings=(*self.view.warnings, text))
            workflow.logger.warning(text, extra={"cluster": self._cluster, "member": self._member})

    def notice(self, checks: Iterable[Check]) -> None:
        """Warns of the checks that warn. `judge_warnings` judges them again."""
        for check in checks:
            if check.verdict == "warn":
                self.warn(check.evidence)
                self._notice(check)

    def _notice(self, check: Check) -> None:
        if check not in self._noticed:
            self._noticed.append(check)

    def judge_warnings(self, status: ClusterStatus, policy: Policy) -> None:
        """Drops or rewords the warnings of checks that this last look of the change refutes."""
        now = judge_again(self._noticed, status, self.view.member_id, policy)
        told = (now.get(warning, warning) for warning in self.view.warnings)
        self.view = replace(self.view, warnings=tuple(dict.fromkeys(filter(None, told))))

    def _show(self) -> None:
        workflow.set_current_details(details(self.view, self._stages))

    def _upsert(self) -> None:
        stage = "held" if self.view.held else self.view.stage
        upsert(self._search_attributes, cluster=self._cluster, member=self._member, stage=stage)
