"""Serve the calls of the contract: method, path and models come from the :class:`~notifyx_common.contracts.call.Call`.

A handler gets the request as the contract types it and returns the answer as the contract types it. Whose call it is
has been checked before the request is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from quart import Blueprint, Quart, Response, request

from notifyx_common.contracts.call import BODY, Call, Raw
from notifyx_common.errors import FieldError, Forbidden, InvalidRequest, NotFound, UnsupportedMediaType
from notifyx_common.web import caller, read_model

Q = TypeVar("Q")
R = TypeVar("R")

Read = Callable[[Mapping[str, str]], Awaitable[Q]]
"""Reads a request, whose parts of the path are given."""


def handle(
    app: Quart | Blueprint,
    call: Call[Q, R],
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    invalid_code: str | None = None,
) -> Callable[[Callable[[Q], Awaitable[R]]], Callable[[Q], Awaitable[R]]]:
    """Decorate the handler of ``call`` on ``app``; ``headers`` and ``content_type`` are those of its answer.

    ``invalid_code`` is the code of a body that fails validation, for calls whose codes others define.
    """
    read = _reader(call.request, invalid_code)
    rule = call.path.replace("{", "<").replace("}", ">")

    def register(handler: Callable[[Q], Awaitable[R]]) -> Callable[[Q], Awaitable[R]]:
        async def view(**parts: str) -> Response:
            _check_caller(call)
            answer = await handler(await read(parts))
            return Response(_content(answer), call.status, headers=dict(headers or {}), content_type=content_type)

        async def view_without_answer(**parts: str) -> Response:
            _check_caller(call)
            await handler(await read(parts))
            return Response(status=call.status, headers=dict(headers or {}))

        view_func = view_without_answer if call.empty else view
        app.add_url_rule(rule, handler.__name__, view_func, methods=[call.method])
        return handler

    return register


def _check_caller(call: Call[Any, Any]) -> None:
    if call.caller == "service":
        return
    principal = caller()
    if call.caller == "system" and principal.kind != "system":
        raise Forbidden("Only a part of the platform may make this call.")


def _content(answer: object) -> bytes | str:
    if isinstance(answer, Raw):
        return answer.content
    assert isinstance(answer, BaseModel), "an answer is a model, raw, or nothing"
    return answer.model_dump_json()


def _reader(kind: type[Q], invalid_code: str | None) -> Read[Q]:
    """Return what reads a request of the ``kind``; :mod:`notifyx_common.contracts.call` lists the forms."""
    if dataclasses.is_dataclass(kind) and get_origin(kind) is not Raw:
        return cast(Read[Q], _parts_reader(kind, invalid_code))

    async def read(_: Mapping[str, str]) -> Q:
        return cast(Q, await _read_body(kind, invalid_code))

    return read


def _parts_reader(kind: type[Any], invalid_code: str | None) -> Read[Any]:
    hints = get_type_hints(kind, include_extras=True)
    body = hints.pop(BODY, None)
    adapters: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(hint) for name, hint in hints.items()}

    async def read(parts: Mapping[str, str]) -> Any:
        values: dict[str, Any] = {}
        if body is not None:
            values[BODY] = await _read_body(body, invalid_code)
        for name, adapter in adapters.items():
            if (text := parts.get(name, request.args.get(name))) is None:
                continue  # the field's default holds
            try:
                values[name] = adapter.validate_strings(text)
            except ValidationError as error:
                if name in parts:
                    raise NotFound("There is nothing at this path.") from None
                raise _wrong_parameter(name, error) from None
        return kind(**values)

    return read


async def _read_body(kind: type[Any], invalid_code: str | None) -> object:
    if kind is type(None):
        return None
    if get_origin(kind) is Raw:
        if request.mimetype != "application/json":
            raise UnsupportedMediaType("Send the body as application/json.")
        content = await request.get_data()
        assert isinstance(content, bytes)  # it was not asked for as text
        return Raw(content)
    try:
        return await read_model(kind)
    except InvalidRequest as error:
        if invalid_code is None or error.code != "validation_failed":
            raise
        raise InvalidRequest(error.reason, code=invalid_code, fields=error.fields) from None


def _wrong_parameter(name: str, error: ValidationError) -> InvalidRequest:
    reason = error.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
    return InvalidRequest(
        f"The request is not valid: {name}: {reason}",
        code="validation_failed",
        fields=[FieldError(field=name, reason=reason)],
    )
