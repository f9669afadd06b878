"""The reports of the acts of one change: whether a call was sent, and whether it may have applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from messages.orders import ActReport


class Reports:
    """The reports of every act whose effect is known by now, by the act's name."""

    def __init__(self) -> None:
        self._by_act: dict[str, list[ActReport]] = {}

    def note(self, act: str, report: ActReport) -> None:
        self._by_act.setdefault(act, []).append(report)

    def of(self, act: str) -> Sequence[ActReport]:
        """The reports of this act, the earliest first."""
        return self._by_act.get(act, [])

    def may_have_applied(self, act: str) -> bool:
        """Whether a call of this change may have brought the act's effect about."""
        return any(report.applied != "no" for report in self.of(act))

    @property
    def have_sent(self) -> bool:
        """Whether any call of this change was sent."""
        return any(report.sent for reports in self._by_act.values() for report in reports)

    def carry(self) -> dict[str, tuple[ActReport, ...]]:
        """The reports for the next run, one of each kind: sent or not, applied or not."""
        kinds = {act: {(r.sent, r.applied): r for r in reports} for act, reports in self._by_act.items()}
        return {act: tuple(of_kind.values()) for act, of_kind in kinds.items()}

    def restore(self, carried: Mapping[str, Sequence[ActReport]]) -> None:
        """Goes on with the reports of the run before."""
        self._by_act = {act: list(reports) for act, reports in carried.items()}
