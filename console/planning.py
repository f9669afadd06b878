"""The verbs that think a change through."""

from __future__ import annotations

from typing import Any

from console.app import Cluster, Force, Json, Leaving, NewName, Old, OrderOption, PeerUrl, plan, run
from messages.requests import Verb


@plan.command("join")
def plan_join(cluster: Cluster, name: NewName, peer_url: PeerUrl, json: Json = False) -> None:
    """What a join would be up against."""
    _plan("join", json=json, cluster=cluster, name=name, peer_urls=peer_url)


@plan.command("remove")
def plan_remove(cluster: Cluster, member: Leaving, force: Force = False, json: Json = False) -> None:
    """What a removal would be up against."""
    _plan("remove", json=json, cluster=cluster, member=member, force=force)


@plan.command("replace")
def plan_replace(
    cluster: Cluster,
    old: Old,
    name: NewName,
    peer_url: PeerUrl,
    order: OrderOption = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """What a replacement would be up against, and which half would come first."""
    _plan("replace", json=json, cluster=cluster, old=old, name=name, peer_urls=peer_url, order=order, force=force)


def _plan(verb: Verb, *, json: bool, **given: Any) -> None:
    from console import plans, running

    run(plans.plan(running.make_request(verb, **given), json=json))
