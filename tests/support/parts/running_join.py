"""A join or replace under way: its command, and the member that is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.etcd_cluster import LocalMember
from support.parts.command import Ended, eventually

if TYPE_CHECKING:
    from support.parts.relayed_cluster import Cluster


class Join:
    """A running `memberflow join --json`, or `replace` of `old`, and the member that is new."""

    def __init__(self, cluster: Cluster, new: LocalMember, *args: str, old: str = "") -> None:
        self.cluster = cluster
        self.new = new
        self.env_file = new.folder.parent / f"{new.name}.env"
        cluster.lab.write_clusters_file()
        self.command = cluster.lab.command(
            *(("replace", cluster.name, old, new.name) if old else ("join", cluster.name, new.name)),
            *("--peer-url", new.peer_url, "--env-file", str(self.env_file), "--json"),
            *args,
        )

    def handover(self, timeout: float = 60) -> dict[str, str]:
        """The ETCD_* values, as soon as the learner is added."""

        def added_or_ended() -> bool:
            return self.env_file.exists() or not self.command.is_running()

        eventually(added_or_ended, "the handover", timeout)
        assert self.env_file.exists(), f"the join ended before the learner was added: {self.command.wait()}"
        return dict(line.split("=", 1) for line in self.env_file.read_text().splitlines())

    def start_member(self) -> None:
        self.new.start(self.handover())

    def wait_quietly(self, timeout: float = 120) -> None:
        """Until it has ended; `wait` then tells how."""
        eventually(lambda: not self.command.is_running(), "the end of the join", timeout)

    def wait(self, timeout: float = 120) -> Ended:
        try:
            return self.command.wait(timeout)
        except AssertionError as late:
            process = self.new.process
            if process:
                late.add_note(f"the new member: exit code {process.exit_code()}, {process.last_lines()}")
            raise
