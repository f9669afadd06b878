"""Pulls, and starts that nobody wants any more: a real engine, and a registry of the test's own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from threading import Thread

import pytest

from launchers import containers
from messages.launching import LauncherUnavailable, LaunchFailed
from support.parts.docker_engine import container_of, launcher, volume_of


class Unwanted(Exception):
    """What the activity raises in the middle of a start."""


class Asked:
    """`GoOn` that notes how it was asked, and from the `enough`th question of that kind on says no."""

    def __init__(self, enough, *, ask):
        self.enough, self.ask = enough, ask
        self.questions = []

    def __call__(self, *, ask=False):
        self.questions.append(ask)
        if self.questions.count(self.ask) >= self.enough:
            raise Unwanted


@pytest.mark.parametrize("suffix", ["", ":latest", "@{digest}", ":latest@{digest}"])
def test_an_image_is_pulled_by_tag_or_digest(config, engine, registry, launch, suffix):
    """No tag means `latest`; that the image has no etcd is found out by starting it."""
    image = registry.image + suffix.format(digest=registry.digest)
    with pytest.raises(LaunchFailed, match="executable file not found"):
        launcher(config, image=image, pull="missing").start(launch)
    assert engine.images.get(image)
    assert container_of(engine, launch) is None


def test_a_pull_that_breaks_off_is_tried_again(config, engine, registry, launch):
    """It says nothing against the image; the engine's words tell what it met."""
    registry.spoilt = True
    with pytest.raises(LauncherUnavailable, match=f"broke off the pull of {registry.image}: .+") as caught:
        launcher(config, image=registry.image, pull="missing").start(launch)
    assert "No such image" not in str(caught.value)
    assert "registry" in caught.value.hint
    assert container_of(engine, launch) is None


def test_an_old_image_is_not_started_when_the_pull_of_the_new_one_breaks_off(config, engine, image, registry, launch):
    """`always` means the registry's."""
    engine.images.get(image).tag(registry.image)
    registry.spoilt = True
    with pytest.raises(LauncherUnavailable, match="broke off the pull"):
        launcher(config, image=registry.image, pull="always").start(launch)
    assert container_of(engine, launch) is None


def test_a_silent_pull_ends_when_nobody_wants_it(config, engine, registry, launch):
    """While the registry keeps the layer back the engine says nothing, and the launcher asks all the same."""
    registry.give.clear()
    go_on, ended = Asked(enough=10**9, ask=False), []

    def start():
        with suppress(Unwanted):
            launcher(config, image=registry.image, pull="missing").start(launch, go_on)
        ended.append(True)

    thread = Thread(target=start)
    thread.start()
    assert registry.asked.wait(30)
    go_on.enough = 0
    thread.join(10)
    assert ended
    registry.give.set()
    assert container_of(engine, launch) is None


def test_what_is_not_wanted_after_a_pull_is_not_created(up, engine, launch):
    """Whoever wants it is asked right before; neither container nor volume is made."""
    go_on = Asked(1, ask=True)
    with pytest.raises(Unwanted):
        up.start(launch, go_on)
    assert go_on.questions == [True]
    assert container_of(engine, launch) is None
    assert volume_of(engine, launch) is None


def test_what_is_not_wanted_any_more_is_not_started(up, engine, launch):
    """It is left for the next attempt, which may have found it already: that one starts it."""
    with pytest.raises(Unwanted):
        up.start(launch, Asked(1, ask=False))
    assert container_of(engine, launch).status == "created"
    assert not up.start(launch).created
    assert up.state(launch).status == "running"


def test_a_stopped_container_is_not_started_unasked(up, engine, launch):
    """A running one is found without a question."""
    up.start(launch)
    go_on = Asked(1, ask=True)
    assert not up.start(launch, go_on).created
    assert not go_on.questions
    container_of(engine, launch).stop(timeout=0)
    with pytest.raises(Unwanted):
        up.start(launch, go_on)
    assert up.state(launch).died


def test_an_attempt_that_was_given_up_makes_no_room(up, engine, launch):
    """What it takes for an earlier member's container may be that of one that was added since."""
    later = replace(launch, member_id="2")
    up.start(later)
    with pytest.raises(Unwanted):
        up.start(replace(launch, members=(launch.member_id,)), Asked(1, ask=True))
    assert up.state(later).status == "running"
    assert container_of(engine, launch).labels[containers.MEMBER_ID] == "2"
