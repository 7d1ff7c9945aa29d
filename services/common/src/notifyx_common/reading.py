"""The only reader of JSON from outside: REST, WebSocket, long poll and internal routes all use it. Pure.

Values are validated by their JSON type: a string is not a number, ``true`` is not an integer, a number is not a time.
There is one exception, as in JSON Schema: a number without a fraction is an integer in any notation (``90.0``,
``1e2``), because clients on the JVM write all numbers that way. It applies below 2^53: above, the parsed number may
differ from the one that was sent.

Integers of more than 64 bits are refused where a value becomes a model: others would read another number.

What a wrong value costs is bounded: a refusal lists few fields, and where very many are wrong it names none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from notifyx_common.errors import FieldError, InvalidRequest
from notifyx_common.patterns import WORDS
from notifyx_topics.words import reason

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

EXACT_FLOAT_LIMIT = 2**53
"""Floats between this and its negative represent exactly one integer each."""

MAX_LISTED = 20
"""Wrong fields that a refusal lists, and unknown ones with which an object is still read."""

MAX_NAME = 200
"""Characters of a name that a refusal repeats."""

MAX_STEPS = 20
"""Steps of the way to a field that a refusal repeats."""

MAX_WRONG = 2000
"""Wrong values up to which a refusal says which: a batch of whole floats has as many, and each costs microseconds."""

_DIGITS = bytes(ord("0") if octet in b"0123456789" else ord(" ") for octet in range(256))
_LONG_DIGITS = b"0" * 19
"""Shorter integers fit into 64 bits."""

_MAX_RUNS, _BYTES_OF_A_RUN = 16, 128
"""Runs of so many digits that are looked at, and one more for each so many bytes: more of them cost more than the
other parser does."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = TypeAdapter(datetime)


def _in_utc(at: datetime) -> datetime:
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is not one of the years 1 to 9999 in UTC") from None
    return at


