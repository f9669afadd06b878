"""The command line's own parts: what it prints, what it keeps to itself, and how long it waits."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from client import steer
from client.connect import plain_reason
from client.exit_codes import OUT_OF_REACH, CommandError
from console.terminal import output
from console.terminal.output import busy, format_in, print_line, say
from console.terminal.tables import make_table, print_parts
from membership.errors import InvalidConfiguration
from settings import read_settings

OTHERS = ("http://[fd00::14]:2380", "started memberflow:new:join:x", "exec: [/usr/bin/etcd]: not found")


@pytest.mark.parametrize("text", OTHERS)
def test_a_table_prints_the_texts_of_others_as_they_are(capsys, text):
    """A URL is no markup, and a workflow ID has no emoji in it."""
    print_parts([text, make_table(["EVIDENCE"], [[text]], {"wait": "yellow"})])
    assert capsys.readouterr().out.count(text) == 2


@pytest.mark.parametrize("show", [say, print_line, lambda text: print_parts([make_table(["A"], [[text]])])])
def test_no_text_of_others_commands_the_terminal(capsys, show):
    """Escape sequences are shown, and never obeyed."""
    show("etcd-1\x1b[2J")
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed
    assert "etcd-1\\x1b[2J" in printed


def test_a_server_that_is_not_there_is_told_in_plain_words():
    """Not as a dump of the SDK's own types."""
    dump = 'ConnectError("tcp connect error", 127.0.0.1:1, Os { code: 111, kind: X, message: "Connection refused" })'
    assert plain_reason(f"Failed client connect: {dump}") == "Connection refused"
    assert plain_reason('Server connection error: dns error: "nodename nor servname"') == (
        'Server connection error: dns error: "nodename nor servname"'
    )


@pytest.mark.parametrize(
    ("args", "format_of_errors"),
    [
        (("status", "prod", "--json"), "json"),
        (("status", "prod", "-o", "yaml"), "yaml"),
        (("-ojson",), "json"),
        (("--output=yaml",), "yaml"),
        (("--output", "json"), "json"),
        (("-o", "wide"), ""),
        (("-o",), ""),
        ((), ""),
        (("status", "yaml"), ""),
    ],
)
def test_an_error_of_the_usage_is_printed_in_the_format_asked_for(args, format_of_errors):
    """The arguments alone tell, before they are understood."""
    assert format_in(args) == format_of_errors


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


async def test_a_command_that_waits_says_for_what(capsys, monkeypatch):
    """After a moment; one that need not wait says nothing."""
    monkeypatch.setattr(output, "_SOON", 0.0)
    async with busy("asking a worker"):
        await asyncio.sleep(0.05)
    assert capsys.readouterr().err == "asking a worker …\n"
    monkeypatch.setattr(output, "_SOON", 60.0)
    async with busy("asking a worker"):
        pass
    assert capsys.readouterr().err == ""


class Deaf:
    """A change that no worker takes an update of."""

    id = "memberflow:prod:join:n"

    async def execute_update(self, *_):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            raise WorkflowUpdateRPCTimeoutOrCancelledError from cancelled  # as the SDK does


async def test_an_update_that_nobody_takes(monkeypatch):
    """Not told for ever, and no fault of memberflow."""
    monkeypatch.setattr(steer, "_PATIENCE", 0.05)
    with pytest.raises(CommandError) as left:
        await steer.send(Deaf(), "hold", "alice")
    assert (left.value.code, "did not answer" in left.value.message) == (OUT_OF_REACH, True)


async def test_ctrl_c_while_an_update_is_on_its_way():
    """Interrupted is interrupted."""
    sending = asyncio.create_task(steer.send(Deaf(), "hold", "alice"))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
