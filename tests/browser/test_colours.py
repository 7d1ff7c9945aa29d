"""Colours that axe does not look at: what is disabled, what has the focus, and what is marked by its colour."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from support.browser import SCHEMES, SETTLED, someone
from support.platform import Platform

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser-4"),
]

READABLE, SEEN = 4.5, 3.0
"""The contrasts that WCAG 2.2 asks for: of text, and of what shows where the focus is."""
COLOURED = 40
"""The least difference between the channels of a colour, of 255, by which it is told from grey."""

CONTRAST = """(one, property) => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => channels(colour).slice(0, 3)
        .map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    let behind = one, opacity = 1;
    for (let above = one; above; above = above.parentElement) opacity *= getComputedStyle(above).opacity;
    while (channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [dark, bright] = [getComputedStyle(one)[property], getComputedStyle(behind).backgroundColor]
        .map(light).sort((one, other) => one - other);
    return opacity * (bright + 0.05) / (dark + 0.05);
}"""
"""The contrast of one element's colour with what is behind it; less where a part of the page is see-through."""
CHANNELS = "one => getComputedStyle(one).color.match(/[\\d.]+/g).slice(0, 3).map(Number)"


async def in_scheme(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal
    await expect(page.locator(f"html[data-mantine-color-scheme={scheme}]")).to_have_count(1)
    await page.evaluate(SETTLED)


async def contrast(one: Locator, colour: str) -> float:
    """The contrast of an element's ``color`` or ``borderColor``."""
    return float(await one.evaluate(CONTRAST, colour))


async def test_what_can_only_be_read_is_easy_to_read(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "vera") as vera:
        page = await vera.go("/topics/deploys/settings")
        await expect(page.get_by_label("Title")).to_be_disabled()
        words = page.locator("fieldset :is(label, select, input:not([role=switch], [type=radio])):visible")
        assert await words.count() > 12
        for scheme in SCHEMES:
            await in_scheme(page, scheme)
            for one in await words.all():
                found = await contrast(one, "color")
                assert found >= READABLE, f"{found} {scheme} {await one.evaluate('one => one.outerHTML')}"


async def test_focus_and_actions_are_seen_in_the_light_and_in_the_dark(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "walt") as walt:
        page = await walt.go("/topics")
        search = page.get_by_role("searchbox", name="Search topics by name")
        subscribe = page.get_by_role("main").get_by_role("button", name="Subscribe", exact=True).first
        await expect(subscribe).to_be_visible()
        await search.focus()
        for scheme in SCHEMES:
            await in_scheme(page, scheme)
            assert await contrast(search, "borderColor") >= SEEN, scheme
            assert await contrast(subscribe, "color") >= READABLE, scheme
            channels = await subscribe.evaluate(CHANNELS)
            assert max(channels) - min(channels) >= COLOURED, f"{channels} {scheme}"
