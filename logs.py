"""Structured logs: JSON lines on stderr, each with its workflow, run, activity and attempt."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from temporalio import activity, workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

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
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


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
