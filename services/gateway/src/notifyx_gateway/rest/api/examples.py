"""An example of what a JSON Schema accepts, and a command line that calls an operation with it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

Schema = Mapping[str, Any]

_MODEL_EXAMPLES: Mapping[str, Any] = {
    "TokenRequest": {"grant_type": "password", "username": "you@example.com", "password": "correct horse battery"},
    "Profile": {"name": "Olga"},
    "NewApiKey": {"name": "ci", "scopes": ["publish"], "topics": ["deploys"]},
    "NewHook": {"kind": "grafana"},
    "HookRotation": {},
    "Acks": {"up_to": 42},
    "BatchItem": {"topic": "deploys", "title": "Version 7 is out"},
}
"""Examples of models whose fields depend on each other."""

_TIME = "2027-01-01T12:00:00Z"

_EXAMPLES: Mapping[str, Any] = {
    "name": "deploys",
    "who": "olga@example.com",
    "topic": "deploys",
    "title": "Version 7 is out",
    "body": "All clusters have it after **4 minutes**.",
    "email": "you@example.com",
    "password": "correct horse battery",
    "new_password": "better horse battery",
    "current_password": "correct horse battery",
    "time_zone": "Europe/Berlin",
    "id": "0001",
    "token": "the-token-of-the-link",
    "source": "/builds/7",
    "type": "com.example.build.finished",
    "specversion": "1.0",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
"""Values that tell more than a text of the right length."""


def example(schema: Schema, models: Mapping[str, Schema], name: str = "") -> Any:
    """Return a value that ``schema`` accepts; of an object its required fields, or the first two where none is."""
    match schema:
        case {"$ref": str(reference)}:
            model = reference.rpartition("/")[2]
            value = _MODEL_EXAMPLES[model] if model in _MODEL_EXAMPLES else example(models[model], models, name)
        case {"anyOf": options} | {"oneOf": options}:
            value = example(next(one for one in options if one.get("type") != "null"), models, name)
        case {"const": value}:
            pass
        case {"enum": [value, *_]}:
            pass
        case {"type": "object"}:
            known = schema.get("properties", {})
            value = {field: example(known[field], models, field) for field in schema.get("required") or [*known][:2]}
        case {"type": "array"}:
            value = [example(schema.get("items", {}), models, name)]
        case {"type": "string"}:
            value = _EXAMPLES.get(name) or (_TIME if schema.get("format") == "date-time" else "text")
        case {"type": "boolean"}:
            value = True
        case {"type": _}:
            value = schema.get("default") or schema.get("minimum") or 1
        case _:
            value = {"title": _EXAMPLES["title"]}
    return value


def curl(method: str, path: str, operation: Mapping[str, Any], spec: Mapping[str, Any], server: str) -> str:
    """Return a command line that calls the operation."""
    models = spec["components"]["schemas"]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            value = str(example(parameter["schema"], models, parameter["name"]))
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="@"))
    streams = any("text/event-stream" in one.get("content", {}) for one in operation["responses"].values())
    content = operation.get("requestBody", {}).get("content", {})
    # What curl takes for the method by itself.
    implied = "post" if content else "get"
    verb = "" if method == implied else f" -X {method.upper()}"
    lines = [f"curl {'-sN' if streams else '-s'}{verb} {server}{path}"]
    if operation.get("security") != []:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    lines += list(_sent(content, models))
    return " \\\n  ".join(lines)


def _sent(content: Mapping[str, Any], models: Mapping[str, Schema]) -> Iterator[str]:
    if "application/json" in content:
        yield "-H 'Content-Type: application/json'"
        value = example(content["application/json"]["schema"], models)
        yield f"-d {shlex.quote(json.dumps(value))}"
    elif "application/x-www-form-urlencoded" in content:
        value = example(content["application/x-www-form-urlencoded"]["schema"], models)
        yield from (f"-d {shlex.quote(f'{name}={one}')}" for name, one in value.items())
    elif content:
        kind, first = next(iter(content.items()))
        yield f"-H 'Content-Type: {kind}'"
        yield f"-d {shlex.quote(json.dumps(example(first['schema'], models)))}"
