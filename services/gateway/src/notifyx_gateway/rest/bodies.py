"""What a request carries, read strictly: encodings, content types, sizes and shapes that are wrong are said so.

Everything here raises a :class:`~notifyx_common.errors.NotifyxError`; nothing lets a wrong byte further in.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError
from quart import request

from notifyx_common.errors import FieldError, InvalidRequest, NotFound, UnsupportedMediaType
from notifyx_common.web import invalid_fields

M = TypeVar("M", bound=BaseModel)

MAX_SEQ = 2**53 - 1
_TOPIC = re.compile(r"(?:\.*[a-z0-9_-][a-z0-9._-]*|user:[A-Za-z0-9:._-]{1,128})\Z")
_NUMBER = re.compile(r"[0-9]{1,16}\Z")


async def read_bytes() -> bytes:
    """The body as it came.

    Raises :class:`UnsupportedMediaType` for a compressed one and for a charset other than UTF-8, and what the
    server raises for one that is too large.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("Send the body uncompressed, without Content-Encoding.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("Send the body in UTF-8.")
    raw = await request.get_data()
    assert isinstance(raw, bytes)  # it was not asked for as text
    return raw


async def read_model(kind: type[M]) -> M:
    """The JSON body as ``kind``.

    Raises :class:`UnsupportedMediaType` and :class:`InvalidRequest`, which lists each wrong field.
    """
    return to_model(kind, await read_json_bytes())


async def read_json_bytes() -> bytes:
    """The body, which says that it is JSON. Raises :class:`UnsupportedMediaType`."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    return await read_bytes()


def parse_json(raw: bytes) -> Any:
    """Decoded JSON. Raises :class:`InvalidRequest` for what is none, not in UTF-8, or nested beyond measure."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="malformed_json") from None


def to_model(kind: type[M], raw: bytes) -> M:
    """JSON as ``kind``, by JSON's own types: a number is not taken for text, nor text for a number."""
    return model_of(kind, parse_json(raw))


def model_of(kind: type[M], data: Any) -> M:
    """Decoded JSON as ``kind``, as :func:`to_model` does it. Raises :class:`InvalidRequest`."""
    try:
        # What passes on has to be encoded again, which bounds its depth; and pydantic's own parser would let NaN
        # and integers of any size in.
        return kind.model_validate_json(orjson.dumps(data), strict=True)
    except orjson.JSONEncodeError:
        raise InvalidRequest("The body is nested too deeply.", code="malformed_json") from None
    except ValidationError as error:
        raise invalid_fields(error) from None


async def read_form() -> dict[str, str]:
    """The fields of a form (RFC 6749 appendix B), each at most once. Raises as :func:`read_model` does."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send the body as application/x-www-form-urlencoded.")
    raw = await read_bytes()
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("A form field is there more than once.")
    return {name: value for name, value in fields.items() if value}


def query(*known: str) -> dict[str, str]:
    """The query's parameters. Raises :class:`InvalidRequest` for an unknown one and for one given twice."""
    values: dict[str, str] = {}
    for name, given in request.args.lists():
        if name not in known:
            raise _wrong(name[:80], "There is no such query parameter here.")
        if len(given) > 1:
            raise _wrong(name, "Give this query parameter once.")
        values[name] = given[0]
    return values


def number(values: dict[str, str], name: str, *, least: int = 0, most: int = MAX_SEQ) -> int | None:
    """A query parameter as a number within bounds. Raises :class:`InvalidRequest`."""
    text = values.get(name)
    if text is None:
        return None
    if not _NUMBER.match(text) or not least <= int(text) <= most:
        raise _wrong(name, f"This is a number from {least} to {most}.")
    return int(text)


def flag(values: dict[str, str], name: str) -> bool:
    """A query parameter as true or false; false when absent. Raises :class:`InvalidRequest`."""
    text = values.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise _wrong(name, "This is true or false.")
    return text in ("true", "1")


def text(values: dict[str, str], name: str, longest: int) -> str | None:
    """A query parameter as visible ASCII text. Raises :class:`InvalidRequest`."""
    value = values.get(name)
    if value is not None and (len(value) > longest or not value.isascii() or not value.isprintable()):
        raise _wrong(name, f"This is up to {longest} visible ASCII characters.")
    return value


def topic_name(name: str, *, inbox_of: str | None = None) -> str:
    """A topic's name from a path; ``user:me`` is the inbox of ``inbox_of``.

    Raises :class:`NotFound` for a name no topic can have: dots alone, which would be another path, included.
    """
    if name == "user:me" and inbox_of is not None:
        return f"user:{inbox_of}"
    if len(name) > 133 or _TOPIC.match(name) is None or (len(name) > 128 and not name.startswith("user:")):
        raise NotFound("No topic can have this name: it is 1 to 128 of a-z, 0-9, dot, underscore and hyphen.")
    return name


def _wrong(name: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request is not valid: {name}: {reason}",
        code="validation_failed",
        fields=[FieldError(field=name, reason=reason)],
    )
