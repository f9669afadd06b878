"""Starts an apply or attaches to it, follows it, and hands out the handovers as they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from client.exit_codes import DONE, USAGE, CommandError
from console.handover import check_writable, write_env
from console.terminal.output import answer, say

if TYPE_CHECKING:
    from client.sight import Sight
    from console.members_file import Members
    from messages.apply import ApplyRequest, ApplyView, StepView
    from messages.outcomes import Outcome, OutcomeKind


@dataclass(frozen=True)
class Following:
    """How long the command follows the apply, and where it writes the handovers."""

    no_wait: bool = False
    #: Only until this member may be started, or needs no start. Empty: until the apply has ended.
    member: str = ""
    #: None: no limit.
    timeout: timedelta | None = None
    #: None: no files are written.
    env_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.no_wait and (self.member or self.env_dir):
            raise CommandError(USAGE, "--no-wait returns before a handover is known", "leave out --no-wait")


def make_apply_request(
    cluster: str, members: Members, *, prune: bool, launcher: str | None, requested_by: str
) -> ApplyRequest:
    """The request of a caller. Raises CommandError with USAGE, and the field's name, when it is wrong."""
    from pydantic import ValidationError

    from client.connect import caller
    from messages.apply import ApplyRequest
    from messages.validation import explain

    wanted = [{"name": name, "peer_urls": urls, "launcher": launcher} for name, urls in members]
    asked = {"cluster": cluster, "members": wanted, "prune": prune, "requested_by": requested_by or caller()}
    try:
        return ApplyRequest.model_validate(asked)
    except ValidationError as error:
        raise CommandError(USAGE, explain(error)) from None


def make_env_dir(folder: Path, request: ApplyRequest) -> None:
    """Raises CommandError with USAGE when a handover could not be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(USAGE, f"--env-dir: {folder} can't be made: {error.strerror}") from None
    for member in request.members:
        check_writable("--env-dir", folder / f"{member.name}.env")


async def apply_and_follow(request: ApplyRequest, following: Following) -> int:
    """Starts the apply or attaches to it, follows it, and prints the result. Returns the exit code."""
    from client.sight import outcome_so_far, see
    from client.start import start_apply
    from console.following import follow_on_terminal
    from console.session import with_worker
    from console.terminal.print_outcome import print_end, print_outcome

    if following.member and following.member not in (member.name for member in request.members):
        raise CommandError(USAGE, f"--member: {following.member} is not in the list")
    if following.env_dir:
        make_env_dir(following.env_dir, request)
    client, settings = await with_worker("nothing was started")
    handle, attached = await start_apply(client, settings, request)
    say(f"{'attached to' if attached else 'started'} {handle.id}")
    if following.no_wait:
        return print_outcome(outcome_so_far(await see(client, handle), "started"), DONE)
    handovers = _Handovers(request, following)
    seen = await follow_on_terminal(
        client, handle, request.cluster, timeout=following.timeout, look=handovers, enough=handovers.is_enough
    )
    if seen and following.member and handovers.is_enough(seen):
        return print_outcome(handovers.outcome(seen), DONE)
    return print_end(seen)


@dataclass
class _Handovers:
    """Gives out each handover once, as soon as it is known."""

    request: ApplyRequest
    following: Following
    #: Members whose handover was given out.
    given: set[str] = field(default_factory=set)
    #: Members whose file of an earlier run was removed.
    cleared: set[str] = field(default_factory=set)

    def __call__(self, seen: Sight) -> None:
        from messages.apply import ApplyView

        if not isinstance(seen.view, ApplyView) or not seen.is_running:
            return
        for each in seen.view.steps:
            self._clear(each)
        step, running = seen.view.running, seen.running
        if step and running and running.handover and step.member not in self.given:
            self.given.add(step.member)
            self._give(step, running)

    def is_enough(self, seen: Sight) -> bool:
        """Whether the member that the caller waits for may be started, or needs no start."""
        from messages.apply import ApplyView

        name, view = self.following.member, seen.view
        if not name or not isinstance(view, ApplyView) or not seen.is_running:
            return False
        return name in self.given or (view.compared and not view.has_left(name))

    def outcome(self, seen: Sight) -> Outcome:
        """The outcome of the member that the caller waits for, as far as it is known."""
        from client.sight import outcome_so_far
        from messages.apply import ApplyView
        from messages.outcomes import Outcome

        assert isinstance(seen.view, ApplyView)
        name = self.following.member
        if name in self.given and seen.running:
            return outcome_so_far(seen.running, "added")
        if done := _outcome_of(seen.view, name):
            return done
        kind: OutcomeKind = "already-voter"
        ids = {"workflow_id": seen.handle.id, "run_id": seen.description.run_id or ""}
        return Outcome(cluster=self.request.cluster, member=name, outcome=kind, **ids)

    def _clear(self, step: StepView) -> None:
        """Removes the file of an earlier run: a member that is started with old values cannot join."""
        folder = self.following.env_dir
        if folder and step.member not in self.cleared and step.verb != "remove":
            self.cleared.add(step.member)
            (folder / f"{step.member}.env").unlink(missing_ok=True)

    def _give(self, step: StepView, running: Sight) -> None:
        assert running.handover
        if folder := self.following.env_dir:
            path = folder / f"{step.member}.env"
            write_env(path, running.handover, self.request.cluster)
            say(f"wrote {path}")
            return
        launched = any(m.launcher for m in self.request.members if m.name == step.member)
        if not launched and not answer.is_object:
            say(f"the learner {step.member} is added. Start it with:")
            for key, value in running.handover.env().items():
                say(f"  {key}={value}")


def _outcome_of(view: ApplyView, name: str) -> Outcome | None:
    return next((outcome for outcome in view.done if outcome.member == name), None)
