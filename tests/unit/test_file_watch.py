"""What expires when is in the worker's log once, and in a number that monitoring can ask for."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from activities.credentials import FileWatch, certificate_days_left
from clusters import ClustersFile
from etcdapi.discovery import Discovery
from membership.credentials import Credentials, FileReport
from messages.queues import TASK_QUEUE


def cert(days: float, *warnings: str) -> Credentials:
    return Credentials(
        (
            FileReport("cert", Path("/etc/c.crt"), days_left=days, warnings=warnings),
            FileReport("key", Path("/etc/c.key")),
        )
    )


class Client:
    """Stands for an etcd client: only the state of its files matters."""

    state = Credentials()

    def __init__(self, access):
        self.access = access

    def credentials(self):
        return type(self).state

    def close(self):
        pass


@pytest.fixture
def clusters(tmp_path):
    """Two clusters, of which this worker serves the first."""
    text = '[clusters.prod]\nendpoints = ["http://10.0.0.1:2379"]\n'
    other = '[clusters.far]\nendpoints = ["http://10.0.0.2:2379"]\ntask_queue = "far"\n'
    (tmp_path / "clusters.toml").write_text(text + other)
    Client.state = Credentials()
    return ClustersFile(tmp_path / "clusters.toml", Client, lambda config: None, Discovery().find)


def test_the_number_for_monitoring(clusters):
    """The soonest of all files, and none where there is no certificate."""
    assert certificate_days_left(clusters, "prod") is None
    Client.state = Credentials((*cert(40).files, *cert(12).files))
    assert certificate_days_left(clusters, "prod") == 12
    assert certificate_days_left(clusters, "unknown") is None


def test_a_warning_is_logged_once(clusters, caplog):
    """At the start what is left, and later only what has changed."""
    caplog.set_level(logging.INFO, "memberflow.certificates")
    watch = FileWatch(clusters, (TASK_QUEUE,))
    Client.state = cert(31)
    watch.look()
    assert [r.message for r in caplog.records] == ["certificates of prod: the first expires in 31 days"]
    caplog.clear()
    Client.state = cert(29, "CN=c expires soon, on 2030-06-30")
    watch.look()
    watch.look()
    assert [r.message for r in caplog.records] == ["prod: cert /etc/c.crt: CN=c expires soon, on 2030-06-30"]
    caplog.clear()
    Client.state = cert(100)
    watch.look()
    Client.state = cert(29, "CN=c expires soon, on 2030-06-30")
    watch.look()
    assert len(caplog.records) == 1, "a renewed certificate that runs out again is told again"


async def test_a_look_that_fails_does_not_end_the_watch(caplog):
    """Whatever it raises: the next certificate may expire years later."""
    looked = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    class Broken:
        def names(self):
            loop.call_soon_threadsafe(looked.release)
            raise OSError("the mount is gone")

    async with FileWatch(Broken(), ["memberflow"], every=timedelta(milliseconds=1)).running():
        for _ in range(3):
            await asyncio.wait_for(looked.acquire(), 10)
    assert "the certificate files could not be looked at" in caplog.text
