"""The dashboard in a real browser: legible in every form, live, and honest about what is gone, itself included."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, Route, expect

from support.browser import SCHEMES, console, picture, violations
from support.platform import Platform, eventually, person

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser-4"),
]

SIZES = {"desktop": {"width": 1280, "height": 1250}, "phone": {"width": 390, "height": 844}}


ROWS_ARE_FULL = """() => {
    const right = one => Math.round(one.getBoundingClientRect().right);
    const figures = document.querySelector('.figures');
    return right(figures) === right(figures.lastElementChild);
}"""


async def work(platform: Platform) -> None:
    """Something is published, delivered and acknowledged."""
    async with person(platform, "olga") as olga:
        await olga.call("PUT", "/topics/deploys/subscription", json={"email": "never"})
        async with olga.http.get(f"{platform.api}/topics/deploys/stream") as stream:
            for number in range(40):
                await olga.call("POST", "/topics/deploys/notifications", json={"title": f"Version 1.{number}"})
            while b"Version 1.39" not in await stream.content.readline():
                continue
        await olga.call("POST", "/topics/deploys/acks", json={"up_to": 30})


@dataclass
class Refused:
    """Answers with an error, after which a client may ask again in half a minute."""

    asked: list[Route]
    status: int = 429

    async def answer(self, route: Route) -> None:
        self.asked.append(route)
        await route.fulfill(status=self.status, headers={"Retry-After": "30"})


async def opened(page: Page, platform: Platform, headline: str = "All is well") -> Page:
    await page.goto(f"{platform.gateway}/dashboard")
    await expect(page.get_by_role("heading", level=1)).to_have_text(headline)
    return page


async def test_it_is_accessible_and_pictured(browser: Browser, platform: Platform) -> None:
    await work(platform)
    for size, viewport in SIZES.items():
        page = await browser.new_page(viewport=viewport)  # type: ignore[arg-type]
        said = console(page.context, everything=True)
        await opened(page, platform)
        await expect(page.get_by_role("row", name="deploys")).to_contain_text("balances")
        times = page.get_by_role("figure").filter(has_text="Delivery time")
        await expect(times).to_contain_text(re.compile(r"99 % within [\d.]+ ms half within [\d.]+ ms"))
        async with page.expect_response(lambda response: "/dashboard/live?" in response.url and response.status == 200):
            pass
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await picture(page, "dashboard", size, scheme, full_page=True)
            assert await violations(page, colours_only=scheme == "dark") == []
        for width in (1200, 1000, 390):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await page.evaluate(ROWS_ARE_FULL), f"a figure stands alone at {width} px"
            cell = page.get_by_role("row", name="deploys").get_by_role("cell", name="balances")
            assert await cell.evaluate("one => one.getBoundingClientRect().right <= innerWidth"), "in sight unscrolled"
        assert said == []
        await page.set_viewport_size(viewport)  # type: ignore[arg-type]  # a TypedDict
        tops = "all => new Set(all.slice(0, 3).map(one => Math.round(one.getBoundingClientRect().top))).size"
        rows = await page.locator(".charts svg").evaluate_all(tops)
        assert rows == {"desktop": 1, "phone": 3}[size], "the charts of a row stand on one line"
        await page.route("**/dashboard/live?*", lambda route: route.abort())
        await expect(page.get_by_role("heading", level=1)).to_have_text("Not known: the gateway does not answer")
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await picture(page, "dashboard-unknown", size, scheme)
            assert await violations(page) == []
        await page.close()


async def test_what_is_gone_is_named_and_what_is_back_too(browser: Browser, platform: Platform) -> None:
    page = await opened(await browser.new_page(), platform)
    headline = page.get_by_role("heading", level=1)
    async with asyncio.TaskGroup() as group:
        seen = group.create_task(expect(headline).to_contain_text("No auth node", timeout=60_000))
        await platform.keep_down("auth", seen)
    await expect(headline).to_have_text("All is well", timeout=60_000)
    for name, words in (("store", "No store node"), ("postgres", "PostgreSQL does not answer")):
        with platform.stopped(name):
            await expect(headline).to_contain_text(words, timeout=60_000)
        await expect(headline).to_have_text("All is well", timeout=60_000)
    assert await page.title() == "All is well · Notifyx"
    await page.close()


async def test_a_gateway_that_is_silent_or_gone_is_tried_again_within_two_seconds(
    browser: Browser, platform: Platform
) -> None:
    """By the clock of the page, which stands still between two lines."""
    page = await browser.new_page()
    await page.clock.install()
    asked: list[Route] = []
    silent = asyncio.Event()

    async def live(route: Route) -> None:
        asked.append(route)
        if not silent.is_set():
            await route.abort("connectionrefused")

    async def tried_again() -> bool:
        return len(asked) > before

    await page.route("**/dashboard/live?*", live)
    await page.goto(f"{platform.gateway}/dashboard")
    away = page.get_by_role("alert")
    await page.clock.run_for(125)
    await expect(away).to_contain_text("the gateway does not answer", timeout=60_000)
    for attempt in range(4):
        if attempt == 2:
            silent.set()
        before = len(asked)
        await page.clock.run_for(1750)
        await eventually(tried_again)
    await page.unroute("**/dashboard/live?*")
    await page.clock.run_for(1750)
    await expect(away).to_be_hidden(timeout=60_000)
    before = len(asked)
    await page.route("**/dashboard/live?*", live)
    await page.clock.run_for(125)
    await eventually(tried_again)
    await expect(away).to_be_hidden()
    await page.clock.run_for(2500)
    await expect(away).to_be_visible(timeout=60_000)
    await page.unroute("**/dashboard/live?*")
    refused = Refused(asked)
    for status, words in (
        (429, "too many requests come from your address"),
        (503, "the gateway answers with an error"),
    ):
        refused.status = status
        await page.route("**/dashboard/live?*", refused.answer)
        await page.clock.run_for(2500)
        await expect(away).to_contain_text(f"Not known: {words} (HTTP {status})")
        await expect(away).to_contain_text("; asked again at ")
        before = len(asked)
        await page.clock.run_for(25_000)
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        assert len(asked) == before, "asked earlier than it may"
        await page.clock.run_for(5_000)
        await eventually(tried_again)
        await page.unroute("**/dashboard/live?*")
        await page.clock.run_for(32_000)
        await expect(away).to_be_hidden(timeout=60_000)
    await page.close()


async def test_without_a_gateway_it_says_from_when_it_is(browser: Browser, platform: Platform) -> None:
    page = await opened(await browser.new_page(timezone_id="Asia/Kolkata"), platform)
    await expect(page.locator("time").first).to_contain_text("GMT+5:30")
    away = page.get_by_role("alert")
    await expect(away).to_be_hidden()

    async def seen() -> None:
        await expect(away).to_contain_text(re.compile(r"What you see is from .* GMT\+5:30; trying again\."))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Not known: the gateway does not answer")
        await expect(page).to_have_title("Not known · Notifyx")

    async with asyncio.TaskGroup() as group:
        await platform.keep_down("gateway", group.create_task(seen()))
    await expect(away).to_be_hidden(timeout=60_000)
    await expect(page.get_by_role("heading", level=1)).to_have_text("All is well", timeout=60_000)
    await page.close()
