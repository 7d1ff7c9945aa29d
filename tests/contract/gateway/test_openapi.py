"""The descriptions of the public API against the API itself."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml

from notifyx_common.contracts.call import INTERNAL
from notifyx_common.contracts.store.log import NewNotification
from notifyx_common.patterns import ANY_TEXT
from notifyx_common.settings import load
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.rest.api.openapi import build_openapi
from notifyx_gateway.rest.api.operations import OPERATIONS
from notifyx_gateway.rest.routes.documents import asyncapi_document
from notifyx_gateway.rest.routes.web import ADDRESSES
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack

DASHBOARD = {"/dashboard", "/dashboard/live", "/dashboard/state", "/dashboard/dashboard.js"}
PAGES = {
    *DASHBOARD, *(f"/{page}{end}" for page in ("acknowledge", "unsubscribe", "verify-email") for end in ("", "/done")),
    "/link-failed", "/favicon.svg", "/front.js", "/api/v1/docs.js", "/assets/<path:name>", *ADDRESSES,
}  # fmt: skip


def document() -> dict[str, Any]:
    return build_openapi(OPERATIONS, "http://notifyx.example.com")


async def test_every_route_is_described_and_every_description_is_a_route() -> None:
    service = GatewayNode(load(GatewaySettings, internal_token="x" * 20, port=0, socket_port=0))
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith((INTERNAL, "/socket/", "/static/")) and rule.rule not in PAGES
    }
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    assert described == routes
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_the_document_is_valid_and_complete() -> None:
    spec = document()
    schemathesis.openapi.from_dict(spec).validate()
    assert spec["info"]["license"]["identifier"] == "Apache-2.0"
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            named = set(re.findall(r"{(\w+)}", path))
            assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == named, where
            statuses = set(operation["responses"])
            assert ("401" in statuses) == ("security" not in operation) or path == "/api/v1/token", where
            if "requestBody" in operation:
                assert {"400", "413", "415"} <= statuses, where
            for status in statuses:
                if int(status) >= 400 and path != "/readyz":
                    assert "application/problem+json" in operation["responses"][status]["content"], where
    known = set(spec["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", str(spec))) <= known


def test_the_asyncapi_document_holds_together() -> None:
    text = asyncapi_document("wss://notifyx.example.com/socket")
    assert "@SOCKET" not in text
    document_ = yaml.safe_load(text)
    assert document_["asyncapi"] == "3.0.0"
    assert document_["servers"]["socket"]["pathname"] == "/socket/websocket"
    for reference in re.findall(r'\$ref: "#/([^"]+)"', text):
        place: Any = document_
        for part in reference.split("/"):
            assert part in place, reference
            place = place[part]
    said: dict[str, set[str]] = {name: set() for name in document_["channels"]}
    for operation in document_["operations"].values():
        for messages in (operation["messages"], operation.get("reply", {}).get("messages", ())):
            for message in messages:
                _, _, channel, _, name = message["$ref"].split("/")
                said[channel].add(name)
    assert said == {name: set(channel["messages"]) for name, channel in document_["channels"].items()}
    accepted = set(NewNotification.model_fields) | {"key"}
    assert set(document_["components"]["messages"]["publish"]["payload"]["properties"]) == accepted


def test_the_templates_are_part_of_the_package() -> None:
    for name in ("templates/base.html", "templates/style.css", "api/asyncapi.yaml"):
        assert files("notifyx_gateway.rest").joinpath(*name.split("/")).is_file()


async def refusals_are_problems(stack: Stack, token: str) -> None:
    """Send what no operation accepts: each error is a problem, and an answer without content names no type."""
    wrong: list[tuple[str, bytes, str]] = [
        ("BREW", b"", ""),
        *((method, b"", "application/json") for method in ("GET", "PUT", "DELETE")),
        ("POST", b"", ""),
        ("POST", b"{", "application/json"),
        ("POST", b"x", "text/strange"),
        ("OPTIONS", b"", ""),
    ]
    found: dict[tuple[str, str, bytes], str] = {}
    for path in {operation.path for operation in OPERATIONS} | {"/api", "/api/v1/nothing", "/api/v1/" + "x" * 9000}:
        if not path.startswith("/api"):
            continue
        for method, body, kind in wrong:
            headers = {"Authorization": f"Bearer {token}", **({"Content-Type": kind} if kind else {})}
            skipped = [] if kind else ["Content-Type"]
            url = stack.url + re.sub(r"{\w+}", "nothing", path)
            async with stack.session.request(
                method, url, data=body, headers=headers, skip_auto_headers=skipped
            ) as answer:
                if answer.status == 200 and "event-stream" in answer.content_type:
                    continue
                typed = answer.headers.get("Content-Type", "")
                content = await answer.read()
                if (answer.status >= 400 and typed != "application/problem+json") or (not content and typed):
                    found[method, path, body] = f"{answer.status} {typed}"
    assert found == {}


def quickly_read(document: bytes) -> bytes:
    """Return the document with another pattern for any text, which means the same.

    Schemathesis puts a text's length into a pattern that repeats one class. Its engine takes half a second to compile
    that of a body, and does so eleven times.
    """
    usual, same = json.dumps(ANY_TEXT).encode(), json.dumps(r"^(?:|[^\x00]+)$").encode()
    assert usual in document
    return document.replace(usual, same)


@pytest.mark.slow
async def test_generated_requests_get_what_the_document_promises(postgres: Cluster, tmp_path: Path) -> None:
    limits = {"sign_up_burst": 10_000, "token_burst": 10_000}
    async with running_stack(postgres, gateway=limits) as stack:
        ada = await stack.person("ada")
        await refusals_are_problems(stack, ada)
        description = tmp_path / "openapi.json"
        description.write_bytes(quickly_read((await stack.call("GET", "/openapi.json")).raw))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", str(description),
            "--url", stack.url, "-H", f"Authorization: Bearer {ada}", "--exclude-operation-id", "stream",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--workers", "1", "--no-color",
            "--generation-deterministic", "--continue-on-failure", "--request-timeout", "20",
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_schema_conformance,response_headers_conformance,negative_data_rejection,unsupported_method",
            "--suppress-health-check", "all",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-20000:]
