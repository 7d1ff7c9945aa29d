"""The first ``notifyx up`` of a clone, whose web client is not built yet: its output is correct and in time."""

from __future__ import annotations

import re

import aiohttp
import pytest

from support.first_run import first_run

pytestmark = pytest.mark.slow


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, url
        return await response.text()


async def test_it_is_ready_when_all_that_it_names_can_be_opened() -> None:
    async with first_run(forked=True) as run:
        await run.says("waiting for the web client")
        assert "Building the web client ..." in run.said()
        assert "Notifyx is ready" not in run.said()
        assert not run.ready
        # The services answer meanwhile, and the page says what is going on.
        assert "The web client is being built." in await page(f"{run.url}/")
        run.end_build()
        await run.says("doctor")
        banner = run.said().partition("Notifyx is ready")[2]
        assert "your data stays in data\n" in banner, "as it was typed"
        named = re.findall(r"^  \w[\w, ]*? {2,}(https?://\S+)$", banner, re.MULTILINE)
        assert len(named) == 4, banner
        assert named[0] == f"{run.url}/"
        pages = [await page(url) for url in named]
        assert "<title>The web client</title>" in pages[0]
        assert "<title>The web client</title>" not in "".join(pages[1:])
        assert run.ready
        (socket,) = re.findall(r"ws://\S+", banner)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # it answers, and wants a token
                await session.ws_connect(f"{socket}/websocket?vsn=2.0.0")


async def test_a_build_that_fails_is_said_in_place_of_its_address() -> None:
    async with first_run(forked=True) as run:
        (run.folder / "broken").touch()
        run.end_build()
        await run.says("doctor")
        banner = run.said().partition("Notifyx is ready")[2]
        assert f"Open            {run.url}/" not in banner
        reason = "The web client could not be built: vite build failed: error: no such module."
        assert f"Web client      {reason}" in banner
        assert f"Status          {run.url}/dashboard\n" in banner
        assert reason in await page(f"{run.url}/")
