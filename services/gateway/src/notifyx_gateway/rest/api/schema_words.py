"""JSON Schemas in words, for the readable description. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Words of a type; ``link`` is the name of a model that they name."""

    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a model."""

    name: str
    parts: Sequence[Part]
    required: bool
    default: str
    description: str


def fields(schema: Schema) -> list[Field]:
    """Return the fields of an object's schema; of any other schema none."""
    required = schema.get("required", ())
    return [
        Field(name, parts(one), name in required, _default(one), one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def parts(schema: Schema) -> list[Part]:
    """Return what a schema accepts, in words."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            found = [Part(name, name)]
        case {"anyOf": options} | {"oneOf": options}:
            found = _either(options)
        case {"const": value}:
            found = [Part(json.dumps(value))]
        case {"enum": values}:
            found = [Part(" or ".join(json.dumps(one) for one in values))]
        case {"type": "array"}:
            count = _between(schema, "minItems", "maxItems")
            found = [Part(f"list of {count} " if count else "list of "), *parts(schema.get("items", {}))]
        case {"type": "object", "additionalProperties": {"type": _} | {"$ref": _} as values}:
            found = [Part("object of "), *parts(values)]
        case {"type": "string"}:
            found = [Part(_text(schema))]
        case {"type": "integer" | "number" as kind}:
            found = [Part(f"{kind} {_between(schema, 'minimum', 'maximum')}".rstrip())]
        case _:
            words = {"boolean": "true or false", "null": "null", "object": "object"}
            found = [Part(words.get(schema.get("type", ""), "any value"))]
    return found


def _either(options: Sequence[Schema]) -> list[Part]:
    found: list[Part] = []
    for option in options:
        found += [*([Part(" or ")] if found else []), *parts(option)]
    return found


def _text(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "time (RFC 3339)"
    lengths = _between(schema, "minLength", "maxLength")
    return f"text of {lengths} characters" if lengths else "text"


def _between(schema: Schema, minimum: str, maximum: str) -> str:
    low, high = schema.get(minimum), schema.get(maximum)
    if low is not None and high is not None:
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if high is not None:
        return f"up to {high:,}"
    return f"at least {low:,}" if low else ""


def _default(schema: Schema) -> str:
    return json.dumps(schema["default"]) if schema.get("default") not in (None, "", [], {}) else ""
