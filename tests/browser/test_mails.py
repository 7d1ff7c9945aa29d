"""Emails as a mail program shows them."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from support.mail_pictures import MAILS, html_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser-4"),
]

PHONE = {"width": 360, "height": 800}
BROKEN_WORDS = """() => [...document.querySelectorAll('.markdown :is(td, th)')]
    .filter(cell => cell.clientHeight > 100 || cell.scrollWidth > cell.clientWidth).length"""


async def test_no_email_is_wider_than_a_phone_or_breaks_the_words_of_a_table(browser: Browser) -> None:
    page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]  # a TypedDict
    for name in MAILS:
        await page.set_content(html_of(name))
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
        assert await page.evaluate(BROKEN_WORDS) == 0, name
    await page.close()
