"""Shows a notification's ``data`` to people: as rows of a table, and as a heading where nothing else says what it is.
Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pydantic import JsonValue

from notifyx_mailer.links import is_link

ROWS = 40
"""Maximum number of rows that an email shows; it counts the rest."""

VALUE_CHARS = 1_000
"""Maximum length of a value, in characters."""

NAME_CHARS = 200
"""Maximum length of a name, and of each of those that it stands in."""

_DEEPEST = 2
"""Objects in objects and in lists become rows of their own down to here, and JSON below."""

_HEADING_NAMES = ("title", "subject", "summary", "message", "name", "event", "type", "alertname")
"""Names whose value says what data is about, the best one first."""

_HEADING_VALUES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One value and its name; ``code``: the value is JSON. ``link`` is the whole value if it is a web address."""

    name: str
    value: str
    code: bool = False
    link: str = ""


def rows_of(data: Mapping[str, JsonValue] | None, limit: int = ROWS) -> tuple[list[Row], int]:
    """Return up to ``limit`` rows of ``data``, and how many more there are.

    Rows with a link are preferred, up to half of the limit: senders often put them last.
    """
    rows = list(_rows(data or {}, "", 0))
    if len(rows) <= limit:
        return rows, 0
    linked = set(islice((at for at, row in enumerate(rows) if row.link), limit // 2))
    others = islice((at for at in range(len(rows)) if at not in linked), limit - len(linked))
    return [rows[at] for at in sorted([*linked, *others])], len(rows) - limit


def heading_of(data: Mapping[str, JsonValue] | None) -> str:
    """Return a line that says what ``data`` is about; empty without data."""
    if not data:
        return ""
    for name in _HEADING_NAMES:
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip().partition("\n")[0]
    plain = [
        f"{name}: {_scalar(value)}"
        for name, value in data.items()
        if not isinstance(value, dict | list) and value not in (None, "")
    ]
    return ", ".join(plain[:_HEADING_VALUES]) or f"Data: {', '.join(islice(data, 10))}"


def _rows(data: Mapping[str, JsonValue], within: str, depth: int) -> Iterator[Row]:
    for given, value in data.items():
        name = _short(given, NAME_CHARS)  # it is repeated for each value that stands in it
        if depth < _DEEPEST and (objects := _objects_in(value)):
            for suffix, one in objects:
                yield from _rows(one, f"{within}{name}{suffix}.", depth + 1)
            continue
        if isinstance(value, list) and value and not any(isinstance(one, dict | list) for one in value):
            yield Row(within + name, _short(", ".join(_scalar(one) for one in value)))
        elif isinstance(value, dict | list):
            yield Row(within + name, _short(json.dumps(value, ensure_ascii=False)), code=True)
        else:
            scalar = _scalar(value)
            yield Row(within + name, _short(scalar), link=scalar if is_link(scalar) else "")


def _objects_in(value: JsonValue) -> list[tuple[str, dict[str, JsonValue]]]:
    """Return the object that ``value`` is, or those of which it is a list, each with what follows the name."""
    if isinstance(value, dict):
        return [("", value)] if value else []
    if not isinstance(value, list):
        return []
    objects = [(f" {number}", one) for number, one in enumerate(value, 1) if isinstance(one, dict) and one]
    return objects if len(objects) == len(value) else []


def _scalar(value: JsonValue) -> str:
    if isinstance(value, str):
        return value or "(empty)"
    return json.dumps(value, ensure_ascii=False)


def _short(value: str, limit: int = VALUE_CHARS) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
