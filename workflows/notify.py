"""NotifyEnd: the receiver in the workers' clusters file hears how a change ended."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from workflows.activity_errors import why_unanswered
from workflows.arguments import NOTHING
from workflows.counters import count_lost_notice
from workflows.timeouts import NOTICE, start

with workflow.unsafe.imports_passed_through():
    from activities.notices import Notices
    from messages.ids import change_in
    from messages.notices import NOTIFY_TYPE, NotDelivered, Notified, NotWanted, notice_id
    from messages.queues import watches_queue

# The failures of an attempt in which the receiver was asked.
_NOT_TAKEN = (NotDelivered.__name__, NotWanted.__name__)


@workflow.defn(name=NOTIFY_TYPE)
class NotifyEnd:
    """
    Waits until the change that started it has closed, and tells its receiver how it ended.

    It has no argument, and sends nothing where no change started it. Fails when the receiver took nothing for a day.
    """

    @workflow.run
    async def run(self, _: RawValue = NOTHING) -> Notified:
        parent = workflow.info().parent
        why = f"tell how {parent.workflow_id if parent else 'no change'} ended"
        try:
            return await start(Notices.send_end, None, NOTICE, why, watches_queue(workflow.info().task_queue))
        except ActivityError as error:
            failure = why_unanswered(error)
            # Only for a change of this service was a receiver asked: a caller cannot choose the label.
            if parent and failure.type in _NOT_TAKEN:
                count_lost_notice(change_in(parent.workflow_id)[0])
            raise failure from error


async def tell_of_end(cluster: str, summary: str) -> None:
    """
    Starts NotifyEnd for the change that ends. Returns as soon as Temporal has it: no worker needs to be there.

    Its failure is no failure of the change.
    """
    try:
        await workflow.start_child_workflow(
            NOTIFY_TYPE,
            id=notice_id(cluster, workflow.info().run_id),
            result_type=Notified,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=summary,
        )
    except FailureError as error:
        workflow.logger.warning("the receiver is not told how the change ended: %s", error)
