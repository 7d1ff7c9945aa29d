"""What paths and query strings say, checked."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from quart import request

from notifyx_common.errors import InvalidRequest
from notifyx_store.base.errors import no_topic
from notifyx_store.log.history import LARGEST_SEQ
from notifyx_topics.names import AnyTopicName

_NAME: TypeAdapter[str] = TypeAdapter(AnyTopicName)


def topic_name(name: str) -> str:
    """The topic's name of a path. Raises :class:`NotFound` for what cannot be one."""
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise no_topic(name[:128]) from None


def number(name: str, *, least: int, most: int) -> int | None:
    """A whole number of the query string, if given. Raises :class:`InvalidRequest`."""
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise InvalidRequest(f"'{name}' is a whole number from {least} to {most}.", code="validation_failed")
    return int(text)


def seq(name: str) -> int | None:
    """A seq of the query string, if given. Raises :class:`InvalidRequest`."""
    return number(name, least=0, most=LARGEST_SEQ - 1)


def limit(default: int, most: int) -> int:
    """The page's length. Raises :class:`InvalidRequest`."""
    given = number("limit", least=1, most=most)
    return given if given is not None else default


def text(name: str) -> str:
    """A text of the query string, empty when not given. Raises :class:`InvalidRequest`."""
    given = request.args.get(name, "")
    if len(given) > 320 or "\x00" in given:
        raise InvalidRequest(f"'{name}' is too long, or holds a NUL character.", code="validation_failed")
    return given
