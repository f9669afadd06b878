"""Reads the tables of the clusters file one by one, so that a wrong table stops no other cluster."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from launchers.config import LauncherConfig
from membership.allow import Allow
from membership.etcd import Access
from membership.names import Name, Url, find_address, parse_url
from membership.policy import Policy
from messages.validation import explain
from webhook.config import WebhookTable

#: The keys of a cluster's table that name files.
FILES = ("ca", "cert", "key", "password_file")


def _check_cluster_id(value: str) -> str:
    text = value.lower().removeprefix("0x").lstrip("0")
    if not re.fullmatch(r"[0-9a-f]{1,16}", text):
        raise ValueError(f"{value!r} is not a cluster ID: write it in hex, as `memberflow doctor` shows it")
    return text


def _check_domain(value: str) -> str:
    """A DNS name under which SRV records lie, in lower case and without its final dot."""
    name = value.lower().removesuffix(".")
    address = find_address(f"http://{name}:1")
    if address is None or address.ip:
        raise ValueError(f"{value!r} is not a domain: write it like example.com, without the name of the SRV record")
    return name


ClusterId = Annotated[str, AfterValidator(_check_cluster_id)]
Domain = Annotated[str, AfterValidator(_check_domain)]


class ClusterTable(BaseModel):
    """One `[clusters.NAME]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoints: tuple[Url, ...] = Field((), description="client URLs of voters (the others are discovered)")
    discovery_srv: Domain = Field("", description="instead of `endpoints`: the domain whose SRV records name them")
    ca: Path | None = Field(None, description="the CA that signed the members' certificates, with https endpoints")
    cert: Path | None = Field(None, description="the client certificate, where members ask for one")
    key: Path | None = Field(None, description="its key")
    username: str | None = Field(None, min_length=1, description="a user with etcd's role root, where auth is on")
    password_file: Path | None = Field(None, description="the file with the user's password")
    task_queue: str | None = Field(
        None,
        min_length=1,
        description="the queue of its activities, for workers with --serve (default: the workflow queue)",
    )
    cluster_id: ClusterId = Field("", description="the ID that the cluster must have, in hex (default: any)")
    policy: Policy = Policy()
    allow: Allow = Allow()
    notify: WebhookTable | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.endpoints) == bool(self.discovery_srv):
            raise ValueError("give either endpoints or discovery_srv")
        if self.discovery_srv and self.username and self.ca is None:
            raise ValueError("username with discovery_srv needs a ca: DNS alone would decide who gets the password")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for one, other in (("cert", "key"), ("username", "password_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} go together: give both or neither")
        schemes = {url.split(":")[0] for url in self.endpoints}
        if len(schemes) > 1:
            raise ValueError("endpoints mix http and https: a cluster has one of the two")
        if self.endpoints and (schemes == {"https"}) != (self.ca is not None):
            raise ValueError("ca goes with https endpoints: the CA that signed the members' certificates")
        if self.cert is not None and self.ca is None:
            raise ValueError("cert and key need https endpoints and a ca")
        return self

    def access(self, folder: Path) -> Access:
        """
        The cluster's endpoints, files and user. Relative paths are relative to `folder`.

        With `discovery_srv` the endpoints are empty: DNS has them.
        """
        files = {name: folder / path for name in FILES if (path := getattr(self, name)) is not None}
        return Access(endpoints=self.endpoints, username=self.username, cluster_id=self.cluster_id, **files)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clusters: dict[Name, ClusterTable] = {}
    launchers: dict[Name, LauncherConfig] = {}
    notify: WebhookTable | None = None


@dataclass
class Tables:
    """The tables of a clusters file."""

    #: The names of all clusters in the file, in its order, also those of wrong tables.
    names: tuple[str, ...] = ()
    #: The good tables, by name.
    clusters: dict[str, ClusterTable] = field(default_factory=dict)
    #: The good tables, by name.
    launchers: dict[str, LauncherConfig] = field(default_factory=dict)
    #: The table `[notify]`, None where there is none or it is wrong.
    notify: WebhookTable | None = None
    #: The problem of each wrong table, by its path in the file: `clusters.prod`.
    wrong: dict[str, str] = field(default_factory=dict)


def read_tables(text: str) -> Tables:
    """
    The tables of a clusters file with this text.

    Raises ValueError when the file as a whole cannot be read. An error never quotes a value that may be a secret.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    try:
        empty = {key: {} if isinstance(value, dict) else value for key, value in raw.items() if key != "notify"}
        _File.model_validate(empty)
    except ValidationError as error:
        raise ValueError(explain(error)) from None
    tables = Tables(tuple(raw.get("clusters", {})))
    for kind, read in (("clusters", tables.clusters), ("launchers", tables.launchers)):
        for name, table in raw.get(kind, {}).items():
            _read_table(kind, name, table, read, tables.wrong)
    try:
        tables.notify = _File.model_validate({"notify": raw.get("notify")}).notify
    except ValidationError as error:
        tables.wrong["notify"] = explain(error)
    return tables


def _read_table(kind: str, name: str, table: Any, read: dict[str, Any], wrong: dict[str, str]) -> None:
    try:
        read[name] = getattr(_File.model_validate({kind: {name: table}}), kind)[name]
    except ValidationError as error:
        wrong[f"{kind}.{name}"] = explain(error)


def same_endpoints(clusters: dict[str, ClusterTable]) -> dict[str, str]:
    """
    The clusters that share an endpoint or a domain with an earlier cluster, each with the reason for its refusal.

    Two names for the same etcd cluster would have two lines of turns, and so two changes at once.
    """
    owners: dict[tuple[str, int], str] = {}
    refused: dict[str, str] = {}
    domains: dict[str, str] = {}
    for name, table in clusters.items():
        if table.discovery_srv and (owner := domains.setdefault(table.discovery_srv, name)) != name:
            told = f"{table.discovery_srv} belongs to cluster {owner} as well: list each etcd cluster under one name"
            refused[name] = f"clusters.{name}.discovery_srv: {told}"
        for url in table.endpoints:
            owner = owners.setdefault(parse_url(url).place, name)
            if owner != name:
                refused[name] = (
                    f"clusters.{name}.endpoints: {url} is an endpoint of cluster {owner} as well: "
                    "list each etcd cluster under one name"
                )
    return refused
