"""What an act does before its one call: the token, the look, the question; and what it says when one of them fails."""

from __future__ import annotations

import pytest

from activities.acts import Acts
from membership import etcd_errors as e
from membership.allow import Allow
from membership.errors import ClusterUnreachable, InvalidConfiguration
from membership.policy import Policy
from membership.verdicts import Facts
from messages.orders import StepOrder
from support.memory.cluster import CLUSTER_ID, MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.memory.inside import inside, ticket


class Told(MemoryEtcd):
    """Notes what it is asked for, in order; what it is told to, it raises instead."""

    def __init__(self, **raises):
        super().__init__(MemoryCluster(3))
        self.asked = []
        self._raises = raises

    def connect(self, name):
        return self

    def names(self):
        return ("c",)

    def policy(self, name):
        return Policy()

    def allow(self, name):
        return Allow()

    def _note(self, what):
        self.asked.append(what)
        if error := self._raises.get(what):
            raise error

    def authenticate(self, avoid=()):
        assert avoid == ("a-url",)
        self._note("authenticate")

    def look(self, avoid=(), *scope, **more):
        self._note("look")
        return super().look(avoid, *scope, **more)

    def add_learner(self, peer_urls, deadline):
        self._note("add")
        return super().add_learner(peer_urls, deadline)


class Granting:
    """Temporal, as far as an act asks it: it may send."""

    def __init__(self, etcd):
        self._etcd = etcd

    def call(self, answer):
        return answer

    def why_not_send(self, cluster, ticket, task_token, sent_to):
        assert sent_to == self._etcd.cluster.leader
        self._etcd._note("ask")
        return "", False


def add(etcd):
    facts = Facts("prod", CLUSTER_ID, Policy(), "etcd-4", ("http://etcd-4:2380",), avoid=("a-url",))
    environment = inside("add_learner")
    order = StepOrder("remove", facts, ticket(environment))  # the step of an act is its own, whatever an order says
    return environment.run(Acts(etcd, Granting(etcd)).add_learner, order)


def test_a_token_is_asked_for_before_anything_is_checked():
    """So that nothing comes between the last check and the call."""
    etcd = Told()
    assert add(etcd).applied == "yes"
    assert etcd.asked == ["authenticate", "look", "ask", "add"]


@pytest.mark.parametrize("step", ["authenticate", "look", "ask"])
@pytest.mark.parametrize("error", [e.AuthFailed("wrong password"), OSError("no such file"), KeyError("a bug")])
def test_whatever_fails_before_the_call_means_that_nothing_was_sent(step, error):
    """Also what nobody foresaw: its type is told, and nobody has to find out whether the call was applied."""
    etcd = Told(**{step: error})
    report = add(etcd)
    assert (report.sent, report.applied, report.error) == (False, "no", "NotSent")
    assert type(error).__name__ in report.reason
    assert etcd.asked[-1] == step


def test_files_that_cannot_be_used_send_nothing():
    """A leader that is not looked at is connected to by the call itself."""
    report = add(Told(add=InvalidConfiguration("ca /a: no PEM")))
    assert (report.sent, report.reason) == (False, "ca /a: no PEM")


def test_a_report_names_the_member_that_was_sent_the_call():
    """Its answer may be lost with it, and it alone knows then whether the effect still comes."""
    etcd = Told(add=e.DeadlineExceeded("Deadline Exceeded", "DEADLINE_EXCEEDED"))
    report = add(etcd)
    assert (report.applied, report.sent_to) == ("maybe", etcd.cluster.leader)
    assert not add(Told(look=ClusterUnreachable("nobody answers"))).sent_to
