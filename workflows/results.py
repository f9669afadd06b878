"""
A class from every module whose dataclasses are in a result of an activity, or in the state for a new run.

Pydantic looks the types of their fields up in these modules, and finds only modules that the sandbox has imported by
name. Without them neither could be read, and the workflow would wait for ever.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.clusters_file import ClusterProfile
    from membership.checks import Check
    from membership.desired import Course
    from membership.model import ClusterStatus
    from membership.record import Record
    from membership.sent_calls import SentCall
    from membership.verdicts import Facts
    from messages.answers import Reachability
    from messages.apply import Comparison
    from messages.launching import Launch
    from messages.notices import Notified
    from messages.orders import Beforehand
    from messages.turns import TurnsState
    from messages.views import ChangeView

RESULTS: tuple[type, ...] = (
    *(ClusterProfile, Check, Course, ClusterStatus, Record, SentCall),
    *(Reachability, Comparison, Notified, Beforehand, TurnsState),
    *(ChangeView, Facts, Launch),
)
