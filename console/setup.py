"""setup: registers the search attributes."""

from __future__ import annotations

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from console.faults import is_no_namespace
from console.output import DONE, FAILED, Leave, print_json, say
from console.temporal import connect
from messages.requests import SEARCH_ATTRIBUTES
from settings import read_settings

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


async def registered(client: Client) -> tuple[list[str], list[str]]:
    """Which of our search attributes are missing, and which exist with another type."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    have = dict(listed.custom_attributes)
    missing = [name for name in SEARCH_ATTRIBUTES if name not in have]
    return missing, [name for name in SEARCH_ATTRIBUTES if have.get(name, KEYWORD) != KEYWORD]


async def register(client: Client) -> list[str]:
    """Registers what is missing, and returns it; the server would ignore a wrong type in silence."""
    missing, _ = await registered(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict.fromkeys(missing, KEYWORD))
        )
    return missing


async def setup(*, json: bool) -> int:
    client = await connect(read_settings())
    try:
        added = await register(client)
        _, wrong = await registered(client)
    except RPCError as error:
        if is_no_namespace(error) or error.status is RPCStatusCode.UNAVAILABLE:
            raise
        raise Leave(FAILED, f"could not register search attributes: {error}", "this needs operator rights") from error
    if json:
        print_json({"registered": added, "wrong_type": wrong, "namespace": client.namespace})
    else:
        say(f"registered in {client.namespace}: {', '.join(added) or 'nothing, all were there'}")
    if wrong:
        raise Leave(
            FAILED,
            f"registered with another type than Keyword: {', '.join(wrong)}",
            "changes work without them; remove and register them anew to see them in the list",
        )
    return DONE
