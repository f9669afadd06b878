"""memberflow demo"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.app import SET_UP, app, examples, run
from console.options import Json, Output
from console.terminal.output import print_answer, say

if TYPE_CHECKING:
    from client.ended import Ended
    from client.sight import Sight
    from local.demo import DemoDeployment


@app.command(rich_help_panel=SET_UP, epilog=examples("memberflow demo", "memberflow demo --keep"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep data here (default: a temporary folder).")
    ] = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show a join on this machine, with real etcd members: the answer to its promote is lost."""
    run(_demo(keep, folder), json=json, output=output)


async def _demo(keep: bool, folder: Path | None) -> int:  # noqa: FBT001  (an option)
    """Returns DONE when the demo went as it should."""
    import asyncio
    import tempfile
    import time
    from contextlib import AsyncExitStack

    from client.exit_codes import DONE, FAILED, CommandError
    from local.demo_cluster import start_cluster
    from local.processes import ignore_interrupts
    from membership.errors import MemberflowError

    started = time.monotonic()
    async with AsyncExitStack() as ending:
        ending.callback(say, "Everything that was started has been stopped.")
        if folder is None:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="memberflow-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            cluster = await start_cluster(folder, ending, say)
            from local.demo import set_up  # Temporal's SDK takes a while to import

            scene = await set_up(cluster, folder, ending, say)
            good = await _tell(scene, await _join(scene))
            say(f"This took {time.monotonic() - started:.0f} s.")
            if keep:
                _how_to_look(scene)
                await asyncio.Event().wait()
        except MemberflowError as error:
            raise CommandError(FAILED, str(error), error.hint) from error
        finally:
            ignore_interrupts()
        say("Run `memberflow demo --keep` to look around in Temporal's UI.")
    return DONE if good else FAILED


async def _join(scene: DemoDeployment) -> Ended:
    """Requests the join, and starts the new member with the handover, as a provisioning system would."""
    import asyncio

    from client.connect import caller
    from client.start import start_change
    from console.following import follow_on_terminal
    from local.demo_cluster import CLUSTER, NEW
    from local.etcd_cluster import LocalFailure
    from messages.requests import JoinRequest

    new = scene.cluster.new
    say(f"3. `memberflow join {CLUSTER} {NEW} --peer-url {new.peer_url}`")
    request = JoinRequest(cluster=CLUSTER, name=NEW, peer_urls=(new.peer_url,), requested_by=caller())
    handle, _ = await start_change(scene.client, scene.settings, request)
    serving: list[asyncio.Task[None]] = []

    def start_member(seen: Sight) -> None:
        if seen.handover and not serving:
            say(f"4. {NEW} is added as a learner. Its process starts with the handover's ETCD_* values.")
            new.start(seen.handover.env())
            serving.append(asyncio.create_task(asyncio.to_thread(new.wait_until_serving)))
        if serving and serving[0].done():
            serving[0].result()  # raises when the new member's process did not come up

    seen = await follow_on_terminal(scene.client, handle, f"   {NEW} joins {CLUSTER}", look=start_member)
    if seen is None or seen.end is None or seen.end.outcome.outcome != "promoted":
        raise LocalFailure(f"the join did not end as it should: {seen and seen.end}")
    return seen.end


async def _tell(scene: DemoDeployment, end: Ended) -> bool:
    """Prints the result as the relays, etcd's own metrics and Temporal saw it. True when it is the claimed result."""
    import asyncio

    from local.demo_cluster import NEW
    from local.metrics import promotes

    outcome = end.outcome
    calls = [call for call in scene.cluster.relays.calls() if call["method"] == "MemberPromote"]
    lost = [call for call in calls if call["fault"] == "lose"]
    successes, failures = await asyncio.to_thread(promotes, [m.client_url for m in scene.cluster.members])
    ui = f"{scene.server.ui}/namespaces/default/workflows/{outcome.workflow_id}/{outcome.run_id}/history"
    opens = await asyncio.to_thread(_opens, ui)
    say(f"5. {NEW} is a voter: {', '.join(outcome.voters)} ({outcome.seconds['total']:.1f} s).")
    say(f"   The relays saw {len(calls)} promote call, and lost {len(lost)} answer.")
    say(f"   etcd counts {successes} successful promote and {failures} failed ones.")
    for warning in outcome.warnings:
        say(f"   memberflow noticed: {warning}.")
    say(f"   In Temporal's UI: {ui}" + ("" if opens else " (it does not open)"))
    good = len(outcome.voters) == 4 and len(calls) == len(lost) == successes == 1 and not failures and opens
    seen = {"promote_calls": len(calls), "answers_lost": len(lost), "promote_failures": failures, "ui": ui}
    print_answer({**outcome.model_dump(mode="json", exclude_none=True), **seen, "ok": good})
    return good


def _how_to_look(scene: DemoDeployment) -> None:
    from local.demo_cluster import CLUSTER, NEW

    say(f"Everything is left running. Temporal's UI: {scene.server.ui}")
    say("In another terminal:")
    say(f"  export TEMPORAL_ADDRESS={scene.server.address}")
    say(f"  memberflow status {CLUSTER}")
    say(f"  memberflow watch {CLUSTER} {NEW}")
    say(f"Logs are in {scene.folder}. Ctrl-C stops everything.")


def _opens(url: str) -> bool:
    from local import loopback

    try:
        loopback.get(url, timeout=5)
    except OSError:
        return False
    return True
