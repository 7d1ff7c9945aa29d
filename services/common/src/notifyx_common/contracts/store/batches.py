"""Models that the batched calls share.

A batch lists its principals once; an item refers to one by its position ``p``. The answer holds one result an item, in
order: the item's own result, or an :class:`ItemError` in its place. The member ``status`` distinguishes them: every
error has it and no result may have it (a test checks all result types). Stores and gateways of the previous release
understand this tag, and it fits the results that a store has recorded (ADR 0001). With a wrapper around each result, a
store that is upgraded before its gateways would answer what they cannot parse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag

from notifyx_common.contracts.call import Model, Raw
from notifyx_common.errors import NotifyxError


def _tag(item: object) -> str:
    return "error" if isinstance(item, ItemError) or (isinstance(item, dict) and "status" in item) else "result"


R = TypeVar("R", bound=BaseModel)


class ItemError(Model):
    """The error of a rejected item of a batch, in the form of :class:`notifyx_common.errors.NotifyxError`."""

    status: int = Field(ge=400, le=599)
    code: str
    detail: str
    retry_after: float | None = Field(default=None, exclude_if=lambda seconds: seconds is None)

    @classmethod
    def of(cls, error: NotifyxError) -> ItemError:
        """Return ``error`` as the result of an item."""
        return cls(status=error.http_status, code=error.code, detail=error.reason, retry_after=error.retry_after)

    def error(self) -> NotifyxError:
        """Return the error for the item's caller."""
        return NotifyxError.from_problem(self.model_dump())


class BatchResults(Model, Generic[R]):
    """One result, or an :class:`ItemError`, for each item of the batch."""

    results: list[Annotated[Annotated[R, Tag("result")] | Annotated[ItemError, Tag("error")], Discriminator(_tag)]]


def accepts_something(content: bytes) -> bool:
    """Return whether one of the results in ``content`` is no error. Raises :class:`UnexpectedAnswer`."""
    return any("status" not in result for result in Raw[_AnyResults](content).read(_AnyResults).results)


class _AnyResults(Model):
    results: list[dict[str, Any]]


class PlainResults(Model, Generic[R]):
    """:class:`BatchResults` of a batch without an error."""

    results: list[R]


class ResultsReader(Generic[R]):
    """Reads answers with results of ``kind``: mostly without an error, and then without a choice for each result."""

    def __init__(self, kind: type[R]) -> None:
        plain: Any = PlainResults
        mixed: Any = BatchResults
        self._plain: type[PlainResults[R]] = plain[kind]
        self._mixed: type[BatchResults[R]] = mixed[kind]

    def read(self, answer: Raw[BatchResults[R]]) -> Sequence[R | ItemError]:
        """Return the results of ``answer``. Raises :class:`UnexpectedAnswer`."""
        if b'"status"' in answer.content:
            return answer.read(self._mixed).results
        return Raw[PlainResults[R]](answer.content).read(self._plain).results
