"""The changes that callers may ask of a cluster: `[clusters.NAME.allow]` of the workers' clusters file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from membership.checks import Check
from membership.failures import Failure
from membership.names import Address, Name, find_address, parse_url
from membership.verdicts import Refuse

_PATTERN = re.compile(r"(https?)://(\[[0-9A-Fa-f:./]+\]|[^\[\]/:]+(?:/\d+)?):(\d+|\*)")
_EXPECTED = "write it like https://10.0.0.0/24:2380, https://[fd00::]/64:2380 or https://*.etcd.example:2380"

HINT = "the operator of the workers decides this, with [clusters.NAME.allow] in their clusters file"


@dataclass(frozen=True)
class UrlPattern:
    """A pattern of peer URLs."""

    scheme: str
    #: A DNS name, which may begin with `*.`, or a network.
    host: str | IPv4Network | IPv6Network
    #: 0 is any port.
    port: int

    def fits(self, address: Address) -> bool:
        """Whether the pattern covers the address. A DNS name is never looked up, so it is in no network."""
        if self.scheme != address.scheme or self.port not in (0, address.port):
            return False
        if not isinstance(self.host, str):
            return address.ip is not None and address.ip in self.host
        if self.host.startswith("*."):
            # One label, as in a certificate.
            return address.host.partition(".")[2] == self.host[2:] and address.ip is None
        return address.host == self.host


@lru_cache
def parse_pattern(text: str) -> UrlPattern:
    """
    The pattern that `text` spells.

    Raises ValueError, with examples, for anything else.
    """
    # The mask of an IPv6 network may stand behind its bracket or in it.
    found = _PATTERN.fullmatch(re.sub(r"\](/\d+):", r"\1]:", text))
    if found is None:
        raise ValueError(f"{text!r} is not a pattern of peer URLs: {_EXPECTED}")
    scheme, host, port = found[1], found[2].strip("[]").lower(), 0 if found[3] == "*" else int(found[3])
    try:
        # Port and host are judged as in a URL, without the mask of a network and without `*.`.
        address = re.sub(r"/\d+", "", found[2]).removeprefix("*.")
        told = parse_url(f"{scheme}://{address}:{'1' if found[3] == '*' else found[3]}")
        if "/" in host:
            return UrlPattern(scheme, ip_network(host), port)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a pattern of peer URLs ({error}): {_EXPECTED}") from None
    if told.ip is not None and host.startswith("*."):
        raise ValueError(f"{text!r} is not a pattern of peer URLs (`*.` goes before a DNS name): {_EXPECTED}")
    if told.ip is not None:
        return UrlPattern(scheme, ip_network(told.host), port)
    return UrlPattern(scheme, host, port)


def _checked(text: str) -> str:
    parse_pattern(text)
    return text


Pattern = Annotated[str, AfterValidator(_checked)]


@dataclass(frozen=True)
class Asked:
    """The parts of a request that a cluster's operator may allow or not."""

    verb: str
    #: The peer URLs of the new member. Empty for a removal.
    peer_urls: tuple[str, ...] = ()
    force: bool = False
    preempt: bool = False
    #: The launcher of the new member. Empty: none starts it.
    launcher: str = ""


class Allow(BaseModel):
    """The changes that callers may ask of a cluster. A key that is not given allows everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    peer_urls: tuple[Pattern, ...] | None = Field(None, description="patterns of the peer URLs of new members")
    verbs: tuple[Literal["join", "remove", "replace"], ...] | None = Field(None, description="kinds of changes")
    force: bool = Field(default=True, description="whether callers may use --force")
    preempt: bool = Field(default=True, description="whether callers may use --preempt")
    launchers: tuple[Name, ...] | None = Field(None, description="launchers that callers may use")
    max_waiting: int | None = Field(
        None, ge=1, description="how many changes may wait in line (more are refused at once)"
    )

    def has_room(self, waiting: int) -> bool:
        """Whether one more change may wait in line, where so many wait already."""
        return self.max_waiting is None or waiting < self.max_waiting

    def objection(self, asked: Asked) -> Refuse | None:
        """Why this request is not allowed, None when it is."""
        if self.verbs is not None and asked.verb not in self.verbs:
            return _refuse(f"a {asked.verb} of a member", f"verbs are {_list(self.verbs)}")
        if asked.force and not self.force:
            return _refuse("--force", "force is false")
        if asked.preempt and not self.preempt:
            return _refuse("--preempt", "preempt is false")
        if asked.launcher and self.launchers is not None and asked.launcher not in self.launchers:
            return _refuse(f"launcher {asked.launcher}", f"launchers are {_list(self.launchers)}")
        for url in asked.peer_urls:
            if self.peer_urls is not None and not self._fits(url):
                return _refuse(f"peer URL {url}", f"peer_urls are {_list(self.peer_urls)}")
        return None

    def fits(self, urls: Iterable[str]) -> bool:
        """Whether new members may have these peer URLs. Only then may a worker send requests there."""
        return self.peer_urls is None or all(map(self._fits, urls))

    def _fits(self, url: str) -> bool:
        address = find_address(url)
        return address is not None and any(parse_pattern(p).fits(address) for p in self.peer_urls or ())


def check_allowed(allow: Allow, asked: Asked) -> tuple[Check, ...]:
    """A check for the preflight of a change, none where everything is allowed."""
    if refused := allow.objection(asked):
        return (Check("allowed", "refuse", refused.reason, refused.hint, refused.error),)
    if allow == Allow():
        return ()
    return (Check("allowed", "ok", "the workers' clusters file allows it"),)


def check_line(allow: Allow, waiting: int) -> tuple[Check, ...]:
    """A check of how many changes wait already, none where any number may wait."""
    if allow.max_waiting is None:
        return ()
    evidence = f"{waiting} changes wait for their turn, and max_waiting is {allow.max_waiting}"
    if allow.has_room(waiting):
        return (Check("line", "ok", evidence),)
    return (
        Check(
            "line",
            "refuse",
            f"the line is full: {evidence}",
            "ask again when fewer wait: `memberflow status` shows the line",
            Failure.LINE_FULL,
        ),
    )


def _refuse(what: str, why: str) -> Refuse:
    return Refuse(Failure.NOT_ALLOWED, f"{what} is not allowed for this cluster: {why}", HINT)


def _list(values: tuple[str, ...]) -> str:
    return ", ".join(values) or "(none)"
