"""Parses parameters of a path or a query: numbers, flags, texts and names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.store.search import MAX_SEARCH
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_topics.names import AnyTopicName, inbox_topic

MAX_SEQ = 2**53 - 1
MAX_PAGE = 200
DEFAULT_PAGE = 50
_NUMBER = re.compile(r"[0-9]{1,16}\Z")
_TOPIC: TypeAdapter[str] = TypeAdapter(AnyTopicName)


def query_number(values: Mapping[str, str], name: str, *, minimum: int = 0, maximum: int = MAX_SEQ) -> int | None:
    """Return a query parameter as a number within bounds. Raises :class:`InvalidRequest`."""
    text = values.get(name)
    if text is None:
        return None
    if not _NUMBER.match(text) or not minimum <= int(text) <= maximum:
        raise InvalidRequest.of_field(name, f"This is a number from {minimum} to {maximum}.")
    return int(text)


def query_limit(values: Mapping[str, str], default: int = DEFAULT_PAGE) -> int:
    """Return the most items of a page, as ``limit`` asks for them. Raises :class:`InvalidRequest`."""
    return query_number(values, "limit", minimum=1, maximum=MAX_PAGE) or default


def query_flag(values: Mapping[str, str], name: str) -> bool:
    """Return a query parameter as a boolean; false if absent. Raises :class:`InvalidRequest`."""
    text = values.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise InvalidRequest.of_field(name, "This is true or false.")
    return text in ("true", "1")


def query_text(values: Mapping[str, str], name: str, max_length: int) -> str | None:
    """Return a query parameter as visible ASCII text. Raises :class:`InvalidRequest`."""
    value = values.get(name)
    if value is not None and (len(value) > max_length or not value.isascii() or not value.isprintable()):
        raise InvalidRequest.of_field(name, f"This is up to {max_length} visible ASCII characters.")
    return value


def search_text(value: str) -> str:
    """Return what is searched for. Raises :class:`InvalidRequest`."""
    if not 0 < len(value) <= MAX_SEARCH or not all(char.isprintable() or char.isspace() for char in value):
        raise InvalidRequest.of_field("q", f"A search has 1 to {MAX_SEARCH} printable characters.")
    return value


def topic_name(name: str, *, inbox_of: str | None = None) -> str:
    """Return the topic's name in a path; ``user:me`` is the inbox topic of ``inbox_of``.

    Raises :class:`NotFound` for a name that no topic can have, also for dots alone, which would be another path.
    """
    if name == "user:me" and inbox_of is not None:
        return inbox_topic(inbox_of)
    try:
        return _TOPIC.validate_python(name)
    except ValidationError:
        raise NotFound("No topic can have this name: it is 1 to 128 of a-z, 0-9, dot, underscore and hyphen.") from None
