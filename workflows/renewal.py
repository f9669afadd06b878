"""The state that the parts of a change hand over from one run to the next."""

from __future__ import annotations

from temporalio import workflow

from workflows.board import Board
from workflows.cluster import Cluster
from workflows.interruptions import Interruptions
from workflows.turn import Turn
from workflows.unsettled import Unsettled

with workflow.unsafe.imports_passed_through():
    from workflows.carried import Carried, Tries


class Renewal:
    """
    Collects the state of a change for its next run, and restores it there.

    The change then goes forward as after a hold: it begins again, and finds the finished steps.
    """

    def __init__(
        self, board: Board, interruptions: Interruptions, cluster: Cluster, turn: Turn, unsettled: Unsettled
    ) -> None:
        #: An earlier run handed its state over, and this run has not taken its turn up yet.
        self.is_new = False
        #: The checks with the turn were made, in this run or an earlier one.
        self.was_checked = False
        #: A snapshot was saved, and the change was not held by a clock since then.
        self.has_snapshot = False
        self._board, self._interruptions = board, interruptions
        self._cluster, self._turn, self._unsettled = cluster, turn, unsettled
        self._tries = Tries()

    @property
    def goes_on(self) -> bool:
        """An earlier run has begun the steps of this change, after all its checks."""
        return self.is_new and self.was_checked

    def begin_again(self) -> None:
        """The change was held by a clock: all checks are made again, and a snapshot would be too old."""
        self.is_new = self.has_snapshot = False

    def carry(self, tries: Tries) -> Carried:
        """The state for the next run. The change itself adds its own."""
        view, noticed = self._board.carry()
        return Carried(
            began=self._board.began,
            view=view,
            noticed=noticed,
            profile=self._cluster.profile,
            facts=self._cluster.facts,
            reports=self._cluster.reports.carry(),
            voter_urls=self._cluster.voter_urls,
            claim=self._turn.claim,
            turns=self._turn.memory.state,
            calls=tuple(dict.fromkeys(self._unsettled.calls)),
            came=tuple(dict.fromkeys(self._unsettled.came)),
            leaving=tuple(dict.fromkeys(self._unsettled.leaving)),
            clocks=self._interruptions.clocks.carry(),
            tries=tries,
            was_checked=self.was_checked,
            has_snapshot=self.has_snapshot,
        )

    def restore(self, carried: Carried) -> None:
        """Takes the state of the run before this one."""
        self.is_new, self.was_checked, self.has_snapshot = True, carried.was_checked, carried.has_snapshot
        self._tries = carried.tries
        self._board.restore(carried.began, carried.view, carried.noticed)
        self._cluster.restore(carried)
        self._turn.restore(carried.claim, carried.turns)
        self._unsettled.restore(carried)
        self._interruptions.clocks.restore(carried.clocks)

    def tries_of(self, act: str) -> Tries:
        """The attempts at the step with this act, with those of the run before."""
        if act != self._tries.act:
            return Tries(act)
        tries, self._tries = self._tries, Tries()
        return tries
