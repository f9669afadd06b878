"""Shows an apply: current details, search attributes, one log line per change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

from workflows.search_attributes import upsert

with workflow.unsafe.imports_passed_through():
    from membership.desired import Step
    from messages.apply import ApplyRequest, ApplyView, StepView, apply_details, step_view
    from messages.ids import APPLY
    from messages.outcomes import Outcome


class ApplyBoard:
    """The view of one apply for a person."""

    def __init__(self, request: ApplyRequest) -> None:
        self.view = ApplyView(what=request.summary, stage="preflight", verb=APPLY)
        self._cluster = request.cluster
        self._search_attributes: tuple[str, ...] = ()
        self._change()

    def restore(self, view: ApplyView) -> None:
        """Goes on with the view of the run before."""
        self.view = view
        self._change()

    def use_search_attributes(self, names: tuple[str, ...]) -> None:
        """Sets the attributes that the namespace has. None is set before this is known."""
        self._search_attributes = names
        self._upsert()

    # ---- the changes ----

    def plans(self, steps: tuple[Step, ...]) -> None:
        """The changes that are left, by a look of this moment."""
        left = tuple(step_view(self._cluster, step) for step in steps)
        self._change(stage="apply", left=left, compared=True, waits_for="")

    def begins(self, step: StepView) -> None:
        """A change runs."""
        left = tuple(other for other in self.view.left if other.workflow_id != step.workflow_id)
        self._change(running=step, left=left, waits_for=step.what)
        workflow.logger.info("change begins", extra={"cluster": self._cluster, "change": step.workflow_id})
        self._upsert()

    def ends(self, outcome: Outcome | None) -> None:
        """The running change has ended, with this outcome where that is known."""
        done = (*self.view.done, outcome) if outcome else self.view.done
        self._change(running=None, done=done, waits_for="")
        if outcome:
            for warning in outcome.warnings:
                self.warn(f"{outcome.member}: {warning}")

    def takes_back(self) -> None:
        """The running change was cancelled, so it is left."""
        running = (self.view.running,) if self.view.running else ()
        self._change(running=None, left=(*running, *self.view.left), waits_for="")

    def ended(self) -> None:
        self._change(stage="ended", waits_for="")
        self._upsert()

    # ---- waits ----

    def waits_for(self, reason: str) -> None:
        self._change(waits_for=reason)

    def held(self, why: str) -> None:
        self._change(held=why, hold_asked=False)
        self._upsert()

    def will_be_held(self, *, asked: bool) -> None:
        """A hold was asked for or taken back."""
        self._change(hold_asked=asked)

    def warn(self, text: str) -> None:
        if text not in self.view.warnings:
            self._change(warnings=(*self.view.warnings, text))
            workflow.logger.warning(text, extra={"cluster": self._cluster})

    def _change(self, **fields: Any) -> None:
        self.view = replace(self.view, **fields)
        workflow.set_current_details(apply_details(self.view))

    def _upsert(self) -> None:
        stage = "held" if self.view.held else self.view.stage
        member = self.view.running.member if self.view.running else ""
        upsert(self._search_attributes, cluster=self._cluster, member=member, stage=stage)
