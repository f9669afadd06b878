"""memberflow doctor"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from client.exit_codes import DONE, FAILED, OUT_OF_REACH, USAGE, CommandError
from console.app import SET_UP, app, examples, run
from console.options import Json, Output

if TYPE_CHECKING:
    from temporalio.client import Client

    from messages.answers import Reachability
    from settings import Settings

_SHOWN = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@app.command(rich_help_panel=SET_UP, epilog=examples("memberflow doctor", "memberflow doctor -o yaml"))
def doctor(output: Output = None, json: Json = False) -> None:
    """
    Check the configuration, Temporal, the workers and every cluster.

    Each check has a verdict, and a hint where something is wrong. Exit code 1 for a fault, 2 for a wrong
    configuration, 3 when Temporal or a worker is out of reach.
    """
    run(_doctor(), json=json, output=output)


@dataclass(frozen=True)
class Row:
    """One check."""

    check: str
    verdict: str
    level: Literal["ok", "warn", "fail"] = "ok"
    hint: str = ""
    #: The exit code that a failed check asks for.
    code: int = DONE


async def _doctor() -> int:
    from console.terminal.output import busy, print_answer

    async with busy("checking Temporal, the workers and every cluster"):
        rows = [row async for row in _checks()]
    codes = {row.code for row in rows}
    shown = [{key: value for key, value in asdict(row).items() if key != "code"} for row in rows]
    checks = [{**row, "ok": row["level"] != "fail"} for row in shown]
    if not print_answer({"checks": checks, "ok": codes == {DONE}}):
        for row in rows:
            _print(row)
    return next((code for code in (OUT_OF_REACH, USAGE, FAILED) if code in codes), DONE)


def _print(row: Row) -> None:
    from console.terminal.output import print_line

    print_line(f"{_SHOWN[row.level]}  {row.check}: {row.verdict}")
    if row.hint and row.level != "ok":
        print_line(f"      hint: {row.hint}")


def _failed(check: str, error: CommandError) -> Row:
    return Row(check, error.message, "fail", error.hint, error.code)


async def _checks() -> AsyncIterator[Row]:
    from client.command_errors import command_error
    from client.connect import connect
    from membership.errors import MemberflowError
    from settings import read_settings

    try:
        settings = read_settings()
    except MemberflowError as error:
        yield _failed("configuration", command_error(error))
        return
    yield Row("configuration", _configuration(settings))
    try:
        client = await connect(settings)
    except MemberflowError as error:
        yield _failed("payload keys", command_error(error))
        return
    except CommandError as error:
        yield _failed("Temporal", error)
        return
    yield Row("Temporal", f"{settings.address}, namespace {settings.namespace}")
    workers = await _workers(client, settings)
    if workers.check == "namespace":
        yield workers
        return
    yield await _search_attributes(client)
    yield workers
    if workers.level != "fail":
        async for row in _clusters(client, settings):
            yield row


def _configuration(settings: Settings) -> str:
    file = settings.clusters_file
    where = "" if file.exists() else " (not found on this host. Only the file of the workers counts)"
    return f"task queue {settings.task_queue}, clusters file {file}{where}"


async def _workers(client: Client, settings: Settings) -> Row:
    """The polling workers. A missing right to ask is only a warning: the clusters' rows show whether a worker polls."""
    from temporalio.service import RPCError

    from client.command_errors import brief, command_error, is_no_namespace, is_not_allowed
    from client.connect import workflow_pollers

    try:
        pollers = await workflow_pollers(client, settings.task_queue)
    except RPCError as error:
        if is_no_namespace(error):
            return _failed("namespace", command_error(error))
        if is_not_allowed(error):
            hint = "commands work without the right to describe a task queue"
            return Row("workers", f"could not be listed: {brief(error)}", "warn", hint)
        return _failed("workers", command_error(error))
    if not pollers:
        missing = f"none polls {settings.task_queue}"
        return _failed("workers", CommandError(OUT_OF_REACH, missing, "start one with `memberflow worker`"))
    return Row("workers", f"{len(pollers)} on {settings.task_queue}: {', '.join(sorted(pollers))}")


async def _search_attributes(client: Client) -> Row:
    from temporalio.service import RPCError

    from client.search_attributes import registered

    check = "search attributes"
    try:
        missing, wrong = await registered(client)
    except RPCError as error:
        return Row(check, f"can't be listed: {error}", "warn", "this needs operator rights (changes work without them)")
    problem = ", ".join([*(f"{n} is missing" for n in missing), *(f"{n} has a wrong type" for n in wrong)])
    hint = "`memberflow setup` registers them (changes work without them)"
    return Row(check, problem, "warn", hint) if problem else Row(check, "registered")


async def _clusters(client: Client, settings: Settings) -> AsyncIterator[Row]:
    from temporalio.service import RPCError

    from client.ask import ask
    from client.command_errors import command_error
    from client.turns_check import wrong_turns
    from messages.answers import ClusterList
    from messages.ids import turns_id

    try:
        known = await ask(client, settings, "ListClusters", ClusterList)
    except (CommandError, RPCError) as error:
        yield _failed("clusters", command_error(error))
        return
    if known.problem:
        yield _failed("clusters", CommandError(USAGE, known.problem, "correct the clusters file of the worker"))
    for cluster in known.clusters:
        yield _cluster(cluster)
        if cluster.receiver:
            yield _receiver(cluster)
        if wrong := await wrong_turns(client, settings, cluster.cluster):
            hint = f"`temporal workflow terminate --workflow-id {turns_id(cluster.cluster)}`: changes start it anew"
            yield _failed(f"turns of {cluster.cluster}", CommandError(FAILED, wrong, hint))
        for warning in cluster.warnings:
            yield Row(f"cluster {cluster.cluster}", warning, "warn")


def _receiver(cluster: Reachability) -> Row:
    check = f"webhook of {cluster.cluster}"
    if not cluster.receiver_problem:
        return Row(check, f"{cluster.receiver} hears how changes end")
    hint = "correct [notify] in the clusters file of the workers. Messages wait for a day"
    return Row(check, cluster.receiver_problem, "warn", hint)


def _cluster(cluster: Reachability) -> Row:
    from client.ended import CONFIGURATION
    from membership.failures import Failure

    check = f"cluster {cluster.cluster}"
    if not cluster.problem:
        found = f"{cluster.members} members, leader {cluster.leader}, cluster ID {cluster.cluster_id}"
        days = cluster.certificate_days
        certificates = "" if days is None else f", certificates valid for {days:.0f} days"
        return Row(check, f"{found}, through {cluster.task_queue}{certificates}")
    kind = cluster.problem.partition(":")[0]
    if kind == Failure.NO_WORKER:
        missing = f"no worker polls its task queue {cluster.task_queue!r}"
        hint = f"`memberflow worker --serve {cluster.task_queue}` at its site"
        return _failed(check, CommandError(OUT_OF_REACH, missing, hint))
    code = USAGE if kind in CONFIGURATION else FAILED
    return _failed(check, CommandError(code, cluster.problem, cluster.hint))
