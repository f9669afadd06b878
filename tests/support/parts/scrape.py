"""Reads the metrics of a worker, as Prometheus does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from local import loopback

_SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_HELP = re.compile(r"^# HELP (\S+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Series:
    """One line of the metrics."""

    name: str
    labels: dict[str, str]
    value: float


class Scrape:
    """All metrics of one moment."""

    def __init__(self, text: str) -> None:
        self.series = [
            Series(name, dict(_LABEL.findall(labels)), float(v)) for name, labels, v in _SERIES.findall(text)
        ]
        #: The metrics that are explained, by their name without a suffix of its kind.
        self.explained = dict(_HELP.findall(text))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels. Raises KeyError when there is none."""
        found = [s.value for s in self.series if s.name == name and labels.items() <= s.labels.items()]
        if not found:
            raise KeyError(f"{name} {labels}")
        return sum(found)

    def get(self, name: str, **labels: str) -> float | None:
        """As `value`, None when there is no such series."""
        try:
            return self.value(name, **labels)
        except KeyError:
            return None

    def ours(self) -> list[Series]:
        return [s for s in self.series if s.name.startswith("memberflow_")]


def scrape(url: str) -> Scrape:
    return Scrape(loopback.get(f"{url}/metrics", timeout=15).decode())
