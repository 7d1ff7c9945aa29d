"""The SDKs of CloudEvents for JavaScript and Go publish to the whole platform, as the one for Python does elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clients.programs import cloudevents_go, node_packages, run_program
from support.node import node
from support.platform import Platform, person

pytestmark = pytest.mark.xdist_group("clients")


@pytest.mark.parametrize(("sdk", "subject"), [("javascript", "javascript {} ünï"), ("go", "go {} 50%ff ünï")])
async def test_an_sdk_sends_in_each_mode_and_a_repeat_is_published_once(
    platform: Platform, sdk: str, subject: str
) -> None:
    program: list[str | Path]
    folder: Path | None = None
    if sdk == "javascript":
        program, folder = [*node("node"), "cloudevents.mjs"], await asyncio.to_thread(node_packages)
    else:
        program = [await asyncio.to_thread(cloudevents_go)]
    topic = f"events-{sdk}"
    async with person(platform, "ada") as ada:
        await ada.call("POST", "/topics", json={"name": topic})
        variables = {"URL": f"{platform.api}/topics/{topic}/notifications", "TOKEN": ada.token}
        await asyncio.to_thread(run_program, program, variables, folder)
        page = await ada.call("GET", f"/topics/{topic}/notifications")
    modes = ("binary", "structured", "batch-1", "batch-2")
    assert [item["title"] for item in page["items"]] == [subject.format(mode) for mode in modes]
    assert [item["data"]["data"] for item in page["items"]] == [{"sent": mode} for mode in modes]
