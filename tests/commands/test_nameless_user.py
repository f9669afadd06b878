"""Temporal's dev server under a user ID that the system does not know, as in a container."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from local.temporal_server import DevServer, temporal_cli
from settings import quiet_runtime

UID = 54321


@pytest.fixture
def folder():
    """Other users may read it, as they may not read pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="memberflow-nameless-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_a_user_without_a_name_runs_the_server(folder, monkeypatch):
    binary = shutil.copy(temporal_cli(), folder / "temporal")
    command = folder / "as-another-user"
    command.write_text(f'#!/bin/sh\nexec setpriv --reuid {UID} --clear-groups -- {binary} "$@"\n')
    command.chmod(0o755)
    monkeypatch.setattr("local.temporal_server.temporal_cli", lambda: str(command))
    for name in ("USER", "HOME"):
        monkeypatch.delenv(name, raising=False)
    server = DevServer(folder)
    try:
        client = await server.start(quiet_runtime())
        assert (await client.count_workflows("")).count == 0
    finally:
        await server.stop()
