"""status and doctor: what the workers see, as tables."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from console.output import DONE, FAILED, OUT_OF_REACH, USAGE, Leave, print_json, stdout
from console.setup import registered
from console.temporal import connect, require_worker, workflow_pollers
from membership.inspection import ClusterList, Inspection
from membership.model import ClusterStatus, Member
from membership.requests import InspectRequest
from membership.validation import explain
from settings import Settings, read_settings

_PATIENCE = 30.0


async def ask(
    client: Client, settings: Settings, workflow: str, result_type: type[Any], request: BaseModel | None = None
) -> Any:
    """Runs a question's workflow; callers that ask the same at the same time share one."""
    name = f"{workflow}:{hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:16]}" if request else workflow
    handle = await client.start_workflow(
        workflow,
        args=[request] if request else [],
        id=f"memberflow:ask:{name}",
        task_queue=settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        run_timeout=timedelta(seconds=_PATIENCE),
        result_type=result_type,
    )
    try:
        return await asyncio.wait_for(handle.result(), _PATIENCE)
    except WorkflowFailureError as failure:
        error = failure.cause
        kind = (error.type or "") if isinstance(error, ApplicationError) else type(error).__name__
        hint = str(error.details[0]) if isinstance(error, ApplicationError) and error.details else ""
        code = USAGE if kind in ("UnknownCluster", "InvalidConfiguration", "InvalidRequest") else FAILED
        raise Leave(code, f"{kind}: {error.message if isinstance(error, ApplicationError) else error}", hint) from None
    except TimeoutError:
        raise Leave(OUT_OF_REACH, "no worker answered in time", "is a worker polling the cluster's queue?") from None


async def status(cluster: str, *, json: bool) -> int:
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    seen: Inspection = await ask(client, settings, "InspectCluster", Inspection, _question(cluster))
    if json:
        print_json(asdict(seen))
        return DONE
    stdout.print(_table(seen))
    turns = seen.turns
    holder = turns.holder.workflow_id if turns.holder else "nobody"
    print(
        f"turn: {holder}" + (f"; waiting: {', '.join(t.workflow_id for t in turns.waiting)}" if turns.waiting else "")
    )
    for orphan in turns.orphans:
        print(f"learner {orphan.member_id} was left behind by {orphan.ticket.workflow_id}")
    for line in seen.status.dissent:
        print(f"member lists differ: {line}")
    return DONE


def _question(cluster: str) -> InspectRequest:
    try:
        return InspectRequest(cluster=cluster)
    except ValidationError as error:
        raise Leave(USAGE, explain(error)) from None


def _table(seen: Inspection) -> Table:
    table = Table(title=f"{seen.cluster} ({seen.status.cluster_id})", title_justify="left")
    for column in ("name", "ID", "role", "raft index", "lag", "db", "version", "alarms", "peer URLs"):
        table.add_column(column, overflow="fold", no_wrap=column == "ID")
    for member in seen.status.members:
        table.add_row(*_row(seen.status, member))
    return table


def _row(status: ClusterStatus, member: Member) -> list[str]:
    role = "learner" if member.is_learner else "leader" if member.id == status.leader else "voter"
    own, leader = status.statuses.get(member.id), status.statuses.get(status.leader)
    alarms = ", ".join(a.kind for a in status.alarms if a.member_id == member.id)
    name, peers = member.name or "(not started)", ", ".join(member.peer_urls)
    if own is None:
        return [name, member.id, role, "-", "-", "-", "-", alarms, f"{peers}: {status.why_silent(member.id)}"]
    lag = str(max(0, leader.raft_index - own.applied_index)) if leader else "-"
    size = f"{own.db_size / 1e6:.1f} MB"
    return [name, member.id, role, str(own.raft_index), lag, size, own.version, alarms, peers]


async def doctor(*, json: bool) -> int:
    """One row per check: what was looked at, the verdict, and a hint where it is bad."""
    rows = [row async for row in _checks()]
    if json:
        print_json({"checks": rows, "ok": all(row["ok"] for row in rows)})
    else:
        for row in rows:
            print(f"{'ok  ' if row['ok'] else 'FAIL'}  {row['check']}: {row['verdict']}")
            if row["hint"] and not row["ok"]:
                print(f"      hint: {row['hint']}")
    return DONE if all(row["ok"] for row in rows) else FAILED


def _check(check: str, verdict: str, *, ok: bool = True, hint: str = "") -> dict[str, Any]:
    return {"check": check, "ok": ok, "verdict": verdict, "hint": hint}


async def _checks() -> Any:
    settings = read_settings()
    yield _check("configuration", f"task queue {settings.task_queue}, clusters file {settings.clusters_file}")
    try:
        client = await connect(settings)
    except Leave as error:
        yield _check("Temporal", error.message, ok=False, hint=error.hint)
        return
    yield _check("Temporal", f"{settings.address}, namespace {settings.namespace}")
    try:
        missing, wrong = await registered(client)
        problem = ", ".join([*(f"{n} is missing" for n in missing), *(f"{n} has a wrong type" for n in wrong)])
        hint = "`memberflow setup` registers them; changes work without"
        yield _check("search attributes", problem or "registered", ok=not problem, hint=hint)
    except RPCError as error:
        yield _check("search attributes", f"can't be listed: {error}", ok=False, hint="this needs operator rights")
    pollers = await workflow_pollers(client, settings.task_queue)
    if not pollers:
        hint = "start one with `memberflow worker`"
        yield _check("workers", f"none polls {settings.task_queue}", ok=False, hint=hint)
        return
    yield _check("workers", f"{len(pollers)} on {settings.task_queue}: {', '.join(sorted(pollers))}")
    known: ClusterList = await ask(client, settings, "ListClusters", ClusterList)
    if known.problem:
        yield _check("clusters", known.problem, ok=False, hint="mend the clusters file of the worker")
    for c in known.clusters:
        good = f"{c.members} members, leader {c.leader}, through {c.task_queue}"
        yield _check(f"cluster {c.cluster}", c.problem or good, ok=not c.problem, hint=c.hint)
