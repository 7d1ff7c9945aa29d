"""The one reader of JSON that comes from outside: REST, WebSocket, long poll and internal routes use it alike.

JSON's own types decide: a string is no number, ``true`` is no integer, a number is no time. One rule goes by the value
instead, as in JSON Schema: a number without a fraction is an integer however it is written (``90.0``, ``1e2``), since
clients on the JVM write every number so. It ends below 2^53: beyond, the number that arrives may not be the one that
was sent.

Pure: nothing here knows what carried the JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, TypeAdapter, ValidationError

from notifyx_common.errors import FieldError, InvalidRequest

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

EXACT_FLOAT_LIMIT = 2**53
"""Floats below this, and above its negative, stand for one integer each."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = TypeAdapter(datetime)


def _time_of_text(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _DATE.match(value):  # pydantic takes a number in text for seconds since 1970
        raise ValueError("this is a time like 2030-01-31T12:00:00Z")
    return _DATETIME.validate_python(value)


TIME_TEXT = BeforeValidator(_time_of_text)
"""Makes a field of time accept text that is a date and a time, also within a validator that sees Python's values."""

Time = Annotated[AwareDatetime, TIME_TEXT]
"""A time with its offset from UTC, as RFC 3339 writes it."""


def parse_json(raw: bytes | str) -> Any:
    """Decode JSON in UTF-8. Raises :class:`InvalidRequest` (``malformed_json``), also for NaN and infinities."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="malformed_json") from None


def parse_model(kind: type[M], value: Any) -> M:
    """Return decoded JSON as a ``kind``. Raises :class:`InvalidRequest`, which lists each wrong field."""
    return _validated(lambda raw: kind.model_validate_json(raw, strict=True), value)


def parse_as(adapter: TypeAdapter[T], value: Any) -> T:
    """Return decoded JSON as the type of ``adapter``. Raises as :func:`parse_model` does."""
    return _validated(lambda raw: adapter.validate_json(raw, strict=True), value)


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Return pydantic's error as ours: one :class:`FieldError` a field, without echoing the input."""
    fields = [
        FieldError(field=".".join(str(part) for part in item["loc"]) or "(body)", reason=item["msg"])
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    summary = "; ".join(f"{field.field}: {field.reason}" for field in fields[:3])
    return InvalidRequest(f"The request is not valid: {summary}.", code="validation_failed", fields=fields)


def _validated(validate: Callable[[bytes], T], value: Any) -> T:
    try:
        # Pydantic is strict by JSON's types only when it reads JSON. And what is accepted has to be encoded again
        # later, which bounds its depth and the size of its integers: find out now.
        raw = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise InvalidRequest("The JSON is nested too deeply.", code="malformed_json") from None
    try:
        return validate(raw)
    except ValidationError as error:
        mended = _with_integers(raw, error)
        if mended is None:
            raise invalid_request(error) from None
    try:
        return validate(mended)
    except ValidationError as error:
        raise invalid_request(error) from None


def _with_integers(raw: bytes, error: ValidationError) -> bytes | None:
    """Return ``raw`` with whole floats as integers where integers are wanted; ``None`` where there are none.

    Only the fields that failed for their type change: free-form data keeps its floats.
    """
    value = orjson.loads(raw)
    found = False
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        if item["type"] != "int_type" or not item["loc"]:
            continue
        *path, last = item["loc"]
        parent = _inner(value, path)
        number = _inner(parent, (last,))
        if isinstance(number, float) and number.is_integer() and -EXACT_FLOAT_LIMIT < number < EXACT_FLOAT_LIMIT:
            parent[last] = int(number)
            found = True
    return orjson.dumps(value) if found else None


def _inner(value: Any, path: Sequence[int | str]) -> Any:
    """Return what stands at ``path``; ``None`` where nothing does."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
