"""Time-outs and retry policies of every activity, each named once, and the function that starts an activity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, overload

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy

from workflows.results import RESULTS  # noqa: F401  (so every workflow that starts an activity can read its result)

with workflow.unsafe.imports_passed_through():
    from messages.orders import MOST_PATIENCE
    from messages.queues import URGENT
    from messages.turns import ACT_DEADLINE

S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")

_FOREVER = timedelta(days=3650)
_PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.4, maximum_interval=timedelta(seconds=5)
)

# A look has a deadline per endpoint and call. These add up to less. A worker that dies in it is noticed sooner.
LOOK = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=20), heartbeat_timeout=timedelta(seconds=5), retry_policy=_PATIENT
)
# Seconds that a look after an act spends on an election before Temporal's retries begin.
LOOK_AGAIN = 5.0
# Seconds for which a worker tries the first look. It must fail while a person is still watching. A missing worker is
# no failure: the look waits for one.
FIRST_LOOK_PATIENCE = MOST_PATIENCE
FIRST_LOOK = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=FIRST_LOOK_PATIENCE + 20),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=_PATIENT,
)
# A wait lasts as long as the clocks of its change allow. Its worker's death is noticed by its heartbeat.
WAIT = workflow.ActivityConfig(
    start_to_close_timeout=_FOREVER, heartbeat_timeout=timedelta(seconds=10), retry_policy=_PATIENT
)
# A wait that has become long looks every few seconds, and heartbeats no more often.
LONG_WAIT = workflow.ActivityConfig(
    start_to_close_timeout=_FOREVER, heartbeat_timeout=timedelta(seconds=30), retry_policy=_PATIENT
)
# One attempt: the only retry of an act is another round of `settle`.
ACT = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=ACT_DEADLINE + 4),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(maximum_attempts=1),
    priority=Priority(priority_key=URGENT),
)
# The next two count their tries themselves: workers that stop or die use up none.
# The engine may have to fetch an image. Starting a running member again changes nothing.
LAUNCH = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(minutes=10),
    schedule_to_close_timeout=timedelta(hours=12),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
)
SNAPSHOT = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(hours=6),
    schedule_to_close_timeout=timedelta(hours=12),
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(seconds=30)),
)
# The watch of a holder stands behind the holder's own word, so its worker's death may be noticed late.
WATCH = workflow.ActivityConfig(
    start_to_close_timeout=_FOREVER, heartbeat_timeout=timedelta(seconds=60), retry_policy=_PATIENT
)
# Temporal's list of workflows may be out of reach for longer than the rest of Temporal.
SURVEY = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=10), schedule_to_close_timeout=timedelta(seconds=30), retry_policy=_PATIENT
)
# Short questions to Temporal.
ASK = workflow.ActivityConfig(start_to_close_timeout=timedelta(seconds=10), retry_policy=_PATIENT)
# A question of the turns to a change. A change that no worker runs answers none, and there may be a thousand of them.
QUESTION = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.4, maximum_interval=timedelta(seconds=30)
    ),
)
# A message to a receiver that may be down for a day. The wait between two attempts grows to ten minutes.
NOTICE = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=timedelta(hours=24),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10)),
)
# A look for a person who waits for the answer: no worker at the site, or no cluster, is an answer too.
GLANCE = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=10),
    schedule_to_close_timeout=timedelta(seconds=12),
    schedule_to_start_timeout=timedelta(seconds=6),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=RetryPolicy(maximum_attempts=2),
)


@overload
def start(
    activity: Callable[[S, A], Awaitable[T]],
    argument: A,
    limits: workflow.ActivityConfig,
    summary: str,
    task_queue: str | None = None,
) -> workflow.ActivityHandle[T]: ...


@overload
def start(
    activity: Callable[[S, A], T],
    argument: A,
    limits: workflow.ActivityConfig,
    summary: str,
    task_queue: str | None = None,
) -> workflow.ActivityHandle[T]: ...


def start(
    activity: Callable[..., Any],
    argument: object,
    limits: workflow.ActivityConfig,
    summary: str,
    task_queue: str | None = None,
) -> workflow.ActivityHandle[Any]:
    """Starts an activity within these limits. Its cancel ends when the activity has ended."""
    config: workflow.ActivityConfig = {
        **limits,
        "task_queue": task_queue,
        "summary": summary[:200],
        "cancellation_type": workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }
    if priority := limits.get("priority"):  # it replaces the workflow's own, and the fairness key with that
        config["priority"] = replace(workflow.info().priority, priority_key=priority.priority_key)
    return workflow.start_activity_method(activity, args=[argument], **config)
