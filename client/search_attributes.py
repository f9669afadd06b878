"""The search attributes in Temporal's namespace. Changes work without them. With them, the UI's list shows more."""

from __future__ import annotations

from urllib.parse import quote

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client

from messages.ids import SEARCH_ATTRIBUTES

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


async def registered(client: Client) -> tuple[list[str], list[str]]:
    """Those of our search attributes that are missing, and those that exist with another type."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    have = dict(listed.custom_attributes)
    missing = [name for name in SEARCH_ATTRIBUTES if name not in have]
    return missing, [name for name in SEARCH_ATTRIBUTES if have.get(name, KEYWORD) != KEYWORD]


async def register(client: Client) -> list[str]:
    """Registers the missing attributes and returns their names. The server would silently ignore a wrong type."""
    missing, _ = await registered(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict.fromkeys(missing, KEYWORD))
        )
    return missing


def changes_view(namespace: str) -> str:
    """The path in Temporal's UI of the list of changes alone. A view that is saved there stays in one browser."""
    return f"/namespaces/{quote(namespace)}/workflows?query={quote('EtcdStage IS NOT NULL')}"
