"""
The names of a member's container and volume, the labels that identify them, and the settings of the container.

Names are for people. The labels prove which member a container or volume belongs to. The volume's name contains the
member ID, and an ID is never used again: a new member always gets a new volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker.types import Mount

from launchers.config import LauncherConfig
from messages.launching import Launch

CLUSTER = "io.memberflow.cluster"
CLUSTER_ID = "io.memberflow.cluster-id"
MEMBER = "io.memberflow.member"
MEMBER_ID = "io.memberflow.member-id"
CHANGE = "io.memberflow.change"


def container_name(launch: Launch) -> str:
    return f"memberflow-{launch.cluster}-{launch.name}"


def volume_name(launch: Launch) -> str:
    return f"{container_name(launch)}-{launch.member_id}"


def labels_of(launch: Launch) -> dict[str, str]:
    return {
        CLUSTER: launch.cluster,
        CLUSTER_ID: launch.cluster_id,
        MEMBER: launch.name,
        MEMBER_ID: launch.member_id,
        CHANGE: launch.change,
    }


def belongs_to(labels: Mapping[str, str], launch: Launch) -> bool:
    """Whether these are the labels of this very member. It does not matter which change started it."""
    return is_namesake(labels, launch) and labels.get(MEMBER_ID) == launch.member_id


def is_of_cluster(labels: Mapping[str, str], launch: Launch) -> bool:
    """
    Whether these labels belong to that very etcd cluster, and not only to a cluster of the same name.

    Two installations may share names and an engine, and a rebuilt cluster has the name of the old cluster. The member
    list of one cluster says nothing about the members of the other.
    """
    return (labels.get(CLUSTER), labels.get(CLUSTER_ID)) == (launch.cluster, launch.cluster_id)


def is_namesake(labels: Mapping[str, str], launch: Launch) -> bool:
    """Whether these are the labels of a member of that name in that cluster, now or earlier."""
    return is_of_cluster(labels, launch) and labels.get(MEMBER) == launch.name


def is_gone(labels: Mapping[str, str], launch: Launch) -> bool:
    """Whether these are the labels of an earlier member of that name that the cluster has certainly removed."""
    earlier = labels.get(MEMBER_ID)
    known = bool(earlier and launch.members and launch.cluster_id)
    return is_namesake(labels, launch) and known and earlier not in launch.members


def settings(config: LauncherConfig, launch: Launch) -> dict[str, Any]:
    """The arguments for the SDK's `containers.create`. The values of the handover override all others."""
    environment = {key: launch.fill(text) for key, text in config.environment.items()}
    return {
        "name": container_name(launch),
        "image": config.image,
        "command": [launch.fill(text) for text in (*config.command, *config.flags)],
        "environment": {**environment, "ETCD_DATA_DIR": str(config.data_dir), **launch.environment},
        "labels": labels_of(launch),
        "mounts": [_volume(config, launch), *_read_only(config, launch)],
        "network": config.network,
        "ports": _published(config),
        "restart_policy": {"Name": config.restart},
        # Raft does not go through a proxy that was set up for `docker build`.
        "use_config_proxy": False,
    }


def has_aliases(network: str) -> bool:
    """Whether containers of this network can have further names. Docker's own networks do not allow that."""
    return network not in ("host", "none", "bridge", "default") and not network.startswith("container:")


def _volume(config: LauncherConfig, launch: Launch) -> Mount:
    return Mount(str(config.data_dir), volume_name(launch), labels=labels_of(launch))


def _read_only(config: LauncherConfig, launch: Launch) -> list[Mount]:
    pairs = (launch.fill(mount).split(":") for mount in config.mounts)
    return [Mount(target, source, type="bind", read_only=True) for source, target in pairs]


def _published(config: LauncherConfig) -> dict[str, list[tuple[str, int]]]:
    ports: dict[str, list[tuple[str, int]]] = {}
    for text in config.ports:
        rest, _, inside = text.rpartition(":")
        ip, _, outside = rest.rpartition(":")
        ports.setdefault(f"{inside}/tcp", []).append((ip.strip("[]"), int(outside)))
    return ports