def _time_of_text(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _DATE.match(value):  # pydantic reads a number in text as seconds since 1970
        raise ValueError("this is a time like 2030-01-31T12:00:00Z")
    return _in_utc(_DATETIME.validate_python(value))


TIME_TEXT = BeforeValidator(_time_of_text)
"""Makes a time field accept only text with a date and a time, also where the input is Python values, not JSON."""

Time = Annotated[AwareDatetime, TIME_TEXT]
"""A time with its offset from UTC, as RFC 3339 writes it."""


def parse_json(raw: bytes | str, name: str = "body") -> Any:
    """Decode JSON in UTF-8. Raises :class:`InvalidRequest` (``malformed_json``), also for NaN and infinities.

    ``name`` is what an error calls the JSON.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = _not_utf8(raw, name) or f"The {name} is not valid JSON: {error}."
        raise InvalidRequest(reason, code="malformed_json") from None
    octets = raw.encode() if isinstance(raw, str) else raw
    return _with_exact_integers(octets) if _may_have_long_integers(octets) else value


def _not_utf8(raw: bytes | str, name: str) -> str:
    """Return a sentence about what in ``raw`` is no UTF-8; empty where all of it is."""
    try:
        raw.encode() if isinstance(raw, str) else raw.decode()
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else 0
        unit = "character" if isinstance(raw, str) else "byte"
        return f"The {name} is not in UTF-8, as JSON has to be: {unit} {start + 1} is none of it."
    return ""


def _may_have_long_integers(raw: bytes) -> bool:
    """Return whether JSON may have integers of more than 64 bits. It may where it has, and almost never otherwise."""
    # Done for every message: two passes in C. A number begins the JSON, or follows one of these; most texts do not.
    digits = raw.translate(_DIGITS)
    at = digits.find(_LONG_DIGITS)
    for _ in range(_MAX_RUNS + len(raw) // _BYTES_OF_A_RUN):
        if at < 0:
            return False
        before = raw[at - 2 : at - 1] if raw[at - 1 : at] == b"-" else raw[at - 1 : at]
        if before in (b"", b":", b",", b"[", b" ", b"\n", b"\t", b"\r"):
            return True
        end = digits.find(b" ", at)
        at = digits.find(_LONG_DIGITS, end) if end >= 0 else -1
    return True


def _with_exact_integers(raw: bytes) -> Any:
    """Decode JSON that the other parser has accepted; that one makes floats of integers of more than 64 bits."""
    try:
        return json.loads(raw)
    except (RecursionError, ValueError):  # Python limits the digits of an integer in text
        raise InvalidRequest(
            "The JSON is nested too deeply, or holds an endless number.", code="malformed_json"
        ) from None


def parse_model(kind: type[M], value: Any) -> M:
    """Return decoded JSON as a ``kind``. Raises :class:`InvalidRequest`, which lists the first wrong fields."""
    if isinstance(value, dict) and len(value) > len(kind.model_fields) + MAX_LISTED:
        _reject_unknown(kind, value)
    return _validated(lambda raw: kind.model_validate_json(raw, strict=True), value)


def parse_as(adapter: TypeAdapter[T], value: Any) -> T:
    """Return decoded JSON as the type of ``adapter``. Raises as :func:`parse_model` does."""
    return _validated(lambda raw: adapter.validate_json(raw, strict=True), value)


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Return pydantic's error as an :class:`InvalidRequest`, without the input."""
    return _rejection(_wrong(error))


def _reject_unknown(kind: type[BaseModel], value: dict[str, Any]) -> None:
    """Raise :class:`InvalidRequest` if ``kind`` takes no fields beyond its own; ``value`` has many of them."""
    if kind.model_config.get("extra") != "forbid":
        return
    known = kind.model_fields.keys() | {field.alias for field in kind.model_fields.values()}
    first = [name[:MAX_NAME] for name in islice((name for name in value if name not in known), 3)]
    raise InvalidRequest(
        f"The request is not valid: it has too many unknown fields: {', '.join(first)} and others.",
        code="validation_failed",
        fields=[FieldError(field=name, reason="There is no such field.") for name in first],
    )


def _wrong(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong, without the input. Raises :class:`InvalidRequest` if that is too much to say."""
    if error.error_count() > MAX_WRONG:
        raise _invalid([FieldError(field="(body)", reason=f"{error.error_count()} values are wrong.")])
    return error.errors(include_input=False, include_url=False)


def _rejection(wrong: Sequence[ErrorDetails]) -> InvalidRequest:
    return _invalid([FieldError(field=_field(item["loc"]), reason=reason(item, WORDS)) for item in wrong[:MAX_LISTED]])


def _field(path: Sequence[int | str]) -> str:
    """Return a place in a body as a refusal names it, in bounded length."""
    return ".".join(str(step)[:MAX_NAME] for step in path[:MAX_STEPS]) or "(body)"


def _invalid(fields: list[FieldError]) -> InvalidRequest:
    summary = "; ".join(f"{field.field}: {field.reason}" for field in fields[:3]).removesuffix(".")
    return InvalidRequest(f"The request is not valid: {summary}.", code="validation_failed", fields=fields)


def _validated(validate: Callable[[bytes], T], value: Any) -> T:
    try:
        # Pydantic checks JSON types strictly only when it reads JSON. The value has to be encoded later anyway, which
        # limits its depth and its integers: this finds out now.
        raw = orjson.dumps(value)
    except orjson.JSONEncodeError:
        if (field := _field_of_long_integer(value)) is not None:
            raise InvalidRequest.of_field(field, "The integer does not fit into 64 bits; send it as text.") from None
        raise InvalidRequest("The JSON is nested too deeply.", code="malformed_json") from None
    try:
        return validate(raw)
    except ValidationError as error:
        wrong = _wrong(error)
    corrected = _with_integers(raw, wrong)
    if corrected is None:
        raise _rejection(wrong)
    try:
        return validate(corrected)
    except ValidationError as error:
        raise invalid_request(error) from None


def _field_of_long_integer(value: Any) -> str | None:
    """Return where in ``value`` an integer of more than 64 bits stands; ``None`` if nowhere."""
    # A name may be as long as the body and have as many values in it: the path is written for the one that is told.
    inside: list[Iterator[tuple[int | str, Any]]] = [iter([("", value)])]
    path: list[int | str] = []
    while inside:
        del path[len(inside) - 1 :]
        for step, inner in inside[-1]:
            if isinstance(inner, int) and not -(2**63) <= inner < 2**64:
                return _field([*path, step][1:])
            if isinstance(inner, dict | list):
                path.append(step)
                inside.append(iter(inner.items() if isinstance(inner, dict) else enumerate(inner)))
                break
        else:
            inside.pop()
    return None


def _with_integers(raw: bytes, wrong: Sequence[ErrorDetails]) -> bytes | None:
    """Return ``raw`` with whole floats replaced by integers where integers are required; ``None`` if nothing changed.

    Only the fields that failed for their type change: free-form data keeps its floats.
    """
    numbers = [item for item in wrong if item["type"] == "int_type" and item["loc"]]
    if not numbers:
        return None
    value = orjson.loads(raw)
    changed = False
    for item in numbers:
        *path, last = item["loc"]
        parent = _inner(value, path)
        number = _inner(parent, (last,))
        if isinstance(number, float) and number.is_integer() and -EXACT_FLOAT_LIMIT < number < EXACT_FLOAT_LIMIT:
            parent[last] = int(number)
            changed = True
    return orjson.dumps(value) if changed else None


def _inner(value: Any, path: Sequence[int | str]) -> Any:
    """Return the value at ``path``; ``None`` if there is none."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
