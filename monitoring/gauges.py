"""A gauge whose old values do not stay behind."""

from __future__ import annotations

import math
from collections.abc import Mapping

from temporalio.common import MetricMeter


class Gauge:
    """
    One gauge with labels.

    Temporal's exporter keeps every set of labels for ever. A set that has no value any more becomes NaN, which no
    rule's comparison matches.
    """

    def __init__(self, meter: MetricMeter, name: str, about: str, *labels: str) -> None:
        self._gauge = meter.create_gauge_float(name, about)
        self._labels = labels
        self._shown: set[tuple[str, ...]] = set()

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Shows these values, by the values of the labels, and no others."""
        for key in self._shown - set(values):
            self._set(key, math.nan)
        for key, value in values.items():
            self._set(key, value)
        self._shown |= set(values)

    def _set(self, key: tuple[str, ...], value: float) -> None:
        self._gauge.set(value, dict(zip(self._labels, key, strict=True)))
