"""The course of a change in words, from a recorded history."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from client.encryption import data_converter
from client.events import read_events

HISTORIES = Path(__file__).parents[1] / "histories" / "0.1.0"


def recorded(name):
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events


class _Recorded(WorkflowHandle):
    """A change whose history was recorded."""

    async def fetch_history_events(self, **_):
        for event in self.recorded:
            yield event


async def told(events):
    client = await Client.connect("127.0.0.1:1", lazy=True, data_converter=data_converter())
    handle = _Recorded(client, "memberflow:prod:join:etcd-4")
    handle.recorded = events
    return await read_events(client, handle)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
async def test_an_event_happened_at_the_same_moment_in_every_time_zone(zone, monkeypatch):
    """Temporal's times are UTC. They are shown in local time, and stay the same moment."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    begun = recorded("join-promoted")[0].event_time.ToMilliseconds()
    try:
        events = await told(recorded("join-promoted"))
        assert round(datetime.fromisoformat(events[0].at).timestamp() * 1000) == begun
        assert events[0].text == "the change began"
        assert [event.seconds for event in events] == sorted(event.seconds for event in events)
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_the_end_of_a_change_is_one_line():
    """A failure has more lines, with advice for Temporal's UI."""
    events = recorded("join-refused")
    failure = events[-1].workflow_execution_failed_event_attributes.failure
    reason = failure.message.partition("\n")[0]
    failure.message = f"{reason}\nNext: give another peer URL\nRunbook: docs/runbook.md"
    end = (await told(events))[-1]
    assert (end.text, end.result) == ("the change failed", f"PeerURLConflict: {reason}")
