"""What the batched calls have in common.

A batch lists its principals once; an item refers to one by its position ``p``. The answer holds one result an item, in
order: the item's own result, or an :class:`ItemError` in its place. The tag that tells them apart is the member
``status``: every refusal has it and no result may (a test holds all result types to it). It is a tag that stores and
gateways of the release before understand as well, as do the results that a store has recorded (ADR 0001): a wrapper
around each result would make a store that is upgraded before its gateways answer what they take for nonsense.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag

from notifyx_common.errors import NotifyxError


def _tag(item: object) -> str:
    return "error" if isinstance(item, ItemError) or (isinstance(item, dict) and "status" in item) else "result"


R = TypeVar("R", bound=BaseModel)


class ItemError(BaseModel):
    """A refused item of a batch, in the form of :class:`notifyx_common.errors.NotifyxError`."""

    status: int = Field(ge=400, le=599)
    code: str
    detail: str

    @classmethod
    def of(cls, error: NotifyxError) -> ItemError:
        """The refusal that ``error`` is."""
        return cls(status=error.http_status, code=error.code, detail=error.reason)

    def error(self) -> NotifyxError:
        """The error that its caller gets."""
        return NotifyxError.from_problem(self.model_dump())


class BatchResults(BaseModel, Generic[R]):
    """One result, or an :class:`ItemError`, for each item of the batch."""

    results: list[Annotated[Annotated[R, Tag("result")] | Annotated[ItemError, Tag("error")], Discriminator(_tag)]]
