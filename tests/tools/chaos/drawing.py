"""What is done, drawn from a seed: the same seed gives the same changes, troubles and moments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from tools.chaos.troubles import TROUBLES

Verb = Literal["join", "remove", "replace"]
Target = Literal["leader", "follower", "dead"]
Steering = Literal["", "cancel", "cancel at the act", "hold and resume", "another join at once"]

# A frozen receiver, which may bring a call's effect after the change's end, comes more often than the rest.
WEIGHTED = (*TROUBLES, *["receiver frozen at the call"] * 3)
LEAST, MOST = 3, 5  # voters between changes, where the changes before did not end otherwise
ACTS: dict[Verb, tuple[str, ...]] = {
    "join": ("MemberAdd", "MemberPromote"),
    "remove": ("MemberRemove", "MoveLeader"),
    "replace": ("MemberAdd", "MemberPromote", "MemberRemove"),
}


@dataclass(frozen=True)
class Step:
    """One change, its trouble, and what the operator asks meanwhile."""

    number: int
    #: The kinds of change in the order of preference; the cluster's size decides which is possible.
    verbs: tuple[Verb, ...]
    target: Target
    trouble: str
    #: The call that the trouble comes with.
    acts: dict[Verb, str]
    moment: Literal["arrives", "answered"]
    #: How long the trouble lasts.
    seconds: float
    steering: Steering
    #: From the start of the command to what the operator asks.
    after: float
    #: Whether the operator starts the new member.
    starts: bool

    def verb(self, voters: int) -> Verb:
        """The first kind that keeps the cluster between its least and its most voters."""
        possible = {"join": voters < MOST, "remove": voters > LEAST, "replace": voters >= LEAST}
        return next(verb for verb in self.verbs if possible[verb])

    def act(self, verb: Verb) -> str:
        return self.acts[verb]


def draw(seed: int, changes: int) -> Iterator[Step]:
    random = Random(seed)
    steerings: tuple[Steering, ...] = ("cancel", "cancel at the act", "hold and resume", "another join at once")
    for number in range(1, changes + 1):
        verbs: list[Verb] = ["join", "remove", "replace"]
        random.shuffle(verbs)
        yield Step(
            number=number,
            verbs=tuple(verbs),
            target=random.choice(("leader", "follower", "follower", "dead")),
            trouble=random.choice(WEIGHTED),
            acts={verb: random.choice(ACTS[verb]) for verb in ACTS},
            moment=random.choice(("arrives", "answered")),
            seconds=round(random.uniform(1, 12), 1),
            steering=random.choice(("", "", "", *steerings)),
            after=round(random.uniform(0, 6), 1),
            starts=random.random() < 0.9,
        )
