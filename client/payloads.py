"""How values become payloads, and payloads values."""

from __future__ import annotations

from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)

_JSON = PydanticJSONPlainPayloadConverter()


class SharedConverter(CompositePayloadConverter):
    """
    The SDK's converter for Pydantic, with one cache of type adapters for all workflows of this process.

    The SDK makes a converter for each workflow. With a cache of its own, each change would make every adapter anew, at
    2 ms and 50 kB each (docs/benchmarks.md).
    """

    def __init__(self) -> None:
        super().__init__(
            *(_shared(converter) for converter in DefaultPayloadConverter.default_encoding_payload_converters)
        )


def _shared(converter: EncodingPayloadConverter) -> EncodingPayloadConverter:
    return _JSON if isinstance(converter, JSONPlainPayloadConverter) else converter
