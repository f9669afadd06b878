"""Names and URLs, as etcd and Temporal can carry them."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(value: str) -> str:
    """
    A cluster's or member's name, unchanged.

    Raises ValueError for one that could not stand in a workflow ID or in ETCD_INITIAL_CLUSTER.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no valid name; use letters, digits, '.', '_' and '-', first a letter or digit")
    return value


def check_url(value: str) -> str:
    """
    An etcd URL (scheme, host and port), spelled as etcd spells it: a lower-case scheme and nothing behind the port.

    Raises ValueError, with the reason, for a URL that etcd would refuse as peer or client URL.
    """
    expected = "write scheme://host:port, e.g. https://10.0.0.14:2380"
    # An error is logged and kept: what may be a password does not go into it.
    shown = repr(re.sub(r"//.*@", "//…@", value))
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{shown} is no valid URL; {expected}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown} has the scheme {parts.scheme!r}, not http or https; {expected}")
    if re.search(r"\s", value):
        raise ValueError(f"{shown} has white space in it; {expected}")
    if not parts.hostname or port is None:
        raise ValueError(f"{shown} lacks a host or a port; {expected}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{shown} has more than scheme, host and port; {expected}")
    return f"{parts.scheme}://{parts.netloc}"


Name = Annotated[str, AfterValidator(check_name)]
Url = Annotated[str, AfterValidator(check_url)]
