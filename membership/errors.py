"""
The errors that memberflow names. Two kinds have files of their own: `etcd_errors.py` and `messages/launching.py`.

    MemberflowError                     has a hint for the operator
    ├── EtcdError                       an RPC to etcd failed, see `etcd_errors.py`
    ├── WrongCluster                    the answer came from another cluster
    ├── WrongMember                     the answer came from another member
    ├── Contradicted                    the other voters refute the answer
    ├── ClusterUnreachable              no voter answered a linearizable read
    └── InvalidConfiguration            of the worker
        └── UnknownCluster, UnknownLauncher
"""

from __future__ import annotations


class MemberflowError(Exception):
    """An error that memberflow has a name and a hint for."""

    hint = ""

    @property
    def name(self) -> str:
        """The name under which it appears as a Temporal failure type."""
        return type(self).__name__


# ---- the answer is no evidence ----


class WrongCluster(MemberflowError):
    """An endpoint belongs to another cluster."""

    hint = "every endpoint of a cluster in the clusters file must belong to the same etcd cluster"


class WrongMember(MemberflowError):
    """A client URL is answered by another member than its advertiser."""

    hint = "give the member its own --advertise-client-urls (etcd's default is http://localhost:2379)"


class Contradicted(MemberflowError):
    """A member claims a raft term that the other voters refute."""


class ClusterUnreachable(MemberflowError):
    """No voter answered a linearizable read."""

    hint = "check the endpoints in the clusters file and that the cluster has quorum"


# ---- configuration ----


class InvalidConfiguration(MemberflowError):
    """The clusters file, or a file that it names, is missing or wrong. The text names file and key."""


class UnknownCluster(InvalidConfiguration):
    """The worker's clusters file has no such cluster."""


class UnknownLauncher(InvalidConfiguration):
    """The worker's clusters file has no such launcher."""
