"""Parses a call's request from path, query and body, by the types of the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.call import BODY, DEFERRED, Call, Raw
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_common.patterns import WORDS
from notifyx_topics.words import reason

Q = TypeVar("Q")


class RequestReader(Generic[Q]):
    """Parser for the requests of one call."""

    def __init__(self, call: Call[Q, Any]) -> None:
        self._kind = call.request
        self._in_parts = dataclasses.is_dataclass(call.request) and get_origin(call.request) is not Raw
        hints = get_type_hints(call.request, include_extras=True) if self._in_parts else {BODY: call.request}
        body = hints.pop(BODY, NoneType)
        kinds = get_args(body)
        self.body_optional = NoneType in kinds
        """Whether the body may be left out: it is ``None`` then."""

        self.body: type[Any] = next(kind for kind in kinds if kind is not NoneType) if self.body_optional else body
        """The type of the body, which the caller reads."""

        self._parts: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(hint, config=DEFERRED) for name, hint in hints.items()
        }

    def read(self, path: Mapping[str, str], query: Mapping[str, str], body: Any) -> Q:
        """Return the request; unknown query parameters are ignored.

        Raises :class:`NotFound` for a part of the path, and :class:`InvalidRequest` for a query parameter, that fails
        validation.
        """
        if not self._in_parts:
            request: Q = body
            return request
        values: dict[str, Any] = {} if self.body is NoneType else {BODY: body}
        for name, adapter in self._parts.items():
            if (text := path.get(name, query.get(name))) is None:
                continue  # the field's default applies
            try:
                values[name] = adapter.validate_strings(text)
            except ValidationError as error:
                if name in path:
                    raise NotFound("There is nothing at this path.") from None
                raise _wrong_parameter(name, error) from None
        return self._kind(**values)


@cache
def request_reader(call: Call[Q, Any]) -> RequestReader[Q]:
    """Return the parser for the requests of ``call``; each call has one in a process."""
    return RequestReader(call)


def _wrong_parameter(name: str, error: ValidationError) -> InvalidRequest:
    wrong = error.errors(include_input=False, include_url=False)[0]
    return InvalidRequest.of_field(name, reason(wrong, WORDS))
