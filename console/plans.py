"""plan: what a change would be up against."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from console.asking import ask
from console.output import DONE, REFUSED, print_json, say, stdout
from console.temporal import connect, require_worker
from membership.preflight import refusal
from messages.answers import Plan
from messages.requests import ChangeRequest, PlanRequest
from settings import read_settings

_COLOURS = {"ok": "green", "warn": "yellow", "wait": "yellow", "refuse": "red"}


async def plan(request: ChangeRequest, *, json: bool) -> int:
    """DONE when the change would run, now or after a wait; REFUSED when it would be refused."""
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    question = PlanRequest(verb=request.verb, request=request.model_dump(mode="json"))
    answer: Plan = await ask(client, settings, "PlanChange", Plan, question)
    refused = refusal(answer.checks)
    waits = [c for c in answer.checks if c.verdict == "wait"]
    verdict = "refuse" if refused else "wait" if waits else "go"
    if json:
        print_json({**asdict(answer), "verdict": verdict})
        return REFUSED if refused else DONE
    stdout.print(_table(answer))
    if refused:
        say(f"would be refused: {refused.evidence}")
        return REFUSED
    say(f"would wait first: {waits[0].evidence}" if waits else "would run now")
    return DONE


def _table(plan: Plan) -> Table:
    table = Table(title=f"{plan.verb} {plan.member} in {plan.cluster}", title_justify="left")
    for column in ("check", "verdict", "evidence", "hint"):
        table.add_column(column, overflow="fold")
    for check in plan.checks:
        table.add_row(check.name, Text(check.verdict, style=_COLOURS[check.verdict]), check.evidence, check.hint)
    return table
