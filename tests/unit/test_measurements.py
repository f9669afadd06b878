"""Gauges are measured one measurement after the other, whatever a part of one raises."""

from __future__ import annotations

import asyncio

from monitoring.measurements import Measurements


async def fails():
    raise KeyError("a slip")


async def test_no_measurement_begins_before_the_last_one_has_ended():
    """Also where a part of it has failed: two at once would show each other's half."""
    running, most, release = 0, 0, asyncio.Event()

    async def slow():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    measurements = Measurements(fails, slow, every=0, patience=0.01)
    for _ in range(3):
        await measurements.refresh()
    assert (running, most) == (1, 1)
    release.set()
    await measurements.refresh()
    assert running == 0


async def test_an_unexpected_error_is_logged_once(caplog):
    """A measurement every few seconds would fill the log with it. The next one is made all the same."""
    made = 0

    async def counts():
        nonlocal made
        made += 1

    measurements = Measurements(fails, counts, every=0, patience=5)
    for _ in range(3):
        await measurements.refresh()
    assert made == 3
    assert [r.message for r in caplog.records] == ["the metrics could not be measured: KeyError: 'a slip'"]
