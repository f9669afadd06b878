"""A running `memberflow apply`, whose members start as their handovers come."""

from __future__ import annotations

from pathlib import Path

from local.etcd_cluster import LocalMember
from support.parts.lab import Cluster, Command, eventually


class Apply:
    """A running `memberflow apply`, or `grow`, and the members that it starts."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        members: list[LocalMember],
        *args: str,
        verb: str = "apply",
        env: dict[str, str] | None = None,
    ) -> None:
        self._cluster, self._folder, self._args, self._verb, self._env = cluster, folder, args, verb, env
        self.members = members
        self.file = folder / "members"
        self.file.write_text("# the list\n" + "".join(f"{m.name} {m.peer_url}  # one\n" for m in members))
        cluster.lab.write_clusters_file()
        self.command = self.start()

    @property
    def words(self) -> tuple[str, ...]:
        return (self._verb, self._cluster.name, "--from", str(self.file), "--env-dir", str(self._folder))

    def start(self) -> Command:
        self.command = self._cluster.lab.command(*self.words, "--json", *self._args, env=self._env)
        return self.command

    def path(self, member: LocalMember) -> Path:
        return self._folder / f"{member.name}.env"

    def start_member(self, member: LocalMember) -> None:
        """Starts a member as soon as its handover is there."""
        path = self.path(member)
        eventually(lambda: path.exists() or not self.command.is_running(), f"{path.name}")
        assert path.exists(), self.command.wait()
        member.start(dict(line.split("=", 1) for line in path.read_text().splitlines()))

    def start_members(self) -> None:
        """Each new member in the list's order."""
        for member in self.members:
            if member.process is None:
                self.start_member(member)
