"""`[notify]` of the clusters file: who hears how changes ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from membership.duration import Duration, parse_duration
from membership.names import find_address

_EXPECTED = "write it like https://hooks.example/memberflow"


def _check_url(value: str) -> str:
    """The URL, unchanged. No error quotes it: a path is often a secret itself."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a valid URL: {_EXPECTED}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"lacks http:// or https://, or a host: {_EXPECTED}")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"has characters that no URL has: {_EXPECTED}")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("has a user, a password or a fragment: the receiver knows the sender by the signature")
    if port == 0:
        raise ValueError("has the port 0, where nothing can be reached")
    return value


class WebhookTable(BaseModel):
    """`[notify]`, or `[clusters.NAME.notify]` for one cluster. The workers of the workflow queue read it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_check_url)] = Field(description="where each outcome is posted")
    secret_file: Path = Field(
        description="the file with the secret that signs: `whsec_` and 24 to 64 bytes in base64. Each line signs, so "
        "the next secret can be added before the old one goes"
    )
    ca: Path | None = Field(None, description="the CA of the receiver's certificate (default: the system's CAs)")
    timeout: Duration = Field(
        parse_duration("10s"), le=parse_duration("1m"), description="longest silence of the receiver in one attempt"
    )
    allow_http: bool = Field(default=False, description="send over http to another machine, readable on its way")

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if self.url.startswith("https:"):
            return self
        if self.ca is not None:
            raise ValueError("ca goes with an https url")
        parts = urlsplit(self.url)
        address = find_address(f"http://{parts.netloc if parts.port else f'{parts.netloc}:80'}")
        if not self.allow_http and not (address and address.is_loopback):
            raise ValueError("url has no https: use https, or write allow_http = true")
        return self

    @property
    def origin(self) -> str:
        """Scheme, host and port of the URL. The rest may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def relative_to(self, folder: Path) -> WebhookTable:
        """The same table. Its relative file names are relative to `folder`."""
        files = {"secret_file": folder / self.secret_file, "ca": folder / self.ca if self.ca else None}
        return self.model_copy(update=files)
