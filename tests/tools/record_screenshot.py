"""
Photographs changes in Temporal's UI, for the documents: `make screenshots` (needs chromium on PATH).

Real parts: a member joins a cluster that holds 60 MB while its peer port lets 0.3 MB a second through. A removal
waits in line behind it, and another removal was refused.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from client.search_attributes import register
from console.terminal.output import say
from local.binary import find_etcd
from local.temporal_server import DevServer
from messages.ids import change_id, turns_id
from settings import cache_dir, quiet_runtime
from support.faults.throttle import Throttle
from support.parts.lab import Lab, eventually

FOLDER = Path(__file__).parents[2] / "docs"
WIDTH = 1500
CLUSTER = "prod"


def photograph(*pictures: tuple[str, str, int]) -> None:
    """Each picture has a name, an address and a height. It is taken once the page names the cluster."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, url, height in pictures:
            page = browser.new_page(viewport={"width": WIDTH, "height": height})
            page.goto(url)
            page.get_by_text(f"memberflow:{CLUSTER}").first.wait_for()
            page.wait_for_timeout(3000)  # the page goes on loading its parts
            page.screenshot(path=FOLDER / f"{name}.png")
            page.close()
        browser.close()


def changes(lab: Lab) -> None:
    """A join that syncs, a removal in line, and a removal that was refused: all photographed while the join runs."""
    cluster = lab.cluster()
    cluster.name = CLUSTER
    (lab.folder / CLUSTER).mkdir()
    cluster.fill(60)
    new = cluster.new_member("etcd-4")
    throttle = Throttle(new.peer_port, 300_000)
    new.peer = throttle.url
    cluster.join(new).start_member()
    leaving, needed = cluster.members[0].name, cluster.members[1].name
    lab.run("status", CLUSTER)
    lab.run("plan", "remove", CLUSTER, leaving)
    lab.run("remove", CLUSTER, needed)
    lab.command("remove", CLUSTER, leaving, "--force")
    join_id, turns = cluster.workflow_id(new), turns_id(CLUSTER)
    eventually(lambda: "under way" in lab.metadata(join_id)["currentDetails"], "a snapshot under way")
    eventually(lambda: "place 1" in lab.metadata(turns)["currentDetails"], "the removal to be in line")
    join, refused = page_of(lab, join_id), page_of(lab, change_id(CLUSTER, "remove", needed))
    photograph(
        ("running-join-timeline", f"{join}/timeline", 960),
        ("running-join-user-metadata", f"{join}/user-metadata", 960),
        ("ui-turns", f"{page_of(lab, turns)}/user-metadata", 640),
        ("ui-failure", f"{refused}/timeline", 960),
        ("ui-refusal", f"{refused}/user-metadata", 900),
    )
    questions = "WorkflowId STARTS_WITH 'memberflow:ask:'"
    eventually(
        lambda: not lab.temporal("workflow", "list", "--query", questions), "the questions to leave the list", 120
    )
    photograph(("ui-list", f"{lab.server.ui}/namespaces/default/workflows", 560))
    throttle.close()


def page_of(lab: Lab, workflow_id: str) -> str:
    """The address of a workflow's page."""
    run_id = lab.describe(workflow_id)["workflowExecutionInfo"]["execution"]["runId"]
    return f"{lab.server.ui}/namespaces/default/workflows/{workflow_id}/{run_id}"


async def record(folder: Path) -> None:
    server = DevServer(folder)
    await register(await server.start(quiet_runtime()))
    lab = Lab(server.folder, find_etcd(cache_dir(), say), server)
    lab.write_clusters_file()
    worker = lab.worker = lab.another_worker()
    try:
        await asyncio.to_thread(eventually, lambda: "worker runs" in worker.log_text(), "the worker", 60)
        await asyncio.to_thread(changes, lab)
        await asyncio.to_thread(lab.clean_up)
    finally:
        await asyncio.to_thread(lab.close)
        await server.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="memberflow-screenshots-") as scratch:
        asyncio.run(record(Path(scratch)))
