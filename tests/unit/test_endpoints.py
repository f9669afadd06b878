"""Configured endpoints: a removal that takes the last ones says so, and stale ones are warned of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import cluster, voter

from membership.endpoints import check_all_leave, check_configured, check_endpoints

ONE, TWO, THREE = (f"http://10.0.0.{n}:2379" for n in (1, 2, 3))
NAME = "http://etcd.example:2379"
NONE_ALIVE = "no configured endpoint leads to a voter that is alive, so a new worker would not find the cluster"
STALE = "http://10.0.0.9:2379"


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        ((ONE, TWO, THREE), ""),
        ((TWO, THREE), "etcd-3 (3) is at one of the last two configured endpoints"),
        ((THREE,), "etcd-3 (3) is at the last configured endpoint"),
        ((THREE, STALE), "etcd-3 (3) is at the last configured endpoint"),
        ((THREE, "http://10.0.0.3:2379/"), "etcd-3 (3) is at the last configured endpoint"),
        ((ONE,), ""),
        ((STALE,), ""),
        ((), ""),
    ],
)
def test_a_removal_that_takes_the_last_endpoints(endpoints, told):
    """A worker that starts anew would not find the cluster: said before, and where there are others said not at all."""
    assert "".join(c.evidence for c in check_endpoints(cluster(3), endpoints, voter(3))) == told
    assert check_endpoints(cluster(3), endpoints, None) == ()


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        ((ONE, TWO), ""),
        ((ONE,), ""),
        ((ONE, THREE), f"of the configured endpoints only {ONE} leads to a voter that is alive"),
        ((ONE, TWO, STALE), f"configured endpoints lead to no member: {STALE}"),
        ((THREE,), NONE_ALIVE),
        ((STALE,), f"configured endpoints lead to no member: {STALE}; {NONE_ALIVE}"),
        ((NAME,), ""),
        ((), ""),
    ],
)
def test_endpoints_that_lead_nowhere(endpoints, told):
    """etcd-3 is down. A name that no member advertises leads to the member that answered there."""
    seen = cluster(3, down=("3",))
    first = replace(seen.statuses["1"], urls=(ONE, NAME))
    seen = replace(seen, statuses={**seen.statuses, "1": first})
    assert "".join(c.evidence for c in check_configured(seen, endpoints)) == told


@pytest.mark.parametrize(
    ("endpoints", "leaving", "told"),
    [
        ((ONE, TWO), {"1", "2"}, True),
        ((ONE, TWO), {"1"}, False),
        ((ONE, TWO), set(), False),
        (("http://etcd.example:2379",), {"1", "2", "3"}, False),
    ],
)
def test_a_list_that_takes_every_endpoint(endpoints, leaving, told):
    """It is said before the first change, and not where a name or a proxy leads to the cluster."""
    assert bool(check_all_leave(cluster(3), endpoints, leaving)) is told
