"""Reads bodies and queries of requests: encoding, content type and size. Others validate the content.

Everything here raises a :class:`~notifyx_common.errors.NotifyxError`.
"""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel

from notifyx_common.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from notifyx_common.reading import parse_json, parse_model
from notifyx_common.serving.current import current_request

M = TypeVar("M", bound=BaseModel)

SMALL_BODY = 32 << 10
"""Maximum size of a form or of an account's settings, in bytes; all of them are short."""


async def read_bytes(max_bytes: int | None = None) -> bytes:
    """Return the raw body.

    Raises :class:`UnsupportedMediaType` if it is compressed or in a charset other than UTF-8, :class:`TooLarge` if it
    has more than ``max_bytes`` bytes, and the server's own error if it is too large for any route.
    """
    charset = current_request().mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("Send the body in UTF-8.")
    return await read_raw(max_bytes)


async def read_raw(max_bytes: int | None = None) -> bytes:
    """Return the raw body in any charset. Raises as :func:`read_bytes`, except for the charset."""
    request = current_request()
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("Send the body uncompressed, without Content-Encoding.")
    if max_bytes is not None and (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    raw = await request.get_data()
    assert isinstance(raw, bytes)  # it was not asked for as text
    if max_bytes is not None and len(raw) > max_bytes:  # sent in chunks, without its length
        raise _too_large(max_bytes)
    return raw


async def read_model(kind: type[M], max_bytes: int | None = None) -> M:
    """Return the JSON body as ``kind``.

    Raises :class:`UnsupportedMediaType`, :class:`TooLarge`, and :class:`InvalidRequest` with the first invalid fields.
    """
    return parse_model(kind, parse_json(await read_json_bytes(max_bytes)))


async def read_optional_model(kind: type[M], max_bytes: int) -> M | None:
    """Return the JSON body as ``kind``, and ``None`` for an empty one of any type. Raises as :func:`read_model`."""
    return await read_model(kind, max_bytes) if await read_bytes(max_bytes) else None


async def read_json_bytes(max_bytes: int | None = None) -> bytes:
    """Return the body, whose content type must be JSON. Raises as :func:`read_bytes`."""
    if current_request().mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    return await read_bytes(max_bytes)


async def read_form(*, may_be_empty: str = "") -> dict[str, str]:
    """Return the fields of a form (RFC 6749 appendix B), each at most once. Raises as :func:`read_model` does.

    An empty field counts as absent (RFC 6749 3.2), except the one of the name ``may_be_empty``.
    """
    if current_request().mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send the body as application/x-www-form-urlencoded.")
    raw = await read_bytes(SMALL_BODY)
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("A form field is there more than once.")
    return {name: value for name, value in fields.items() if value or name == may_be_empty}


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {max_bytes >> 10} KiB that this path accepts.")


def query(*known: str) -> dict[str, str]:
    """Return the query's parameters. Raises :class:`InvalidRequest` if one is unknown or given twice."""
    values: dict[str, str] = {}
    for name, given in current_request().args.lists():
        if name not in known:
            raise InvalidRequest.of_field(name[:80], "There is no such query parameter here.")
        if len(given) > 1:
            raise InvalidRequest.of_field(name, "Give this query parameter once.")
        values[name] = given[0]
    return values
