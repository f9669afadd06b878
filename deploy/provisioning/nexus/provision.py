"""
A workflow of another namespace that makes a machine a member of an etcd cluster, through the Nexus service memberflow.

    python provision.py CLUSTER NAME PEER_URL COMMAND

COMMAND starts the machine. It gets the ETCD_* values as environment variables. When it fails, the join is cancelled,
and memberflow removes the learner. This program needs `temporalio` and no part of memberflow. TEMPORAL_ADDRESS,
TEMPORAL_NAMESPACE and the SDK's other variables name the caller's own namespace.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ActivityError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import subprocess

    import nexusrpc

ENDPOINT = "memberflow"
QUEUE = "provisioning"


@nexusrpc.service(name="memberflow")
class Memberflow:
    """The operations of memberflow. `memberflow schema` describes the requests of the changes."""

    join: nexusrpc.Operation[dict[str, Any], dict[str, Any]]
    remove: nexusrpc.Operation[dict[str, Any], dict[str, Any]]
    replace: nexusrpc.Operation[dict[str, Any], dict[str, Any]]
    handover: nexusrpc.Operation[dict[str, Any], dict[str, Any] | None]


@dataclass
class NewMember:
    """A machine that shall be a member."""

    cluster: str
    name: str
    peer_urls: list[str]
    #: The command that starts the machine.
    start: str


@activity.defn
def start_machine(command: str, handover: dict[str, str]) -> None:
    """Starts the machine with the values of etcd's first start."""
    values = [f"ETCD_{key.upper()}={value}" for key, value in handover.items()]
    subprocess.run(["env", *values, command], check=True, timeout=300)


@workflow.defn
class ProvisionMember:
    """Adds the learner, starts its machine, and returns when it is a voter."""

    @workflow.run
    async def run(self, new: NewMember) -> dict[str, Any]:
        memberflow = workflow.create_nexus_client(service=Memberflow, endpoint=ENDPOINT)
        request = {key: value for key, value in asdict(new).items() if key != "start"}
        join = asyncio.create_task(memberflow.execute_operation(Memberflow.join, request))
        handover = await self._handover(memberflow, new, join)
        if handover:
            try:
                await workflow.execute_activity(
                    start_machine,
                    args=[new.start, handover],
                    start_to_close_timeout=timedelta(minutes=6),
                    retry_policy=RetryPolicy(maximum_attempts=3),
                )
            except ActivityError:
                join.cancel()  # memberflow removes the learner
        return await join

    async def _handover(self, memberflow: Any, new: NewMember, join: asyncio.Task[Any]) -> dict[str, str] | None:
        """The values to start the machine with. None when the join ended first."""
        question = {"cluster": new.cluster, "name": new.name}
        pause = 1.0
        while not join.done():
            if handover := await memberflow.execute_operation(Memberflow.handover, question):
                return handover
            await workflow.wait([join], timeout=pause)
            pause = min(pause * 1.2, 60)  # a history holds some days of such questions
        return None


async def main(new: NewMember) -> int:
    """Runs a worker for as long as the workflow runs. Where workers run already, only start the workflow."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config)
    activities = ThreadPoolExecutor(4)
    async with Worker(
        client, task_queue=QUEUE, workflows=[ProvisionMember], activities=[start_machine], activity_executor=activities
    ):
        workflow_id = f"provision:{new.cluster}:{new.name}"
        try:
            outcome = await client.execute_workflow(ProvisionMember.run, new, id=workflow_id, task_queue=QUEUE)
        except WorkflowFailureError as failure:
            cause = failure.cause
            print(f"{new.name} is no voter: {cause.__cause__ or cause}", file=sys.stderr)
            return 1
    print(f"{new.name} is a voter: {', '.join(outcome['voters'])}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: provision.py CLUSTER NAME PEER_URL COMMAND")
    cluster, name, peer_url, command = sys.argv[1:]
    code = asyncio.run(main(NewMember(cluster, name, [peer_url], command)))
    sys.stdout.flush()
    sys.stderr.flush()
    # A short process can crash after its work, as Python shuts down under the SDK's threads (sdk-python#300).
    os._exit(code)
