"""Parses batches; a malformed item is rejected by itself and does not affect the other items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_model

ItemT = TypeVar("ItemT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ReadBatch(Generic[ItemT]):
    """A parsed batch; in the place of a malformed item stands its error."""

    principals: list[Principal]
    items: list[ItemT | ItemError]
    batch_id: str = ""


def read_batch(batch: type[BaseModel], item: type[ItemT], data: Any) -> ReadBatch[ItemT]:
    """Parse ``data`` as a batch of ``item``. Raises :class:`InvalidRequest` where the batch itself is malformed."""
    try:
        whole = parse_model(batch, data)
    except InvalidRequest as error:
        if not _only_items_invalid(error, data):
            raise
        return _parse_items(batch, item, data)
    return _with_principals(whole)


def _only_items_invalid(error: InvalidRequest, data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        return False
    # JSON that is nested too deeply has no field of its own.
    return all(wrong.field.startswith("items.") or wrong.field == "(body)" for wrong in error.fields)


def _parse_items(batch: type[BaseModel], item: type[ItemT], data: dict[str, Any]) -> ReadBatch[ItemT]:
    """Parse each item in a batch of its own, so that its nesting depth counts as in the whole; then the rest."""
    alone = {**data, "principals": []} if "principals" in data else data
    items: list[ItemT | ItemError] = []
    sound: Any = None
    for raw in data["items"]:
        try:
            items += _items(parse_model(batch, {**alone, "items": [raw]}))
            sound = raw
        except InvalidRequest as error:
            items.append(ItemError.of(_item_error(item, raw, error)))
    if sound is None:
        return ReadBatch([], items)
    return _with_principals(parse_model(batch, {**data, "items": [sound]}), items)


def _item_error(item: type[ItemT], raw: Any, error: InvalidRequest) -> InvalidRequest:
    try:
        parse_model(item, raw)
    except InvalidRequest as own:
        return own
    return error


def _items(whole: BaseModel) -> list[Any]:
    items: list[Any] = getattr(whole, "items")  # noqa: B009 - each batch has them, their common base has not
    return items


def _with_principals(whole: BaseModel, items: list[ItemT | ItemError] | None = None) -> ReadBatch[ItemT]:
    """Return the batch with ``items``, by default its own."""
    principals: list[Principal] = getattr(whole, "principals", [])
    if items is None:
        checked = [_with_principal(one, principals) for one in _items(whole)]
    else:
        checked = [one if isinstance(one, ItemError) else _with_principal(one, principals) for one in items]
    return ReadBatch(principals, checked, getattr(whole, "batch_id", ""))


def _with_principal(item: ItemT, principals: list[Principal]) -> ItemT | ItemError:
    position: int = getattr(item, "p", -1)
    if position >= len(principals):
        return ItemError.of(InvalidRequest("'p' is not the position of a principal.", code="validation_failed"))
    return item
