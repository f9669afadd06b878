"""Time-outs and retry policies of every activity, named once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from messages.turns import ACT_DEADLINE

_FOREVER = timedelta(days=3650)
_PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.4, maximum_interval=timedelta(seconds=5)
)


@dataclass(frozen=True)
class Limits:
    """How long one attempt may take, how soon a dead worker is noticed, and who retries."""

    start_to_close: timedelta
    retry: RetryPolicy
    heartbeat: timedelta | None = None
    schedule_to_close: timedelta | None = None
    schedule_to_start: timedelta | None = None

    def start(self, method: Any, arg: Any, summary: str, task_queue: str | None = None) -> workflow.ActivityHandle[Any]:
        """Starts an activity within these limits; a cancel of it ends when it has ended."""
        return workflow.start_activity_method(
            method,
            arg,
            task_queue=task_queue,
            start_to_close_timeout=self.start_to_close,
            schedule_to_close_timeout=self.schedule_to_close,
            schedule_to_start_timeout=self.schedule_to_start,
            heartbeat_timeout=self.heartbeat,
            retry_policy=self.retry,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary[:200],
        )


# A look has a deadline per endpoint and call; these add up to less. A worker that dies in it is noticed sooner.
LOOK = Limits(timedelta(seconds=20), _PATIENT, heartbeat=timedelta(seconds=5))
# Seconds that a look after an act spends on an election before Temporal's retries begin.
LOOK_AGAIN = 5.0
# The first look must fail while somebody is still watching: soonest when no worker serves the cluster's queue.
FIRST_LOOK = Limits(
    timedelta(seconds=15),
    _PATIENT,
    heartbeat=timedelta(seconds=5),
    schedule_to_close=timedelta(seconds=60),
    schedule_to_start=timedelta(seconds=20),
)
# A wait lasts as long as the clocks of its change allow; its worker's death is noticed by its heartbeat.
WAIT = Limits(_FOREVER, _PATIENT, heartbeat=timedelta(seconds=10))
# One attempt: the only retry of an act is another turn of `settle`.
ACT = Limits(timedelta(seconds=ACT_DEADLINE + 4), RetryPolicy(maximum_attempts=1), heartbeat=timedelta(seconds=10))
# The next two count their tries themselves: workers that stop or die use up none.
# The engine may have to fetch an image; starting what runs already is the same start.
LAUNCH = Limits(
    timedelta(minutes=10),
    RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
    heartbeat=timedelta(seconds=30),
    schedule_to_close=timedelta(hours=12),
)
SNAPSHOT = Limits(
    timedelta(hours=6),
    RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(seconds=30)),
    heartbeat=timedelta(seconds=15),
    schedule_to_close=timedelta(hours=12),
)
# After a removal was announced: what workers know of it is a second old at most, and a look asks members within two.
SHUN = timedelta(seconds=3)
# After that was taken back: until then a look may still leave the member out.
ASKED_AGAIN = timedelta(seconds=2)
# Short questions to Temporal.
ASK = Limits(timedelta(seconds=10), _PATIENT)
# A look for somebody who waits for the answer: no worker at the site, or no cluster, is an answer too.
GLANCE = Limits(
    timedelta(seconds=10),
    RetryPolicy(maximum_attempts=2),
    heartbeat=timedelta(seconds=5),
    schedule_to_close=timedelta(seconds=12),
    schedule_to_start=timedelta(seconds=6),
)
