"""Routes for the calls of the contract. Method, path and models come from the
:class:`~notifyx_common.contracts.call.Call`.

A handler receives and returns the types of the contract. The caller is checked before the request is read: which
service it is, whether it may make this call, and whether it may speak for the principal that it names.

A deletion that is sent again and finds nothing has succeeded: what it was to delete is gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel
from quart import Blueprint, Quart

from notifyx_common.contracts.call import REPEATED_HEADER, Call, Raw
from notifyx_common.contracts.callers import ServiceNotAllowed, may_speak_for
from notifyx_common.contracts.requests import RequestReader, request_reader
from notifyx_common.errors import Forbidden, InvalidRequest, NotFound, UnsupportedMediaType
from notifyx_common.principal import PRINCIPAL_HEADER
from notifyx_common.serving.answers import answer
from notifyx_common.serving.callers import calling_service, require_caller
from notifyx_common.serving.current import current_request
from notifyx_common.serving.direct import direct
from notifyx_common.serving.replies import EMPTY, JSON, Reply
from notifyx_common.serving.web import caller, read_model

Q = TypeVar("Q")
R = TypeVar("R")


def handle(
    app: Quart | Blueprint,
    call: Call[Q, R],
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
    invalid_code: str | None = None,
) -> Callable[[Callable[[Q], Awaitable[R]]], Callable[[Q], Awaitable[R]]]:
    """Return a decorator that registers a handler of ``call`` on ``app``.

    ``headers`` and ``content_type`` are those of the answer.

    ``invalid_code`` replaces the code of a body that fails validation, where a standard defines another one.
    """
    reader: RequestReader[Q] = request_reader(call)
    rule = call.path.replace("{", "<").replace("}", ">")

    async def read(parts: Mapping[str, str]) -> Q:
        return reader.read(parts, current_request().args, await _read_body(reader, invalid_code))

    def register(handler: Callable[[Q], Awaitable[R]]) -> Callable[[Q], Awaitable[R]]:
        async def view(**parts: str) -> Reply:
            _check_caller(call)
            wanted = await read(parts)
            if call.large:
                await answer().reserve(_share(), call.large)
            return Reply(_content(await handler(wanted)), call.status, content_type, headers or {})

        async def view_without_answer(**parts: str) -> Reply:
            _check_caller(call)
            try:
                await handler(await read(parts))
            except NotFound:
                # The request before, whose answer was lost, may have deleted it.
                if call.method != "DELETE" or REPEATED_HEADER not in current_request().headers:
                    raise
            return Reply(status=call.status, content_type=EMPTY, headers=headers or {})

        view_func = direct(view_without_answer if call.empty else view)
        app.add_url_rule(rule, handler.__name__, view_func, methods=[call.method])
        return handler

    return register


def _check_caller(call: Call[Any, Any]) -> None:
    require_caller(call.callers)
    if PRINCIPAL_HEADER in current_request().headers and not may_speak_for(calling_service(), caller()):
        raise ServiceNotAllowed(f"The service '{calling_service()}' may not speak for '{caller().id}'.")
    if call.caller == "service":
        return
    principal = caller()
    if call.caller == "system" and principal.kind != "system":
        raise Forbidden("Only a part of the platform may make this call.")


def _share() -> str:
    """Return whose share of the memory for answers the current request uses; of one for many users nobody's."""
    if PRINCIPAL_HEADER not in current_request().headers:
        return ""
    principal = caller()
    return "" if principal.kind == "system" else principal.id


def _content(found: object) -> bytes:
    if isinstance(found, Raw):
        return found.content
    assert isinstance(found, BaseModel), "an answer is a model, raw, or nothing"
    return found.model_dump_json().encode()


async def _read_body(reader: RequestReader[Any], invalid_code: str | None) -> object:
    kind = reader.body
    if kind is type(None) or (reader.body_optional and not await current_request().get_data()):
        return None
    if get_origin(kind) is Raw:
        request = current_request()
        if request.mimetype != "application/json":
            raise UnsupportedMediaType("Send the body as application/json.")
        content = await request.get_data()
        assert isinstance(content, bytes)  # get_data returns bytes unless as_text is set
        return Raw(content)
    try:
        return await read_model(kind)
    except InvalidRequest as error:
        if invalid_code is None or error.code != "validation_failed":
            raise
        raise InvalidRequest(error.reason, code=invalid_code, fields=error.fields) from None
