"""doctor: what is wrong, from here to every cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Literal

from temporalio.client import Client
from temporalio.service import RPCError

from console.asking import ask
from console.changes import CONFIGURATION, NO_WORKER
from console.faults import is_no_namespace, is_not_allowed, leave_of
from console.output import DONE, FAILED, OUT_OF_REACH, USAGE, Leave, print_json
from console.setup import registered
from console.temporal import connect, workflow_pollers
from membership.errors import MemberflowError
from messages.answers import ClusterList, Reachability
from settings import Settings, read_settings

_SHOWN = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Row:
    """One check; `code` is the exit code that a failed one asks for."""

    check: str
    verdict: str
    level: Literal["ok", "warn", "fail"] = "ok"
    hint: str = ""
    code: int = DONE


def _fault(check: str, error: Leave) -> Row:
    return Row(check, error.message, "fail", error.hint, error.code)


async def doctor(*, json: bool) -> int:
    """
    A row per check: what was looked at, the verdict, and a hint where it is not good.

    OUT_OF_REACH when Temporal or a worker is, USAGE for a configuration or namespace that is wrong, else FAILED for
    any fault; what changes can do without is a warning.
    """
    rows = [row async for row in _checks()]
    codes = {row.code for row in rows}
    if json:
        shown = [{key: value for key, value in asdict(row).items() if key != "code"} for row in rows]
        checks = [{**row, "ok": row["level"] != "fail"} for row in shown]
        print_json({"checks": checks, "ok": codes == {DONE}})
    else:
        for row in rows:
            print(f"{_SHOWN[row.level]}  {row.check}: {row.verdict}")
            if row.hint and row.level != "ok":
                print(f"      hint: {row.hint}")
    return next((code for code in (OUT_OF_REACH, USAGE, FAILED) if code in codes), DONE)


async def _checks() -> AsyncIterator[Row]:
    try:
        settings = read_settings()
    except MemberflowError as error:
        yield _fault("configuration", leave_of(error))
        return
    yield Row("configuration", _configuration(settings))
    try:
        client = await connect(settings)
    except Leave as error:
        yield _fault("Temporal", error)
        return
    yield Row("Temporal", f"{settings.address}, namespace {settings.namespace}")
    try:
        pollers = await workflow_pollers(client, settings.task_queue)
    except RPCError as error:
        namespace = is_no_namespace(error) or is_not_allowed(error)
        yield _fault("namespace" if namespace else "workers", leave_of(error))
        return
    yield await _search_attributes(client)
    if not pollers:
        told = Leave(OUT_OF_REACH, f"none polls {settings.task_queue}", "start one with `memberflow worker`")
        yield _fault("workers", told)
        return
    yield Row("workers", f"{len(pollers)} on {settings.task_queue}: {', '.join(sorted(pollers))}")
    async for row in _clusters(client, settings):
        yield row


def _configuration(settings: Settings) -> str:
    file = settings.clusters_file
    where = "" if file.exists() else " (not on this host; that of the workers counts)"
    return f"task queue {settings.task_queue}, clusters file {file}{where}"


async def _search_attributes(client: Client) -> Row:
    check = "search attributes"
    try:
        missing, wrong = await registered(client)
    except RPCError as error:
        return Row(check, f"can't be listed: {error}", "warn", "this needs operator rights; changes work without them")
    problem = ", ".join([*(f"{n} is missing" for n in missing), *(f"{n} has a wrong type" for n in wrong)])
    hint = "`memberflow setup` registers them; changes work without"
    return Row(check, problem, "warn", hint) if problem else Row(check, "registered")


async def _clusters(client: Client, settings: Settings) -> AsyncIterator[Row]:
    try:
        known: ClusterList = await ask(client, settings, "ListClusters", ClusterList)
    except (Leave, RPCError) as error:
        yield _fault("clusters", leave_of(error))
        return
    if known.problem:
        yield _fault("clusters", Leave(USAGE, known.problem, "mend the clusters file of the worker"))
    for cluster in known.clusters:
        yield _cluster(cluster)


def _cluster(cluster: Reachability) -> Row:
    check = f"cluster {cluster.cluster}"
    if not cluster.problem:
        return Row(check, f"{cluster.members} members, leader {cluster.leader}, through {cluster.task_queue}")
    if cluster.problem.startswith(f"{NO_WORKER}:"):
        told = f"no worker polls its task queue {cluster.task_queue!r}"
        return _fault(check, Leave(OUT_OF_REACH, told, f"`memberflow worker --serve {cluster.task_queue}` at its site"))
    code = USAGE if cluster.problem.partition(":")[0] in CONFIGURATION else FAILED
    return _fault(check, Leave(code, cluster.problem, cluster.hint))
