"""The HTTP endpoint of a worker: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Thread

from client.limited_server import LimitedServer
from membership.errors import InvalidConfiguration

#: The answer to a path: the text, and whether all is well. Runs on the worker's event loop.
Answer = Callable[[], Coroutine[None, None, tuple[str, bool]]]

# Seconds. Prometheus and kubelet give up later, and an event loop that is blocked for so long does not work.
_ANSWERS_WITHIN = 8.0


@asynccontextmanager
async def serving(address: tuple[str, int], answers: dict[str, Answer]) -> AsyncIterator[None]:
    """
    Answers HTTP requests until the block ends. Each answer is made on the event loop of this call.

    Raises InvalidConfiguration when the address cannot be listened at.
    """
    loop = asyncio.get_running_loop()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "memberflow", ""

        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            if answer is None:
                self._write(404, f"there are {', '.join(answers)}\n")
                return
            try:
                text, is_well = asyncio.run_coroutine_threadsafe(answer(), loop).result(_ANSWERS_WITHIN)
            except Exception as error:  # noqa: BLE001  (a probe must be answered, whatever went wrong)
                text, is_well = f"no answer: {type(error).__name__}\n", False
            self._write(200 if is_well else 503, text)

        def _write(self, code: int, text: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A probe every few seconds is no event."""

    with _listening(address, Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True, name="metrics")
        thread.start()
        try:
            yield
        finally:
            # The server looks for this twice a second, and the worker's acts are still under way.
            await asyncio.to_thread(server.shutdown)


@contextmanager
def _listening(address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> Iterator[LimitedServer]:
    host, port = address
    try:
        server = LimitedServer(address, handler)
    except OSError as error:
        why = error.strerror or str(error)
        raise InvalidConfiguration(
            f"cannot listen at {host}:{port} for the metrics: {why} (--metrics or MEMBERFLOW_METRICS)"
        ) from error
    with server:
        yield server
