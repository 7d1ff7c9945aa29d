"""Reading a batch so that one malformed item is its own sender's problem and no other's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_model

I = TypeVar("I", bound=BaseModel)  # noqa: E741 - an item's type


@dataclass(frozen=True, slots=True)
class Batch(Generic[I]):
    """A batch as it came: an item, or in its place why it is refused."""

    principals: list[Principal]
    items: list[I | ItemError]
    batch_id: str = ""


def read_batch(batch: type[BaseModel], item: type[I], data: Any) -> Batch[I]:
    """``data`` as a batch of ``item``. Raises :class:`InvalidRequest` for what is wrong with the batch as such."""
    try:
        whole = parse_model(batch, data)
    except InvalidRequest as error:
        if not error.fields or not all(wrong.field.startswith("items.") for wrong in error.fields):
            raise
        return _salvage(batch, item, data)
    principals: list[Principal] = getattr(whole, "principals", [])
    items = [_with_principal(one, principals) for one in whole.items]  # type: ignore[attr-defined]
    return Batch(principals, items, getattr(whole, "batch_id", ""))


def _salvage(batch: type[BaseModel], item: type[I], data: Any) -> Batch[I]:
    items: list[I | ItemError] = []
    sound: list[Any] = []
    for raw in data["items"]:
        try:
            items.append(parse_model(item, raw))
            sound.append(raw)
        except InvalidRequest as error:
            items.append(ItemError.of(error))
    if not sound:
        return Batch([], items)
    rest = parse_model(batch, {**data, "items": sound})
    principals: list[Principal] = getattr(rest, "principals", [])
    return Batch(
        principals,
        [one if isinstance(one, ItemError) else _with_principal(one, principals) for one in items],
        getattr(rest, "batch_id", ""),
    )


def _with_principal(item: I, principals: list[Principal]) -> I | ItemError:
    position: int = getattr(item, "p", -1)
    if position >= len(principals):
        return ItemError.of(InvalidRequest("'p' is not the position of a principal.", code="validation_failed"))
    return item
