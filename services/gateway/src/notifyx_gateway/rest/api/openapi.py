"""Builds the OpenAPI 3.1 document from the operations and the models that validate requests."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_common.serving.replies import PROBLEM
from notifyx_gateway.rest.api.operations import Operation, Schema

_TAGS = {
    "Accounts": "Users, tokens and API keys.",
    "Topics": "What is published to.",
    "Subscriptions": "Lasting interest: inbox, unread counts, email.",
    "Notifications": "Publish, read, acknowledge.",
    "Webhooks": "Receive what other software sends.",
    "Documents": "Descriptions and keys.",
    "Health": "For load balancers.",
}
_ABOUT = (
    "Self-hosted real-time notifications. "
    "What was accepted is delivered, in order, once, or you are told otherwise.\n\n"
    "Errors are RFC 9457 problems: rely on their `code`. Times are RFC 3339 in UTC. Lists take `limit` and `after` and "
    "answer `items` and `next`. Requests with unknown fields are refused, so that a misspelt one is noticed."
)


def build_openapi(operations: Iterable[Operation], server: str, max_body: int = MAX_BODY) -> dict[str, Any]:
    """Return the document for a deployment reached at ``server`` that accepts bodies of ``max_body`` characters."""
    listed = list(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Notifyx",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token (`POST /api/v1/token`), an API key (`nfx_...`), or in a cluster "
                    "a ServiceAccount's token made for the platform's audience.",
                }
            },
        },
    }
    if max_body != MAX_BODY:
        _limit(document, max_body)
    return document


def _limit(part: object, max_body: int) -> None:
    """Set the limit of a deployment where the models have that of all deployments: only requests have it."""
    if isinstance(part, dict):
        if part.get("maxLength") == MAX_BODY:
            part["maxLength"] = max_body
        for inner in part.values():
            _limit(inner, max_body)
    elif isinstance(part, list):
        for inner in part:
            _limit(inner, max_body)


def _operation(operation: Operation) -> dict[str, Any]:
    description = operation.description
    if operation.scope is not None:
        description = f"{description}\n\nThe credential needs the scope `{operation.scope}`.".strip()
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            **{str(status): _answer(*answer) for status, answer in operation.responses.items()},
            **{str(status): _problem(operation, status) for status in _problem_statuses(operation)},
        },
    }
    if description:
        entry["description"] = description
    if operation.public:
        entry["security"] = []
    if operation.parameters:
        entry["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.where == "path",
                "schema": parameter.schema,
                **({"description": parameter.description} if parameter.description else {}),
            }
            for parameter in operation.parameters
        ]
    if operation.body:
        entry["requestBody"] = {
            "required": operation.body_required,
            "content": {kind: {"schema": _reference(schema)} for kind, schema in operation.body.items()},
        }
    return entry


def _problem_statuses(operation: Operation) -> list[int]:
    always = () if operation.public else (401,)
    # What may be unavailable may also take effect unseen: its answer is lost.
    lost = (504,) if 503 in operation.problems else ()
    return sorted({*operation.problems, *always, *lost} - set(operation.responses))


RATE_LIMIT_HEADERS = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "The limit that was reached: its name, how many at once (q), seconds until as many again (w).",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "What the caller has left: how many more at once (r), and seconds until there is one more (t).",
    },
}
"""draft-ietf-httpapi-ratelimit-headers."""


def _answer(description: str, kind: str, schema: Schema) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {kind: {"schema": _reference(schema)}}}


def _problem(operation: Operation, status: int) -> dict[str, Any]:
    entry = _answer(f"{HTTPStatus(status).phrase}.", PROBLEM, operation.problem)
    if status in (429, 503, 504):
        entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    if status == 429:
        entry["headers"] |= RATE_LIMIT_HEADERS
    return entry


def _reference(schema: Schema) -> dict[str, Any]:
    if isinstance(schema, type):
        return {"$ref": f"#/components/schemas/{schema.__name__}"}
    return schema or {}


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    models: dict[str, type[BaseModel]] = {}
    for operation in operations:
        answers = [schema for _, _, schema in operation.responses.values()]
        for schema in [*operation.body.values(), *answers, operation.problem]:
            if isinstance(schema, type):
                models[schema.__name__] = schema
    _, schema = models_json_schema(
        [(model, "validation") for model in models.values()], ref_template="#/components/schemas/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    return dict(sorted(definitions.items()))
