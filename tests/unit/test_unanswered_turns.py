"""A change is not refused because Temporal is too busy to answer a question about its turns."""

from __future__ import annotations

import time

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities import looks
from activities.admission import Admission
from activities.looks import Looks
from membership.errors import ClusterUnreachable
from membership.record import NO_RECORD
from messages.orders import LookOrder
from messages.turns import TurnsState
from support.memory.file import OneCluster
from support.memory.inside import inside


class Busy:
    """Temporal, which answers no question in time."""

    client = None

    def __init__(self, error):
        self._error = error

    async def turns_state(self, cluster):
        return None

    def call(self, question, within=3.0):
        question.close()
        raise self._error


@pytest.mark.parametrize("error", [TimeoutError(), RPCError("busy", RPCStatusCode.RESOURCE_EXHAUSTED, b"")])
def test_a_first_look_goes_on_without_the_turns(error):
    """It shows the cluster, and the change then stands in line and waits."""
    environment = inside("look_beforehand")
    before = environment.run(
        Looks(OneCluster(), Busy(error), Admission()).look_beforehand, LookOrder("prod", patience=1.0)
    )
    assert (len(before.status.voters), before.turns, before.record) == (3, TurnsState(), NO_RECORD)


class Silent(OneCluster):
    """A clusters file whose cluster cannot be read."""

    def connect(self, cluster):
        raise ClusterUnreachable("nothing answers")


@pytest.mark.parametrize("patience", [float("inf"), float("nan"), 1e12])
def test_no_order_has_a_worker_look_for_ever(monkeypatch, patience):
    """Each look takes one of the worker's places, and a stranger can order any number of looks."""
    monkeypatch.setattr(looks, "MOST_PATIENCE", 0.3)
    began = time.monotonic()
    with pytest.raises(ApplicationError, match="nothing answers"):
        inside("look_beforehand").run(
            Looks(Silent(), None, Admission()).look_beforehand, LookOrder("prod", patience=patience)
        )
    assert time.monotonic() - began < 5
