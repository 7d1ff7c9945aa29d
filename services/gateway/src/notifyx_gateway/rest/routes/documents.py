"""The API's descriptions for programs and people, the signing keys, and the configuration for clients."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import orjson
from quart import Blueprint, Response

from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_common.serving.web import json_response
from notifyx_gateway.mail.verification import EmailVerification
from notifyx_gateway.rest.answers import ClientConfig
from notifyx_gateway.rest.api.examples import curl
from notifyx_gateway.rest.api.schema_words import fields, parts
from notifyx_gateway.rest.codings import File, file_response, gzipped
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.identity import Authenticator

PUBLIC = {"Cache-Control": "public, max-age=300"}


def document_routes(
    *, settings: GatewaySettings, authenticator: Authenticator, pages: Pages, verification: EmailVerification
) -> Blueprint:
    """Return the routes of OpenAPI, AsyncAPI, the readable page, the JWK set and the configuration."""
    blueprint = Blueprint("documents", __name__)
    script = files("notifyx_gateway.rest").joinpath("templates", "docs.js").read_bytes()
    release = version("notifyx-gateway")

    # Made when somebody asks for the first time: a start does not wait for it.
    @cache
    def spec() -> dict[str, Any]:
        # Imported late: the models of all answers are needed for nothing else.
        from notifyx_gateway.rest.api.openapi import build_openapi  # noqa: PLC0415
        from notifyx_gateway.rest.api.operations import OPERATIONS  # noqa: PLC0415

        return build_openapi(OPERATIONS, settings.base_url, settings.notification_body)

    @cache
    def openapi_file() -> File:
        return gzipped("application/json", orjson.dumps(spec()))

    @cache
    def asyncapi_file() -> File:
        document = asyncapi_document(settings.base_socket_url, settings.notification_body)
        return gzipped("application/yaml", document.encode())

    @cache
    def docs_file() -> File:
        server, described = settings.base_url, spec()
        command = partial(curl, spec=described, server=server)
        return pages.document("docs.html", spec=described, server=server, curl=command, parts=parts, fields=fields)

    @blueprint.get("/api/v1/config")
    async def config() -> Response:
        offered = ClientConfig(
            socket_url=settings.base_socket_url,
            sign_up=settings.sign_up,
            email=await verification.email_works(),
            api_version="1",
            version=release,
        )
        return json_response(offered, 200, {"Cache-Control": "no-cache"})

    @blueprint.get("/api/v1/openapi.json")
    async def openapi_json() -> Response:
        return file_response(await asyncio.to_thread(openapi_file), PUBLIC)

    @blueprint.get("/api/v1/docs")
    async def docs() -> Response:
        return pages.send(await asyncio.to_thread(docs_file))

    @blueprint.get("/api/v1/docs.js")
    async def docs_script() -> Response:
        return Response(script, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    @blueprint.get("/api/v1/asyncapi.yaml")
    async def asyncapi_yaml() -> Response:
        return file_response(await asyncio.to_thread(asyncapi_file), PUBLIC)

    @blueprint.get("/.well-known/jwks.json")
    async def jwks() -> Response:
        body = orjson.dumps(authenticator.jwks)
        return Response(body, content_type="application/jwk-set+json", headers={"Cache-Control": "public, max-age=60"})

    return blueprint


def asyncapi_document(socket_url: str, max_body: int = MAX_BODY) -> str:
    """Return the AsyncAPI document for a socket at ``socket_url`` that accepts bodies of ``max_body`` characters."""
    parts = urlsplit(socket_url)
    text = files("notifyx_gateway.rest").joinpath("api", "asyncapi.yaml").read_text(encoding="utf-8")
    return (
        text.replace("@SOCKET_HOST@", parts.netloc)
        .replace("@SOCKET_PATH@", f"{parts.path.rstrip('/')}/websocket")
        .replace("@SOCKET_PROTOCOL@", parts.scheme)
        .replace("@MAX_BODY@", str(max_body))
    )
