"""Reads who a message is for where its JSON is not valid, so that the client gets an answer to its ref. Pure.

What makes a message invalid is nearly always in its payload: half of a surrogate pair, where JavaScript has cut a text
within an emoji, or a number that nothing can hold. The payload is skipped here, by its brackets and strings alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

MAX_STEPS = 4096
"""Runs of brackets that are followed through a payload: few milliseconds."""

_SPACE = rb"[ \t\r\n]*+"
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SIMPLE = rb"(" + _TEXT + rb"|-?[0-9][0-9.eE+-]*+|null)"

_ARRAY = re.compile(_SPACE + rb"\[" + 4 * (_SPACE + _SIMPLE + _SPACE + rb","), re.DOTALL)
_OPENING = re.compile(_SPACE + rb"\{")
_NAME = re.compile(_SPACE + rb"(" + _TEXT + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_VALUE = re.compile(_TEXT + rb'|[^",\[\]{}]++', re.DOTALL)
_BRACKETS = re.compile(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+([\[{]++|[\]}]++)", re.DOTALL)
_AFTER_VALUE = re.compile(_SPACE + rb"(?:(,)|\}" + _SPACE + rb"\Z)")

_MEMBERS = {b'"%b"' % name.encode(): name for name in ("join_ref", "ref", "topic", "event")}


def of_array(data: bytes) -> list[Any] | None:
    """Return ``[join_ref, ref, topic, event]`` of a message of serializer 2.0.0; ``None`` if they cannot be read."""
    found = _ARRAY.match(data)
    return None if found is None else _values(found.groups())


def of_object(data: bytes) -> list[Any] | None:
    """Return the same of a message of serializer 1.0.0, whose members have any order; an absent one is ``None``."""
    found = _OPENING.match(data)
    members: dict[str, bytes] = {}
    for _ in range(MAX_STEPS):
        name = None if found is None else _NAME.match(data, found.end())
        if name is None:
            return None
        end = _end_of_value(data, name.end())
        if (member := _MEMBERS.get(name[1])) is not None:
            members[member] = data[name.end() : end]
        found = _AFTER_VALUE.match(data, end) if end > 0 else None
        if found is not None and found[1] is None:
            return _values([members.get(member, b"null") for member in _MEMBERS.values()])
    return None


def _end_of_value(data: bytes, at: int) -> int:
    """Return where the value at ``at`` ends; -1 if that cannot be said."""
    if data[at : at + 1] not in (b"[", b"{"):
        found = _VALUE.match(data, at)
        return -1 if found is None else found.end()
    depth = 0
    for _ in range(MAX_STEPS):
        found = _BRACKETS.match(data, at)
        if found is None:
            return -1
        run, at = found[1], found.end()
        if run[:1] in b"[{":
            depth += len(run)
        elif len(run) >= depth:
            return at - (len(run) - depth)
        else:
            depth -= len(run)
    return -1


def _values(texts: Iterable[bytes]) -> list[Any] | None:
    try:
        values: list[Any] = orjson.loads(b"[%b]" % b",".join(texts))
    except orjson.JSONDecodeError:
        return None
    return values
