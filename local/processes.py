"""Child processes, which `end` ends in every case, and free ports for them."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Below it are the well-known ports, of databases and the like.
_LEAST_PORT = 15000
_BLOCK = 50


def claimed_ports(begin: int) -> Iterator[int]:
    """
    Yields ports outside the range that the kernel uses for outgoing connections, each port once.

    Inside that range, any process's next connection may take a port between our choice and its use. Outside it,
    only another process that calls this function might. So each process claims blocks of ports, in order from block
    `begin`. It claims a block for its lifetime by binding the UDP port of the block's first number, which only one
    process can bind.
    """
    low, high = 32768, 60999
    with suppress(OSError):
        low, high = (int(end) for end in _EPHEMERAL.read_text().split())
    ports = [*range(_LEAST_PORT, low), *range(high + 1, 65536)] or [*range(1024, 65536)]
    blocks = [ports[first : first + _BLOCK] for first in range(0, len(ports), _BLOCK)]
    begin %= len(blocks)
    for block in blocks[begin:] + blocks[:begin]:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", block[0]))
        except OSError:
            claim.close()
            continue
        claim.detach()  # closed by the end of the process
        yield from block


_untried = claimed_ports(secrets.randbelow(1 << 16))
_choosing = Lock()


def free_port() -> int:
    """A loopback port on which no process listens now. It never returns a port twice, in any thread."""
    with _choosing:
        for port in _untried:
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise OSError("no free port is left")


def clean_environment() -> dict[str, str]:
    """This process's environment without the settings of Temporal, memberflow and etcd."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "MEMBERFLOW_", "ETCD_", "OTEL_"))}


def ignore_interrupts() -> None:
    """From now on, Ctrl-C stops nothing in this process: a second one must not break off the end of the children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Child:
    """A process in its own session, so that Ctrl-C reaches this process first. Its output goes to a file."""

    def __init__(
        self, command: Sequence[str], log: Path, env: dict[str, str] | None = None, keeps: Sequence[int] = ()
    ) -> None:
        """`env`: the whole environment. None: this process's own. `keeps`: open files that the process inherits."""
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
                pass_fds=keeps,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code. None while the process runs, and negative for the signal that ended it."""
        return self._process.poll()

    def send(self, sign: signal.Signals) -> None:
        if self.exit_code() is None:
            self._process.send_signal(sign)

    def wait(self, timeout: float) -> int:
        """Waits for the exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def end(self, patience: float = 5.0) -> None:
        """Asks the process to end. Kills it when it does not end within `patience` seconds."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        finally:  # also when a second Ctrl-C comes
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 5) -> str:
        """The last lines of its output, for the text of an error."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
