"""The page in place of a web client that is not built yet."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from support.browser import violations
from support.first_run import first_run

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser-4"),
]


async def test_it_turns_into_the_web_client_by_itself(browser: Browser, built: None) -> None:
    async with first_run() as run:
        await run.says("waiting for the web client")
        context = await browser.new_context()
        page = await context.new_page()
        said: list[tuple[str, str]] = []
        page.on("console", lambda message: said.append((message.text, str(message.location.get("url")))))
        await page.goto(f"{run.url}/inbox")
        await expect(page.get_by_text("The web client is being built.")).to_be_visible()
        assert await violations(page) == []
        run.end_build()
        await expect(page).to_have_title("The web client")
        assert page.url == f"{run.url}/inbox"
        # Neither page has an icon; all else that it does is allowed by its policy.
        assert [text for text, url in said if not url.endswith("/favicon.ico")] == []
        await context.close()
