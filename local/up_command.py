"""How `memberflow up` is called: its options, its command line for a process of its own, and its systemd unit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from local.state_folder import PATIENCE, Running

_UNIT = """\
# Temporal and a memberflow worker for the clusters of one user. Save it as
#   ~/.config/systemd/user/memberflow.service
# then run
#   systemctl --user daemon-reload
#   systemctl --user enable --now memberflow
#   loginctl enable-linger          # starts it with the machine, not with your login
[Unit]
Description=memberflow: Temporal and a worker for {clusters}

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
# A wrong configuration stays wrong.
RestartPreventExitStatus=2
# SIGTERM goes to memberflow alone: it stops the worker first, then Temporal.
KillMode=mixed
TimeoutStopSec={patience:.0f}

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True)
class UpCommand:
    """The options of `memberflow up`."""

    clusters_file: Path
    port: int
    ui_port: int
    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters_file", self.clusters_file.absolute())
        object.__setattr__(self, "folder", self.folder.absolute())

    @property
    def program(self) -> list[str]:
        """The command that runs this program: its script or its self-contained file, with this interpreter."""
        script = Path(sys.argv[0])
        return [sys.executable, str(script.absolute())] if script.is_file() else [sys.executable, "-m", "cli"]

    def arguments(self) -> list[str]:
        """The options in full, for a process that starts elsewhere."""
        return [
            *("up", "--clusters", str(self.clusters_file), "--folder", str(self.folder)),
            *("--port", str(self.port), "--ui-port", str(self.ui_port)),
        ]

    def unit(self) -> str:
        """A systemd user unit that runs this command."""
        words = [*self.program, *self.arguments()]
        return _UNIT.format(
            clusters=_escape(str(self.clusters_file)), command=" ".join(map(_quote, words)), patience=2 * PATIENCE + 10
        )

    def differences(self, running: Running) -> list[str]:
        """The options in which a deployment that runs differs from this command."""
        rows = (
            ("clusters file", running.clusters_file, str(self.clusters_file)),
            ("port", running.address.rpartition(":")[2], str(self.port)),
            ("UI port", running.ui.rpartition(":")[2], str(self.ui_port)),
        )
        return [f"{name} {has}, not {asked}" for name, has, asked in rows if has != asked]


def _escape(text: str) -> str:
    """A text in a unit file, where % begins a specifier."""
    return text.replace("%", "%%")


def _quote(word: str) -> str:
    """A word of ExecStart, which systemd reads by rules of its own."""
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t'\"\\;") else escaped
