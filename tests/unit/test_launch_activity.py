"""A launch that nobody wants any more changes nothing, whoever knows of it first: the worker, or Temporal alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError, RPCStatusCode

from activities.launch import Launching
from membership.allow import Allow
from membership.errors import InvalidConfiguration
from messages.launching import Launch, LaunchConflict, Launched, LauncherUnavailable
from messages.orders import LaunchOrder
from support.memory.inside import inside
from workflows.timeouts import LAUNCH

LAUNCHED = Launched("memberflow-prod-etcd-4", "0123456789ab", "v", "unix:///x", created=True)


class World:
    """A launcher that pulls, asks, creates; `pulls` is what happens in the middle of its pull."""

    def __init__(self, pulls=lambda: None, why="", error=None, allow_error=None):
        self.pulls, self.why, self.error, self.allow_error = pulls, why, error, allow_error
        self.environment = inside("launch_member")
        self.created = False

    def allow(self, cluster):
        if self.allow_error:
            raise self.allow_error
        return Allow()

    def launcher(self, name):
        assert name == "docker"
        return self

    def start(self, launch, go_on):
        go_on()
        self.pulls()
        go_on()
        go_on(ask=True)
        self.created = True
        return LAUNCHED

    # As `activities.temporal.Temporal`.

    def call(self, question):
        return asyncio.run(question)

    async def why_unwanted(self, task_token, what):
        assert task_token == self.environment.info.task_token
        if self.error:
            raise self.error
        return f"{what} {self.why}" if self.why else ""

    def launch(self):
        order = LaunchOrder("docker", Launch("prod", "etcd-4", "1", {}))
        return self.environment.run(Launching(self, self, pause=0).launch_member, order)


def test_a_wanted_launch_tells_what_runs():
    """For a person."""
    world = World()
    assert world.launch() == "container memberflow-prod-etcd-4 (0123456789ab) on unix:///x"
    assert world.created


def test_a_worker_that_stops_hands_the_launch_on():
    """In the middle of a pull, at once; the next attempt is one at another worker."""
    world = World()
    world.pulls = world.environment.worker_shutdown
    with pytest.raises(ApplicationError) as left:
        world.launch()
    assert (left.value.type, left.value.non_retryable) == ("WorkerShutdown", False)
    assert left.value.next_retry_delay == timedelta(0)
    assert not world.created


def test_a_cancel_ends_the_launch():
    """As does an attempt that took too long, as far as its worker knows."""
    world = World()
    world.pulls = world.environment.cancel
    with pytest.raises(CancelledError):
        world.launch()
    assert not world.created


def test_an_attempt_that_temporal_gave_up_creates_nothing():
    """Its worker was frozen meanwhile, and knows nothing of it."""
    world = World(why="took too long, so Temporal gave it up")
    with pytest.raises(CancelledError, match="the launch took too long"):
        world.launch()
    assert not world.created


@pytest.mark.parametrize("error", [TimeoutError(), RPCError("no way", RPCStatusCode.UNAVAILABLE, b"")])
def test_without_an_answer_from_temporal_nothing_is_created(error):
    """It is tried again."""
    world = World(error=error)
    with pytest.raises(ApplicationError, match=r"is still wanted \(no") as failed:
        world.launch()
    assert (failed.value.type, failed.value.non_retryable) == ("NotLaunched", False)
    assert not world.created


def test_a_broken_table_of_the_cluster_puts_the_launch_off():
    """A worker that has just started knows no good state of it. The launch goes on once the table is corrected."""
    world = World(allow_error=InvalidConfiguration("clusters.prod.oops: unknown key"))
    with pytest.raises(ApplicationError, match="waits for the clusters file") as failed:
        world.launch()
    assert (failed.value.type, failed.value.non_retryable) == ("InvalidConfiguration", False)
    assert not world.created


@pytest.mark.parametrize(("times", "works"), [(2, True), (3, False)])
def test_an_engine_that_does_not_answer_is_asked_three_times(times, works):
    """By one attempt: a worker that stops or dies uses up none."""
    world = World()
    failures = iter([LauncherUnavailable("no answer")] * times)

    def pulls():
        if failure := next(failures, None):
            raise failure

    world.pulls = pulls
    if works:
        assert "container" in world.launch()
    else:
        with pytest.raises(ApplicationError, match="no answer") as failed:
            world.launch()
        assert failed.value.non_retryable
    assert world.created == works
    assert LAUNCH["retry_policy"].maximum_attempts == 0


def test_a_conflict_is_not_tried_again():
    """It is a person's to mend."""
    world = World()
    tries = []

    def pulls():
        tries.append(1)
        raise LaunchConflict("somebody else's")

    world.pulls = pulls
    with pytest.raises(ApplicationError) as failed:
        world.launch()
    assert (failed.value.type, failed.value.non_retryable, len(tries)) == ("LaunchConflict", True, 1)
