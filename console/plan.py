"""memberflow plan join, plan remove, plan replace, plan apply"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.app import CHANGE, examples, group, run
from console.options import (
    Cluster,
    Force,
    Json,
    Launch,
    Leaving,
    MembersFile,
    Newcomer,
    Old,
    Output,
    PeerUrl,
    Prune,
    ReplaceOrder,
)

if TYPE_CHECKING:
    from membership.checks import Check
    from membership.desired import Step
    from messages.apply import ApplyRequest
    from messages.requests import ChangeRequest

_COLOURS = {"ok": "green", "warn": "yellow", "wait": "yellow", "refuse": "red"}

plan = group(
    "plan",
    CHANGE,
    "Show the checks of a change, and whether it would be refused. Changes nothing.",
    "memberflow plan remove prod etcd-3",
)


@plan.command("join", epilog=examples("memberflow plan join prod etcd-4 --peer-url https://10.0.0.14:2380"))
def plan_join(cluster: Cluster, name: Newcomer, peer_url: PeerUrl, output: Output = None, json: Json = False) -> None:
    """Check whether a join would run, without starting it."""
    from client.change_request import make_request

    request = make_request("join", cluster=cluster, name=name, peer_urls=peer_url)
    run(show_plan(request), json=json, output=output)


@plan.command("remove", epilog=examples("memberflow plan remove prod etcd-3"))
def plan_remove(
    cluster: Cluster, member: Leaving, force: Force = False, output: Output = None, json: Json = False
) -> None:
    """Check whether a removal would run, without starting it."""
    from client.change_request import make_request

    request = make_request("remove", cluster=cluster, member=member, force=force)
    run(show_plan(request), json=json, output=output)


@plan.command(
    "replace", epilog=examples("memberflow plan replace prod etcd-3 etcd-5 --peer-url https://10.0.0.15:2380")
)
def plan_replace(
    cluster: Cluster,
    old: Old,
    name: Newcomer,
    peer_url: PeerUrl,
    order: ReplaceOrder = "auto",
    force: Force = False,
    output: Output = None,
    json: Json = False,
) -> None:
    """Check whether a replacement would run, and which half would come first, without starting it."""
    from client.change_request import make_request

    request = make_request("replace", cluster=cluster, old=old, name=name, peer_urls=peer_url, order=order, force=force)
    run(show_plan(request), json=json, output=output)


@plan.command("apply", epilog=examples("memberflow plan apply prod --from members.txt --prune"))
def plan_apply(
    cluster: Cluster,
    file: MembersFile,
    prune: Prune = False,
    launch: Launch = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show the changes that an apply would make, in their order, and check the first of them."""
    from console.applying import make_apply_request
    from console.members_file import read_members

    members = read_members(file)
    request = make_apply_request(cluster, members, prune=prune, launcher=launch, requested_by="")
    run(_plan_apply(request), json=json, output=output)


async def _plan_apply(request: ApplyRequest) -> int:
    """
    Returns DONE when the list would be applied, or is applied already. Returns REFUSED when it would be refused.

    Only the first change is checked: the checks of the others depend on its result.
    """
    from dataclasses import asdict

    from client.ask import ask
    from client.exit_codes import DONE, REFUSED
    from console.session import with_worker
    from console.terminal.output import busy, print_answer, say
    from membership.preflight import refusal
    from messages.answers import Plan
    from messages.apply import ApplyPlan
    from messages.requests import PlanRequest

    client, settings = await with_worker()
    async with busy(f"asking a worker about {request.cluster}"):
        plan: ApplyPlan = await ask(client, settings, "PlanApply", ApplyPlan, request, cluster=request.cluster)
        first: tuple[Check, ...] = ()
        if plan.steps and not refusal(plan.checks):
            change = request.change(plan.steps[0])
            sent = PlanRequest(verb=change.verb, request=change.model_dump(mode="json"))
            first = (await ask(client, settings, "PlanChange", Plan, sent, cluster=request.cluster)).checks
    refused = refusal((*plan.checks, *first))
    waits = [check for check in (*plan.checks, *first) if check.verdict == "wait"]
    verdict = "refuse" if refused else "no-changes" if not plan.steps else "wait" if waits else "go"
    code = REFUSED if refused else DONE
    if print_answer({**asdict(plan), "first": [asdict(check) for check in first], "verdict": verdict}):
        return code
    _print_steps(plan.steps)
    _print_checks((*plan.checks, *(check for check in first if check not in plan.checks)))
    if refused:
        say(f"would be refused: {refused.evidence}")
    elif not plan.steps:
        say("no changes: the members are as listed")
    else:
        say(f"would wait first: {waits[0].evidence}" if waits else f"would make {len(plan.steps)} changes")
    return code


def _print_steps(steps: tuple[Step, ...]) -> None:
    """A row for each change, in their order."""
    from console.terminal.tables import make_table, print_parts

    if steps:
        rows = [[str(number), step.what, step.why] for number, step in enumerate(steps, 1)]
        print_parts([make_table(["STEP", "CHANGE", "WHY NOW"], rows), ""])


async def show_plan(request: ChangeRequest) -> int:
    """
    Prints the checks of a change.

    Returns DONE when the change would run, now or after a wait. Returns REFUSED when it would be refused.
    """
    from dataclasses import asdict

    from client.ask import ask
    from client.exit_codes import DONE, REFUSED
    from console.session import with_worker
    from console.terminal.output import busy, print_answer, say
    from membership.preflight import refusal
    from messages.answers import Plan
    from messages.requests import PlanRequest

    client, settings = await with_worker()
    sent = PlanRequest(verb=request.verb, request=request.model_dump(mode="json"))
    async with busy(f"asking a worker about {request.cluster}"):
        plan = await ask(client, settings, "PlanChange", Plan, sent, cluster=request.cluster)
    refused = refusal(plan.checks)
    waits = [check for check in plan.checks if check.verdict == "wait"]
    code = REFUSED if refused else DONE
    if print_answer({**asdict(plan), "verdict": "refuse" if refused else "wait" if waits else "go"}):
        return code
    _print_checks(plan.checks)
    if refused:
        say(f"would be refused: {refused.evidence}")
    else:
        say(f"would wait first: {waits[0].evidence}" if waits else "would run now")
    return code


def _print_checks(checks: tuple[Check, ...]) -> None:
    """A row for each check, and the hints below the table."""
    from console.terminal.output import print_line
    from console.terminal.tables import make_table, print_parts

    rows = [[check.name, check.verdict, check.evidence] for check in checks]
    print_parts([make_table(["CHECK", "VERDICT", "EVIDENCE"], rows, _COLOURS)])
    for check in checks:
        if check.hint:
            print_line(f"hint: {check.name}: {check.hint}")
