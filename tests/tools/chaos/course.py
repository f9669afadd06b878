"""One drawn change, from its command to the judgement of what it left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from local.etcd_cluster import LocalMember
from support.checks.puts import ELECTION
from support.parts.lab import Command, Ended, Join
from tools.chaos.drawing import LEAST, Step, Verb
from tools.chaos.promises import Reported, violations
from tools.chaos.troubles import TROUBLES, Blow
from tools.chaos.world import World

# The command says that Temporal or the worker is out of reach: an operator starts it again.
OUT_OF_REACH = 3
TRIES = 5
# Seconds until a change is over, whatever the trouble: the clocks of the policy, and the troubles' own time.
PATIENCE = 240
# Seconds that writers may wait beside the trouble's own outage: a removed leader's election on a busy machine.
LONGEST_GAP = ELECTION + 2


@dataclass
class Row:
    """What is printed of one change."""

    change: str
    trouble: str
    operator: str
    outcome: str = ""
    seconds: float = 0.0
    gap: float = 0.0
    broken: list[str] = field(default_factory=list)
    details: str = ""


@dataclass
class Change:
    """A change under way: its command, and the members that come and go."""

    world: World
    verb: Verb
    new: LocalMember | None
    old: LocalMember | None
    old_id: str
    starts: bool
    end: Ended | None = None
    tries: int = 0

    def start(self) -> None:
        cluster = self.world.cluster
        if self.new is None:
            assert self.old
            self.command: Command = cluster.remove(self.old_id)
            return
        self.join = Join(cluster, self.new, old=self.old_id)
        self.command = self.join.command

    @property
    def name(self) -> str:
        """As `hold`, `resume` and `cancel` know it."""
        return self.new.name if self.new else self.old_id

    def go_on(self) -> bool:
        """Does what its operator does next; false once it has ended."""
        if self.new and self.starts and self.new.process is None and self.join.env_file.exists():
            self.join.start_member()
        if self.command.is_running():
            return True
        self.end = self.end or self.command.wait()
        if self.end.code == OUT_OF_REACH and self.tries < TRIES:
            self.end = None
            self.tries += 1
            self.start()
        return self.end is None

    def reported(self) -> Reported:
        assert self.end
        answer: dict[str, Any] = self.end.answer if self.end.stdout.strip() else {}
        return Reported(self.end.code, answer, self.new, self.old_id)


class Operator:
    """Asks something of a change while it runs, as the step says."""

    def __init__(self, world: World, step: Step, change: Change) -> None:
        self._world, self._step, self._change = world, step, change
        self._began = time.monotonic()
        self._asked: list[Command] = []
        self._is_held = False

    def go_on(self) -> None:
        if self._is_held:
            self._resume()
            return
        if self._asked or not self._is_time():
            return
        match self._step.steering:
            case "cancel" | "cancel at the act":
                self._ask("cancel")
            case "hold and resume":
                self._ask("hold")
                self._is_held = True
                self._resume_at = time.monotonic() + self._step.seconds / 2

    def end(self) -> None:
        for command in self._asked:
            command.kill()

    def _is_time(self) -> bool:
        if self._step.steering == "cancel at the act":
            act = self._step.act(self._change.verb)
            return any(call.method == act for relay in self._world.cluster.relays.values() for call in relay.calls)
        return time.monotonic() > self._began + self._step.after

    def _resume(self) -> None:
        """Again and again: a hold may be known only after a resume that found nothing to resume."""
        if time.monotonic() > self._resume_at:
            self._ask("resume")
            self._resume_at = time.monotonic() + 5

    def _ask(self, verb: str) -> None:
        self._asked.append(self._world.lab.command(verb, self._world.cluster.name, self._change.name, "--json"))


def run_step(world: World, step: Step) -> Row:
    """Runs the change, waits until all troubles are over, and holds what is there against what was reported."""
    voters = world.voting()
    since = len(world.writes.acknowledged)
    change = make_change(world, step, voters)
    changes = [change]
    if step.steering == "another join at once":
        changes.append(Change(world, "join", world.cluster.new_member(), None, "", starts=True))
    row = Row(f"{change.verb} {step.target if change.old else ''}".strip(), describe(step, change), step.steering)
    try:
        _run(world, step, changes, row)
        _judge(world, step, changes, row, since, len(voters))
    except Exception as error:  # noqa: BLE001  (a row like any other, and the run goes on)
        row.broken.append(f"{type(error).__name__}: {error}"[:300])
    row.details = "\n".join(f"{c.name}: {c.end or c.command.said()}" for c in changes if hasattr(c, "command"))
    return row


def make_change(world: World, step: Step, voters: list[LocalMember]) -> Change:
    cluster, verb = world.cluster, step.verb(len(voters))
    new = None if verb == "remove" else cluster.new_member()
    old = None if verb == "join" else pick(world, step, voters)
    old_id = cluster.id_of(old) if old else ""
    if old and step.target == "dead":
        old.kill()
    return Change(world, verb, new, old, old_id, step.starts)


def pick(world: World, step: Step, voters: list[LocalMember]) -> LocalMember:
    leader = world.cluster.leader()
    if step.target == "leader":
        return leader
    followers = [member for member in voters if member is not leader]
    return followers[step.number % len(followers)]


def describe(step: Step, change: Change) -> str:
    text = step.trouble
    if "at the call" in text or text.startswith(("answer", "refused", "call")):
        text += f" ({step.act(change.verb)})"
    if change.new and not step.starts:
        text += ", never started"
    return text


def _run(world: World, step: Step, changes: list[Change], row: Row) -> None:
    began = time.monotonic()
    world.writes.take_gap()
    change = changes[0]
    blow = Blow(step.act(change.verb), step.moment, step.seconds)
    TROUBLES[step.trouble].prepare(world, blow)
    for each in changes:
        each.start()
    operator = Operator(world, step, change)
    while under_way := [each for each in changes if each.go_on()]:
        operator.go_on()
        if time.monotonic() > began + PATIENCE:
            row.broken += [f"{each.name} is not over in {PATIENCE} s" for each in under_way]
            break
        time.sleep(0.02)
    operator.end()
    row.seconds = time.monotonic() - began


def _judge(world: World, step: Step, changes: list[Change], row: Row, since: int, voters: int) -> None:
    at_end = world.members()
    world.heal()
    later = world.members()
    row.gap = world.writes.take_gap()
    for change in (c for c in changes if c.end):
        reported = change.reported()
        row.outcome = f"{row.outcome} {reported.outcome or reported.code}".strip()
        row.broken += violations(reported, at_end, later, world.cluster.changes())
    if row.gap > longest_gap(step, voters):
        row.broken.append(f"no write for {row.gap:.1f} s")
    if lost := world.writes.lost(since):
        row.broken.append(f"{len(lost)} acknowledged writes are lost")
    row.broken += running(world)
    world.forget_the_removed()


def longest_gap(step: Step, voters: int) -> float:
    """Seconds; without a bound where the trouble takes the quorum: one member is dead, or there are two."""
    trouble = TROUBLES[step.trouble]
    if trouble.takes_member and (step.target == "dead" or voters < LEAST):
        return float("inf")
    return LONGEST_GAP + (ELECTION if trouble.takes_member else 0)


def running(world: World) -> list[str]:
    """Changes that run although their commands have ended."""
    prefix = f"memberflow:{world.cluster.name}:"
    return [f"{i} still runs" for i in world.lab.executions.running(world.cluster.name) if i.startswith(prefix)]
