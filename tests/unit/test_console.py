"""The command line's own parts: what it prints, what it keeps to itself, and how long it waits."""

from __future__ import annotations

import asyncio

import pytest
from rich.table import Table
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from console import steering
from console.output import OUT_OF_REACH, Leave, stderr, stdout
from console.plans import _table
from membership.checks import Check
from membership.errors import InvalidConfiguration
from messages.answers import Plan
from settings import read_settings

OTHERS = ("http://[fd00::14]:2380", "started memberflow:new:join:x", "exec: [/usr/bin/etcd]: not found")


@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize("console", [stdout, stderr], ids=["stdout", "stderr"])
def test_what_others_wrote_is_printed_as_it_is(console, text):
    """A URL is no markup, and a workflow ID has no emoji in it; nor in a table."""
    table = Table("what")
    table.add_row(text)
    with console.capture() as printed:
        console.print(text)
        console.print(table)
    assert printed.get().count(text) == 2


def test_a_plan_prints_evidence_as_it_is():
    """Whatever the verdict's colour."""
    with stdout.capture() as printed:
        stdout.print(_table(Plan("prod", "join", "n", (Check("join", "wait", OTHERS[0], OTHERS[2]),))))
    assert all(part in printed.get() for part in ("wait", OTHERS[0], OTHERS[2]))


@pytest.mark.parametrize("line", ["api_key = sekret", "api_key = 73577357", 'api_key = "sekret', 'tls = "sekret"'])
def test_a_wrong_line_of_temporal_s_file_is_not_shown(tmp_path, monkeypatch, line):
    """It may hold the API key; where it is, is said."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.default]\naddress = "localhost:7233"\n{line}\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    with pytest.raises(InvalidConfiguration) as wrong:
        read_settings()
    told = str(wrong.value)
    assert "line 3" in told
    assert not [part for part in ("sekret", "7357") if part in told]
    assert wrong.value.__cause__ is None


class Deaf:
    """A change that no worker takes an update of."""

    id = "memberflow:prod:join:n"

    async def execute_update(self, _):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            raise WorkflowUpdateRPCTimeoutOrCancelledError from cancelled  # as the SDK does


async def test_an_update_that_nobody_takes(monkeypatch):
    """Not told for ever, and no fault of memberflow."""
    monkeypatch.setattr(steering, "_PATIENCE", 0.05)
    with pytest.raises(Leave) as left:
        await steering._send(Deaf(), "hold")
    assert (left.value.code, "did not answer" in left.value.message) == (OUT_OF_REACH, True)


async def test_ctrl_c_while_an_update_is_on_its_way():
    """Interrupted is interrupted."""
    sending = asyncio.create_task(steering._send(Deaf(), "hold"))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
