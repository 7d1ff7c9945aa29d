"""What paths and query strings say, checked."""

from __future__ import annotations

import re

from quart import request

from notifyx_common.errors import InvalidRequest
from notifyx_store.base.errors import no_topic
from notifyx_store.log.history import LARGEST_SEQ

_NAME = re.compile(r"[a-z0-9._-]{1,128}|user:[A-Za-z0-9:._-]{1,128}")


def topic_name(name: str) -> str:
    """The topic's name of a path. Raises :class:`NotFound` for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise no_topic(name[:128])
    return name


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
