"""A stranger who takes the ID of a cluster's turns is noticed: its changes would wait for ever."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from client.turns_check import wrong_turns
from messages.ids import turns_id
from settings import read_settings


@pytest.mark.parametrize(
    ("kind", "queue", "told"),
    [
        ("Squatter", "own", "a workflow of the type Squatter has the ID memberflow:"),
        ("ClusterTurns", "strangers", "runs on the task queue 'strangers'"),
        ("ClusterTurns", "own", ""),
    ],
)
async def test_the_workflow_at_the_id_of_the_turns(temporal, kind, queue, told):
    """Its type and its queue must be ours; a stranger can start anything under any ID."""
    cluster = f"c-{uuid4()}"
    settings = replace(read_settings(), task_queue="own")
    assert await wrong_turns(temporal, settings, cluster) == ""
    squatter = await temporal.start_workflow(kind, id=turns_id(cluster), task_queue=queue)
    found = await wrong_turns(temporal, settings, cluster)
    assert (told in found, bool(found)) == (True, bool(told)), found
    await squatter.terminate()
    assert await wrong_turns(temporal, settings, cluster) == ""
