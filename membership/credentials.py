"""The state of the files with which a worker reaches a cluster. No report has any part of a key or a password."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

# An operator is warned from this many days before a certificate expires.
WARN_DAYS = 30.0


@dataclass(frozen=True)
class FileReport:
    """The state of one file that a cluster's entry names."""

    #: Its key in the clusters file: `ca`, `cert`, `key` or `password_file`.
    key: str
    path: Path
    #: The subject of the reported certificate, as "CN=client, O=Example". Empty for keys and passwords.
    subject: str = ""
    #: The issuer of that certificate. Empty for keys and passwords.
    issuer: str = ""
    #: Days until that certificate expires. Negative after that. None for keys and passwords.
    days_left: float | None = None
    #: Why no connection can be made with this file. Empty: it can be used.
    problem: str = ""
    #: Things that work today and should be changed.
    warnings: tuple[str, ...] = ()

    def warned(self, *warnings: str) -> FileReport:
        return replace(self, warnings=(*self.warnings, *filter(None, warnings)))


@dataclass(frozen=True)
class Credentials:
    """The state of all files of one cluster."""

    files: tuple[FileReport, ...] = ()
    #: Risks in the cluster's entry itself.
    risks: tuple[str, ...] = ()

    @property
    def days_left(self) -> float | None:
        """Days until the first certificate expires. Negative after that. None where no certificate can be read."""
        return min((file.days_left for file in self.files if file.days_left is not None), default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that an operator should change, each with the key in the clusters file and the path."""
        told = [f"{file.key} {file.path}: {text}" for file in self.files for text in (file.problem, *file.warnings)]
        return (*(text for text in told if not text.endswith(": ")), *self.risks)
