"""Real browsers before a real platform: people in windows, and a watch over each window's console."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import aiohttp
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, async_playwright, expect

from notifyx_local.web_build import WEB_SOURCE
from support.debian import program
from support.patience import PATIENCE
from support.platform import PASSWORD, Platform

HEADLESS = "chromium-headless-shell"
FONT = "fonts-dejavu-core"
"""A page needs one font at least; a bare machine has none."""

FONTS = "usr/share/fonts"
PATIENCE_MS = PATIENCE * 1000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FORMS = [(size, scheme) for size in ("desktop", "phone") for scheme in SCHEMES]
AXE = WEB_SOURCE / "node_modules" / "axe-core" / "axe.min.js"
SETTLED = """() => Promise.allSettled(document.getAnimations()
    .filter(one => one.effect.getComputedTiming().endTime !== Infinity).map(one => one.finished))"""
"""Waits until no colour or place is on its way to another any more."""

KNOWN_SOCKETS = """window.WebSocket = class extends WebSocket {
    static all = [];
    constructor(...given) { super(...given); WebSocket.all.push(this); }
}"""
SOCKETS_ENDED = """() => Promise.all(WebSocket.all.splice(0).filter(one => one.readyState === 1).map(one => {
    const over = new Promise(done => one.addEventListener('close', done));
    one.close();
    return over;
}))"""

_LATE = re.compile("status of 50[34]")

expect.set_options(timeout=PATIENCE_MS)


def chromium() -> tuple[str, dict[str, str]]:
    """Chromium and its environment: the machine's own, else Debian's package. Skips the test where there is neither.

    The build without windows comes first: it needs a fifth less of the processor.
    """
    if shutil.which(HEADLESS) is None and (full := shutil.which("chromium")) is not None:
        return full, dict(os.environ)
    found = program(HEADLESS, HEADLESS, FONT, path=f"usr/lib/chromium/{HEADLESS}", dependencies=True)
    needed = {name: value for name, value in found.env.items() if name != "PATH"}
    if found.root is not None and (found.root / FONTS).is_dir():
        needed["FONTCONFIG_FILE"] = str(_font_settings(found.root))
    return found.path, {**os.environ, **needed}


def _font_settings(root: Path) -> Path:
    """Settings of fontconfig that add the unpacked fonts to the machine's, of which there may be none."""
    file = root / "fonts.conf"
    partial = root / f"fonts.conf.{os.getpid()}"
    partial.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f"<dir>{escape(str(root / FONTS))}</dir><cachedir>{escape(str(root / 'font-cache'))}</cachedir></fontconfig>"
    )
    partial.replace(file)
    return file


@contextlib.asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Chromium, until the block is left."""
    path, environment = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS, env=dict(environment))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Person:
    """Somebody with a browser profile of their own; ``page`` is their first window."""

    name: str
    email: str
    platform: Platform
    context: BrowserContext
    page: Page
    said: list[str] = field(default_factory=list)
    """What their windows' consoles warned of, and errors in their pages."""

    async def window(self, path: str = "/inbox") -> Page:
        """One more window."""
        page = await self.context.new_page()
        await page.goto(f"{self.platform.gateway}{path}")
        return page

    async def go(self, path: str) -> Page:
        """Open ``path`` in the first window."""
        await self.page.goto(f"{self.platform.gateway}{path}")
        return self.page

    async def ready_for_offline(self) -> None:
        """Wait until the first window has all its parts."""
        await expect(self.page.locator("html[data-parts=loaded]")).to_have_count(1)

    async def go_offline(self) -> None:
        """Take the network away, and the windows' sockets with it, once the first window has all its parts.

        Where Chromium is only told to be offline, sockets stay open, and what comes for one keeps a core busy.
        """
        await self.ready_for_offline()
        for page in self.context.pages:
            await page.evaluate(SOCKETS_ENDED)
        await self.context.set_offline(True)

    async def live(self) -> None:
        """Wait until the first window is connected."""
        await expect(self.page.get_by_text("Live", exact=True)).to_be_visible()


def console(context: BrowserContext, *, everything: bool = False) -> list[str]:
    """What the consoles of all windows warn of, or say at all, from now on, and errors in their pages.

    Without answers that a service was late or away: on a machine that is busy enough these are true, and the page tells
    them and asks again.
    """
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if (everything or message.type in ("error", "warning")) and not _LATE.search(message.text):
            said.append(f"{message.text} ({message.location['url']})")

    context.on("console", note)
    context.on("weberror", lambda error: said.append(str(error.error)))
    return said


async def sign_up(platform: Platform, name: str) -> str:
    """An account, made through the API; its email."""
    email = f"{name}@example.com"
    async with aiohttp.ClientSession() as session:
        body = {"email": email, "password": PASSWORD, "name": name.title()}
        async with session.post(f"{platform.api}/users", json=body) as response:
            assert response.status in (201, 409), await response.text()
    return email


@contextlib.asynccontextmanager
async def someone(browser: Browser, platform: Platform, name: str, **options: Any) -> AsyncIterator[Person]:
    """Sign ``name`` up and in, in a profile of their own with an empty window; ``options`` are Playwright's for it.

    The profile begins as a sign-in through the form (:func:`sign_in`) leaves it: a page less to load in each test.
    """
    email = await sign_up(platform, name)
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{platform.api}/token", data=form) as response:
        assert response.status == 200, await response.text()
        token = (await response.json())["refresh_token"]
    state: StorageState = {
        "origins": [
            {"origin": platform.gateway, "localStorage": [{"name": "notifyx.refresh_token", "value": token}]},
        ]
    }
    context = await browser.new_context(
        viewport={"width": 1200, "height": 800},
        storage_state=state,
        **options,
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(KNOWN_SOCKETS)
    try:
        yield Person(name, email, platform, context, await context.new_page(), console(context))
    finally:
        await context.close()


async def sign_in(person: Person) -> None:
    """Through the form."""
    page = await person.go("/sign-in")
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    await person.live()


def pictured() -> Path | None:
    """Return where pictures of the pages are wanted; in a test run nobody looks at them, and they take their time."""
    folder = os.environ.get("SCREENSHOTS")
    return Path(folder) if folder else None


async def picture(page: Page, what: str, size: str, scheme: str, *, full_page: bool = False) -> None:
    """Take a picture of the page in one of :data:`FORMS`, where they are wanted."""
    if (folder := pictured()) is not None:
        path = folder / f"{what}-{size}-{scheme}.png"
        await page.screenshot(path=path, animations="disabled", full_page=full_page)


async def violations(page: Page, *, colours_only: bool = False) -> list[str]:
    """What axe finds on the page as it is: faults of any impact, and what its best practices advise."""
    await page.evaluate(SETTLED)
    if not await page.evaluate("'axe' in window"):  # to read half a megabyte of it takes a tenth of a second
        # The page's own policy holds for what a page loads, not for what its debugger evaluates.
        await page.evaluate(await asyncio.to_thread(AXE.read_text))
    options = {"runOnly": ["color-contrast"]} if colours_only else {}
    found = await page.evaluate("async options => JSON.stringify(await axe.run(document, options))", options)
    return [
        f"{one['id']}: {one['help']} ({', '.join(str(node['target']) for node in one['nodes'][:3])})"
        for one in json.loads(found)["violations"]
    ]
