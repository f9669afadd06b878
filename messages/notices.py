"""The message that tells a receiver how a change ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from membership.errors import MemberflowError
from messages.ids import turns_id

NOTIFY_TYPE = "NotifyEnd"


def notice_id(cluster: str, run_id: str) -> str:
    """The workflow ID under which the end of one run of a change is told."""
    return f"{turns_id(cluster)}:notify:{run_id}"


def cluster_of_notice(workflow_id: str) -> str:
    """The cluster in the workflow ID of a notice. Empty for any other ID."""
    parts = workflow_id.split(":")
    is_notice = len(parts) == 4 and workflow_id == notice_id(parts[1], parts[3])
    return parts[1] if is_notice else ""


@dataclass(frozen=True)
class Message:
    """One message to a receiver."""

    #: The same in each attempt, so a receiver knows a message that it has already.
    id: str
    #: Sent as JSON.
    content: dict[str, Any]


@dataclass(frozen=True)
class Notified:
    """A delivered message."""

    #: The ID of the message. Empty: the clusters file has no receiver any more.
    message_id: str = ""
    #: Scheme, host and port of the receiver. The whole URL may be a secret.
    receiver: str = ""


class NotDelivered(MemberflowError):
    """The receiver did not take the message. It is sent again."""

    hint = "`memberflow doctor` checks the [notify] table of the clusters file. The message is sent again for a day"


class NotWanted(NotDelivered):
    """The receiver wants no messages any more (410)."""

    hint = "take [notify] out of the clusters file, or correct its url"


class Receiver(Protocol):
    """The receiver of a cluster's messages, by the worker's clusters file."""

    #: Scheme, host and port.
    origin: str

    def problem(self) -> str:
        """Why it cannot be used, or a risk in its files. Empty: neither. It reads files and sends nothing."""

    def send(self, message: Message) -> None:
        """Blocks until the receiver has taken the message. Raises NotDelivered or InvalidConfiguration."""
