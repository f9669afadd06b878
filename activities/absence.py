"""Looks for the reason why a member that was added does not start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from membership.absence import ABSENT_AFTER, absent_after, why_absent
from membership.allow import Allow
from membership.errors import MemberflowError
from membership.etcd import Etcd
from membership.model import ClusterStatus
from membership.verdicts import Facts, Wait


class Absence:
    """Asks at the peer URLs of one member, now and then, once it should have started."""

    def __init__(self, facts: Facts, allow: Callable[[], Allow]) -> None:
        self._facts = facts
        self._allow = allow
        self._next = absent_after(facts.policy.start_timeout)
        self._why = ""

    def explain(self, etcd: Etcd, status: ClusterStatus, waited: float, wait: Wait) -> Wait:
        """The same wait, with the reason. `waited`: seconds."""
        if wait.phase != "not started":
            return wait
        if waited >= self._next:
            self._next = waited + ABSENT_AFTER
            self._why = self._ask(etcd, status)
        return replace(wait, reason=f"{wait.reason}: {self._why}") if self._why else wait

    def _ask(self, etcd: Etcd, status: ClusterStatus) -> str:
        urls = self._facts.peer_urls
        if not self._allow().fits(urls):
            return ""
        try:
            return why_absent(status, self._facts, etcd.peer_list(urls))
        except MemberflowError as error:
            return why_absent(status, self._facts, str(error))
