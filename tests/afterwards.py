"""What must be true after changes, by the members' IDs, by the calls that came by, and by etcd's own counters."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise

from lab import Cluster

from etcdapi.relay import Call
from local.etcd_cluster import LocalMember
from local.metrics import promotes


class Before:
    """A cluster as it was: its members by ID, and what etcd had counted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.roles = cluster.roles()
        self._counted = self._promotes()

    def only_joined(self, *new: LocalMember) -> bool:
        """
        Whether these are voters now, every other member is what it was, and each was promoted once.

        By etcd's own counters, of which a leader that died took its share along: no promote failed.
        """
        cluster = self._cluster
        after = {**self.roles, **{cluster.id_of(member): "voter" for member in new}}
        assert len(after) == len(self.roles) + len(new)
        assert after == cluster.roles()
        assert self.promoted() == (len(new), 0)
        return True

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
