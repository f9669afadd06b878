"""Structured logs: JSON lines on stderr, each with its workflow, run, activity and attempt."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from threading import Lock
from typing import Any

import structlog
from temporalio import activity, workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

# Lines of one text that are written in a minute, and texts that are remembered.
_A_MINUTE = 20
_MOST_KEYS = 1000
_LONGEST_KEY = 500
# Lines that differ in their numbers and IDs say the same thing.
_FIGURES = re.compile(r"[0-9a-f]*\d[0-9a-f-]*")

_RENAMED = {"workflow_run_id": "run_id", "activity_type": "activity"}

#: Every key that a line can have, in this order. Other keys are left out, so no line surprises its reader.
KEYS = (
    *("timestamp", "level", "logger", "event"),
    *("cluster", "member", "workflow_id", "run_id", "workflow_type", "activity", "attempt"),
    *("stage", "act", "applied", "error", "reason", "by", "change"),
    *("temporal", "serves", "clusters", "namespace", "task_queue", "exception"),
)


def set_up_logs(level: int = logging.INFO) -> None:
    """
    Sends every log record of this process to stderr as one JSON object a line.

    Workflow code logs only through `workflow.logger`, which is silent during replay.
    """
    workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = False
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _flatten,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _only_known,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    handler.addFilter(Repeats())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class Repeats(logging.Filter):
    """
    Lets each warning and error through a few times a minute, and counts the others. Threads may share it.

    A caller can make a worker say the same thing a thousand times a second. The next line after a minute has the count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = Lock()
        # By logger and text: the begin of the minute, and the number of lines in it.
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text = record.msg["event"] if isinstance(record.msg, dict) else record.getMessage()
        with self._lock:
            passes, left_out = self._count((record.name, _FIGURES.sub("", str(text))[:_LONGEST_KEY]))
        if left_out:
            text = f"{text} ({left_out} more lines like this were left out)"
            record.msg, record.args = {**record.msg, "event": text} if isinstance(record.msg, dict) else text, ()
        return passes

    def _count(self, key: tuple[str, str]) -> tuple[bool, int]:
        """Whether a line passes, and how many like it were left out in the minute before."""
        now = self._clock()
        since, count = self._seen.pop(key, (now, 0))
        is_over = now - since >= 60
        left_out = max(0, count - _A_MINUTE) if is_over else 0
        if is_over:
            since, count = now, 0
        self._seen[key] = (since, count + 1)
        if len(self._seen) > _MOST_KEYS:
            del self._seen[next(iter(self._seen))]
        return count < _A_MINUTE, left_out


class BindActivity(Interceptor):
    """Adds the activity's identity, cluster and member to every log record while it runs."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _BindActivity(next)


class _BindActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        about = _about(input.args[0]) if input.args else {}
        with structlog.contextvars.bound_contextvars(
            workflow_id=info.workflow_id,
            run_id=info.workflow_run_id,
            activity=info.activity_type,
            attempt=info.attempt,
            **about,
        ):
            return await self.next.execute_activity(input)


def _about(argument: Any) -> dict[str, str]:
    """Cluster and member of an activity's argument, if it has them."""
    about = {key: getattr(argument, key, "") for key in ("cluster", "member")}
    return {key: value for key, value in about.items() if value}


def _only_known(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: event[key] for key in KEYS if key in event}


def _flatten(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in ("temporal_workflow", "temporal_activity"):
        for name, value in (event.pop(key, None) or {}).items():
            event.setdefault(_RENAMED.get(name, name), value)
    return event
