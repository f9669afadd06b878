"""
Photographs a running join in Temporal's UI, for the README: `make screenshots` (needs chromium on PATH).

Real parts: a member joins a cluster that holds 40 MB while its peer port lets 0.3 MB a second through.
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
from settings import cache_dir, quiet_runtime
from support.faults.throttle import Throttle
from support.parts.lab import Lab, eventually

FOLDER = Path(__file__).parents[2] / "docs"
PAGES = ("timeline", "user-metadata")
WIDTH, HEIGHT = 1500, 960


def photograph(url: str, picture: Path, ready: str) -> None:
    """As soon as the page shows `ready`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.get_by_text(ready).first.wait_for()
        page.wait_for_timeout(3000)  # the page goes on loading its parts
        page.screenshot(path=picture)
        browser.close()


def running_join(lab: Lab) -> None:
    cluster = lab.cluster()
    cluster.name = "prod"
    (lab.folder / "prod").mkdir()
    cluster.fill(40)
    new = cluster.new_member("etcd-4")
    throttle = Throttle(new.peer_port, 300_000)
    new.peer = throttle.url
    join = cluster.join(new)
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: "under way" in lab.metadata(workflow_id)["currentDetails"], "a snapshot under way")
    run_id = lab.describe(workflow_id)["workflowExecutionInfo"]["execution"]["runId"]
    for page in PAGES:
        url = f"{lab.server.ui}/namespaces/default/workflows/{workflow_id}/{run_id}/{page}"
        photograph(url, FOLDER / f"running-join-{page}.png", workflow_id)
    throttle.close()


async def record() -> None:
    server = DevServer(Path(tempfile.mkdtemp(prefix="memberflow-screenshot-")))
    await register(await server.start(quiet_runtime()))
    lab = Lab(server.folder, find_etcd(cache_dir(), say), server)
    lab.write_clusters_file()
    lab.worker = lab.another_worker()
    try:
        await asyncio.to_thread(running_join, lab)
    finally:
        lab.close()
        await server.stop()


if __name__ == "__main__":
    asyncio.run(record())
