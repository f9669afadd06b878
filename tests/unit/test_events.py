"""The course of a change in words, from a recorded history."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from client.encryption import data_converter
from client.events import read_events

HISTORY = Path(__file__).parents[1] / "histories" / "0.1.0" / "join-promoted.json"


class _Recorded(WorkflowHandle):
    """A change whose history was recorded."""

    def fetch_history_events(self, **_):
        return self._events()

    async def _events(self):
        for event in WorkflowHistory.from_json(self.id, HISTORY.read_text()).events:
            yield event


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
async def test_an_event_happened_at_the_same_moment_in_every_time_zone(zone, monkeypatch):
    """Temporal's times are UTC. They are shown in local time, and stay the same moment."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    client = await Client.connect("127.0.0.1:1", lazy=True, data_converter=data_converter())
    try:
        events = await read_events(client, _Recorded(client, "memberflow:prod:join:etcd-4"))
        recorded = WorkflowHistory.from_json("", HISTORY.read_text()).events[0].event_time.ToMilliseconds()
        assert round(datetime.fromisoformat(events[0].at).timestamp() * 1000) == recorded
        assert events[0].text == "the change began"
        assert [event.seconds for event in events] == sorted(event.seconds for event in events)
    finally:
        monkeypatch.undo()
        time.tzset()
