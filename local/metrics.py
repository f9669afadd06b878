"""Reads etcd's own counters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from local import loopback

_SERIES = re.compile(r"^etcd_server_learner_promote_(successes|failures)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def promotes(client_urls: Iterable[str]) -> tuple[int, int]:
    """
    The number of successful and of failed promotes, summed over these members. A member that is down is left out.

    etcd counts them on the leader only (`etcd_server_learner_promote_successes` and `_failures`).
    """
    total = {"successes": 0.0, "failures": 0.0}
    for url in client_urls:
        try:
            text = loopback.get(f"{url}/metrics", timeout=3).decode()
        except OSError:
            continue
        for kind, value in _SERIES.findall(text):
            total[kind] += float(value)
    return int(total["successes"]), int(total["failures"])
