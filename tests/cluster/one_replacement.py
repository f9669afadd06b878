"""A replacement under load, and what must be true of every one that went well."""

from __future__ import annotations

from typing import Self

from local.etcd_cluster import LocalMember
from support.checks.puts import Puts
from support.parts.lab import Cluster, ends


class Replacing:
    """
    A replacement under load; `check` says that it went well, and that the same once more changes nothing.

    At the end of `with` its new member is started, where that was not done before, and it has ended.
    """

    def __init__(
        self, cluster: Cluster, old: LocalMember, new: LocalMember, wanted: str = "", *, puts: bool = True
    ) -> None:
        """`puts`: false where the trouble itself takes the quorum away."""
        self._counts = puts
        self._cluster, self._old, self._new = cluster, old, new
        self._before = cluster.roles()
        self.old_id = cluster.id_of(old)
        self._wanted = wanted or old.name
        self._was_alive = old.process.exit_code() is None

    def __enter__(self) -> Self:
        self._puts = Puts(self._cluster, counts=self._counts).__enter__()
        self.replace = self._cluster.replace(self._wanted, self._new)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                if self.replace.new.process is None or self.replace.new.process.exit_code() is not None:
                    self.replace.start_member()
                self.end = self.replace.wait()
        finally:
            self._puts.__exit__()

    def check(self) -> None:
        """One new voter, the survivors as they were, writes went on, the removed process ended in order."""
        cluster, end = self._cluster, self.end
        assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "replaced", True), end
        after, added = cluster.roles(), end.answer["member_id"]
        assert added not in self._before
        assert after == {i: "voter" for i in self._before if i != self.old_id} | {added: "voter"}
        self._puts.check()
        if self._was_alive:
            ends(self._old)
        counts = cluster.counts()
        again = cluster.replace(self._wanted, self._new).wait()
        assert (again.code, again.answer["outcome"]) == (0, "replaced"), again
        assert (after, counts) == (cluster.roles(), cluster.counts())
