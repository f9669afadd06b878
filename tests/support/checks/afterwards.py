"""What must be true after changes, by the members' IDs, by the calls that came by, and by etcd's own counters."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise

from etcdapi.faults import Call
from local.etcd_cluster import LocalMember
from local.metrics import promotes
from support.parts.lab import Cluster


class Before:
    """A cluster as it was: its members by ID, and what etcd had counted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.roles = cluster.roles()
        self._counted = self._promotes()

    def assert_joined(self, *new: LocalMember, gone: str = "") -> None:
        """
        These are voters now, and every other member is what it was, by its ID; but for the one that is `gone`.

        By etcd's own counters each was promoted once, and no promote failed. (A leader that died takes its share
        of those along.)
        """
        cluster = self._cluster
        ids = {cluster.id_of(member) for member in new}
        assert not ids & set(self.roles)
        kept = {member_id: role for member_id, role in self.roles.items() if member_id != gone}
        assert {**kept, **dict.fromkeys(ids, "voter")} == cluster.roles()
        assert self.promoted() == (len(new), 0)

    def assert_unchanged(self) -> None:
        """The same members, by ID and role, and no promote was even tried."""
        assert self.roles == self._cluster.roles()
        assert self.promoted() == (0, 0)

    def promoted(self) -> tuple[int, int]:
        """Successful and failed promotes since then, as etcd counts them."""
        successes, failures = self._promotes()
        return successes - self._counted[0], failures - self._counted[1]

    def _promotes(self) -> tuple[int, int]:
        return promotes(m.client_url for m in self._cluster.members if m.process is not None)


def no_overlap(calls: Iterable[Call]) -> bool:
    """
    Whether these changes were made one after the other.

    No call came before the one ahead of it had ended, and once a call was about another member, none was about
    the earlier one any more. The add of a member is known by its peer URLs until one was answered with its ID.
    """
    made = sorted(calls, key=lambda call: call.at)
    ids = {call.subject: call.member_id for call in made if call.member_id}
    members = [member for member, _ in groupby(ids.get(call.subject, call.subject) for call in made)]
    one_by_one = all(one.ended is not None and one.ended <= other.at for one, other in pairwise(made))
    return one_by_one and len(set(members)) == len(members)
