"""memberflow codec"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.app import SET_UP, app, examples, run


@app.command(
    rich_help_panel=SET_UP,
    epilog=examples(
        "memberflow codec --ui http://localhost:8233",
        "temporal workflow show --workflow-id memberflow:prod:join:etcd-4 --codec-endpoint http://127.0.0.1:8234",
    ),
)
def codec(
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address to listen on.")
    ] = "127.0.0.1:8234",
    ui: Annotated[
        list[str] | None,
        typer.Option(
            "--ui", metavar="URL", help="URL of a Temporal UI that may use this server (repeatable, default: none)."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the bearer token of every caller, required beyond loopback."),
    ] = None,
) -> None:
    """
    Decrypt payloads for Temporal's UI and command line, with the keys in MEMBERFLOW_PAYLOAD_KEYS.

    Each caller of this server reads everything that the keys protect. Set its URL as the codec endpoint in the UI.
    """
    run(_codec(listen, ui or [], token_file))


async def _codec(address: str, pages: list[str], token_file: Path | None) -> int:
    import asyncio
    import signal

    from client.codec_server import Admission, listen, origin_of
    from client.encryption import Encryption
    from client.exit_codes import DONE, USAGE, CommandError
    from client.payload_keys import VARIABLE, read_keys
    from console.terminal.output import say
    from settings import read_settings

    keys = read_keys(read_settings().payload_keys)
    if not keys:
        raise CommandError(USAGE, f"there is no key to decrypt with: {VARIABLE} is empty", "see docs/security.md")
    host, port = _host_and_port(address)
    admission = Admission({origin_of(page) for page in pages}, _token(token_file))
    server = listen(host, port, Encryption(keys), admission)
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.1))
    say(f"listening on http://{address}, with the keys {', '.join(key.id for key in keys)}")
    await stop.wait()
    server.shutdown()
    await serving
    return DONE


def _host_and_port(address: str) -> tuple[str, int]:
    from client.exit_codes import USAGE, CommandError

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(USAGE, f"--listen: {address!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _token(path: Path | None) -> str:
    from client.exit_codes import USAGE, CommandError

    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise CommandError(USAGE, f"--token-file: cannot read {path}: {error.strerror}") from None
    if not token:
        raise CommandError(USAGE, f"--token-file: {path} is empty")
    return token
