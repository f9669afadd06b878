"""The error of a process that lacks the key of a payload."""

from __future__ import annotations

from membership.errors import MemberflowError


class MissingKey(MemberflowError):
    """A payload is encrypted with a key that this process does not have. The text names the key."""

    hint = "give this process the file of that key in MEMBERFLOW_PAYLOAD_KEYS (docs/security.md)"
