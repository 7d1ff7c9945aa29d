"""Every page: what it weighs, what axe finds, how it looks, and ten thousand notifications in one list."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from support.browser import SCHEMES, Person, picture, pictured, sign_up, someone, violations
from support.deleted_users import remove_all
from support.mail import link_in_mail
from support.mail_pictures import RIGHT_TO_LEFT
from support.patience import until
from support.platform import PASSWORD, Platform, eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser-1"),
]

LARGEST_FIRST_LOAD = 190_000
MANY = 10_000
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}

WIDER = """() => [...document.querySelectorAll('main, main *')].filter(one => {
    if (one.parentElement.closest('pre, [class*=_wide_]') !== null) return false;
    for (let over = one.parentElement; over !== null && over !== document.body; over = over.parentElement)
        if (getComputedStyle(over).overflowX === 'hidden') return false;
    return one.getBoundingClientRect().right > innerWidth + 1;
}).map(one => one.outerHTML.slice(0, 200))"""
"""What reaches beyond the window's right edge, is not cut off there, and is not in code or a table that scrolls."""

WHOLE_WORDS = (
    "all => all.length === 8 && all.every(one => one.clientHeight < 1.9 * parseFloat(getComputedStyle(one).lineHeight))"
)
"""Whether each of eight cells of a table has one line."""

END_IS_LINK = """row => {
    const box = row.getBoundingClientRect();
    return document.elementFromPoint(box.right - 2, box.bottom - 2) === row.querySelector('a');
}"""
"""Whether the link of a row also takes what is pressed at its end."""

ROOM_AT_RIGHT = """one => one.getBoundingClientRect().right - one.lastElementChild.getBoundingClientRect().right"""
"""Between the texts of a button and its right edge, where those that are read from the right begin."""

MISSING = re.compile(r"/api/v1/(subscriptions|inbox\?.*)$")
AWAY = "Topics cannot be reached at the moment."
"""What parts of a page read, and why they have to wait for it."""

READY = {"reset-password": "New password", "reset-password-ended": "Have another mail sent"}
"""A text of pages without an email field."""

LINES = "one => Math.round(one.clientHeight / parseFloat(getComputedStyle(one).lineHeight))"

DISK = f"""Less than **5 %** is left; see the [runbook](https://example.com/disk).

```
{"kubectl exec db-1 -- df --human-readable --output=source,size,used,avail,pcent,target /var/lib/postgresql " * 2}
```

| Folder | Size | Grown by | Since |
|-|-:|-:|-|
| /var/lib/postgresql | 412 GB | 38 GB | yesterday |
| /var/log | 12 GB | 1 GB | last week |
"""
"""A body with all that is wider than a phone, or else is not seen in pictures."""

EVENTS = [
    ("Disk almost full on db-1", DISK, "urgent"),
    ("Version 1.42 is live", "Rolled out to all clusters in 4 minutes.", "normal"),
    ("Latency is back to normal", "p99 is below 80 ms again.", "low"),
    ("Certificate expires in 7 days", "`gateway.example.com` is renewed by hand.", "high"),
    ("Nightly backup finished", "42 GB, verified.", "normal"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def filled(platform: Platform) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """An account with topics, subscriptions and notifications to look at."""
    name = f"viewer{time.monotonic_ns()}"
    email, other = await sign_up(platform, name), await sign_up(platform, "olga")
    async with await signed_in(platform, email) as own, await signed_in(platform, other) as theirs:
        for topic, title in (("ops.storage", "Storage"), ("ops.gateway", ""), ("releases", "Releases")):
            unique = f"{topic}.{name}"
            body = {"name": unique, "title": title, "publishers": ["*"]}
            await ok(theirs.post(f"{platform.api}/topics", json=body))
            await ok(own.put(f"{platform.api}/topics/{unique}/subscription", json={"email": "digest"}))
            data = {"host": "db-1", "free": {"bytes": 4_812_000, "percent": 4.7}, "mounts": ["/", "/var"]}
            for title_, body_, priority in EVENTS:
                sent = {"title": title_, "body": body_, "priority": priority, "data": data}
                await ok(theirs.post(f"{platform.api}/topics/{unique}/notifications", json=sent))
        reply = {"body": "Version **1.42** goes out at `14:00`; see the [plan](https://example.com/plan)."}
        await ok(own.post(f"{platform.api}/users/{other}/notifications", json=reply))
        await ok(theirs.post(f"{platform.api}/users/{email}/notifications", json={"title": "Are you on call?"}))
        mine = {"name": f"{name}.own", "title": "My own", "visibility": "private", "readers": ["olga@example.com"]}
        await ok(own.post(f"{platform.api}/topics", json=mine))
        await ok(own.post(f"{platform.api}/topics", json={"name": f"{name}.open"}))
        hebrew = {"title": "הדיסק כמעט מלא", "body": RIGHT_TO_LEFT, "priority": "high", "data": {"שרת": "db-1"}}
        await ok(own.post(f"{platform.api}/topics/{name}.own/notifications", json=hebrew))
        await ok(theirs.put(f"{platform.api}/topics/{name}.open/subscription", json={"email": "never"}))
        await ok(own.post(f"{platform.api}/topics/releases.{name}/acks", json={"up_to": 4}))
        await from_a_deleted_user(platform, email)
        yield name, theirs


async def from_a_deleted_user(platform: Platform, recipient: str) -> None:
    """Two messages whose sender is no more."""
    async with await signed_in(platform, await sign_up(platform, f"left{time.monotonic_ns()}")) as left:
        user = await id_of(left, platform)
        for body in ("The key of the **server room** is with Olga now.", "My last day is Friday. Thank you all!"):
            await ok(left.post(f"{platform.api}/users/{recipient}/notifications", json={"body": body}))
        await ok(left.delete(f"{platform.api}/me", json={"password": PASSWORD, "topics": "keep"}))
    await remove_all(platform, user)


async def signed_in(platform: Platform, email: str) -> aiohttp.ClientSession:
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{platform.api}/token", data=form) as response:
        token = (await response.json())["access_token"]
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})


async def id_of(session: aiohttp.ClientSession, platform: Platform) -> str:
    async with session.get(f"{platform.api}/me") as response:
        return str((await response.json())["id"])


async def ok(request: object) -> None:
    async with request as response:  # type: ignore[attr-defined]
        assert response.ok, await response.text()


async def visit(person: Person, path: str, ready: str) -> Page:
    page = await person.go(path)
    await expect(page.get_by_text(ready).first).to_be_visible()
    await page.wait_for_load_state("networkidle")
    return page


async def move(page: Page, path: str, ready: str) -> None:
    """Go to a path as the client's own links do: to load the client again takes a second of the processor."""
    await page.evaluate("path => history.pushState(null, '', path)", path)
    await expect(page.get_by_text(ready).first).to_be_visible()
    await page.wait_for_load_state("networkidle")


async def test_every_page_is_accessible_and_pictured(
    browser: Browser, platform: Platform, filled: tuple[str, aiohttp.ClientSession]
) -> None:
    name, theirs = filled
    olga = await id_of(theirs, platform)
    async with await signed_in(platform, await sign_up(platform, "newly")) as other:
        unwritten = await id_of(other, platform)
    pages = {
        "inbox": ("/inbox", "Are you on call?"),
        "found": ("/inbox?q=disk", "Disk almost full"),
        "messages": ("/messages", "Are you on call?"),
        "thread": (f"/messages/with/{olga}", "Are you on call?"),
        "thread-deleted": ("/messages/with/deleted", "nobody can be answered here"),
        "thread-new": (f"/messages/with/{unwritten}", "What you write below is the first"),
        "topics": ("/topics", "ops.gateway"),
        "topic": (f"/topics/ops.storage.{name}", "Disk almost full"),
        "topic-settings": (f"/topics/{name}.own/settings", "Retention"),
        "topic-declared": ("/topics/deploys/settings", "Declared in"),
        "account": ("/account", "Alerts in this browser"),
        "account-details": ("/account/details", "New password"),
        "account-keys": ("/account/keys", "You have no API keys"),
        "account-sessions": ("/account/sessions", "This one"),
        "account-data": ("/account/data", "Export my data"),
        "nowhere": ("/topics/nowhere", "There is no topic"),
    }
    found: dict[str, list[str]] = {}

    async def look(page: Page, what: str, size: str) -> None:
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await expect(page.locator(f"html[data-mantine-color-scheme={scheme}]")).to_have_count(1)
            await picture(page, what, size, scheme)
            if wrong := await violations(page, colours_only=scheme == "dark"):
                found[f"{what} {size} {scheme}"] = wrong

    async def look_in_each_size(page: Page, what: str, ready: str) -> None:
        for size, viewport in SIZES.items():
            await page.set_viewport_size(viewport)  # type: ignore[arg-type]  # a TypedDict
            await expect(page.get_by_text(ready).first).to_be_visible()
            await look(page, what, size)

    async with someone(browser, platform, name) as person:
        for what, (path, ready) in pages.items():
            await look_in_each_size(await visit(person, path, ready), what, ready)
        async with await signed_in(platform, person.email) as own:
            wish = {"email": f"{name}.of.the.operations.team@mail.example.com", "password": PASSWORD}
            await ok(own.put(f"{platform.api}/me/email", json=wish))
        ready = "Keep my address"
        await look_in_each_size(await visit(person, "/account/details", ready), "account-email-awaited", ready)
        for size, viewport in SIZES.items():
            await person.page.set_viewport_size(viewport)  # type: ignore[arg-type]  # as above
            page = await visit(person, f"/topics/{name}.open/settings", "Subscribers")
            await expect(page.get_by_role("listitem").filter(has_text="Olga")).to_contain_text("0 unread, email: never")
            await page.get_by_role("button", name="Grafana", exact=True).click()
            await page.get_by_role("button", name="Make the address").click()
            await expect(page.get_by_text("copy this now, it is shown once")).to_be_visible()
            await page.get_by_role("heading", name="Send here").evaluate("one => one.scrollIntoView()")
            await look(page, "topic-send-here", size)
            await move(page, f"/topics/ops.storage.{name}", "Disk almost full")
            article = page.get_by_role("article", name="Disk almost full")
            await article.get_by_role("button", expanded=False).click()
            await expect(article.get_by_role("link", name="runbook")).to_be_visible()
            await page.get_by_role("button", name="Publish").click()
            await expect(page.get_by_label("Body")).to_be_visible()
            await look(page, "topic-open", size)
            await move(page, f"/topics/{name}.own", "הדיסק")
            article = page.get_by_role("article", name="הדיסק כמעט מלא")
            if await article.get_by_role("table").count() == 0:
                await article.get_by_role("button", expanded=False).click()
            await expect(article.get_by_role("table").first).to_be_visible()
            # The ring of the focus is two pixels wide, within the button.
            assert await article.get_by_role("button", expanded=True).evaluate(ROOM_AT_RIGHT) >= 5
            await look(page, "topic-right-to-left", size)
            await move(page, "/topics", "ops.gateway")
            await page.get_by_role("button", name="New topic").click()
            await expect(page.get_by_role("dialog")).to_be_visible()
            await look(page, "topic-new", size)
            await move(page, "/account/data", "Export my data")
            async with page.expect_download() as saved:
                await page.get_by_role("button", name="Export my data").click()
            export = json.loads((await (await saved.value).path()).read_text())
            assert export["account"]["email"] == person.email
            await page.get_by_role("button", name="Delete my account").click()
            await page.get_by_label("Give them to somebody").check()
            await page.get_by_label("Their email address").fill("nobody@example.com")
            await page.get_by_label("Your password").fill(PASSWORD)
            await page.get_by_role("dialog").get_by_role("button", name="Delete my account").click()
            await expect(page.get_by_text("There is no other user with this address")).to_be_visible()
            await look(page, "account-delete", size)
            await move(page, "/account/keys", "Programs send a key")
            await page.get_by_role("button", name="New key").click()
            await page.get_by_role("dialog").get_by_label("Name").fill(f"Build server {size}")
            topics = page.get_by_role("combobox", name="Topics")
            await topics.fill("Bad Topic!")
            await topics.press("Enter")
            await expect(page.get_by_text("Bad Topic!: use a to z")).to_be_visible()
            await expect(page.get_by_role("listbox")).to_have_count(0)
            await topics.press("Backspace")
            await look(page, "account-key-new", size)
            await page.get_by_role("button", name="Create key").click()
            await expect(page.get_by_text("Try it in a terminal")).to_be_visible()
            await look(page, "account-key-made", size)
            await page.get_by_role("button", name=f"Delete the key Build server {size}").click()
            await page.get_by_role("button", name="Delete key", exact=True).click()
            await expect(page.get_by_text("You have no API keys")).to_be_visible()
        await move(page, "/inbox", "Are you on call?")
        await page.get_by_role("button", name="Menu").click()
        await expect(page.get_by_role("dialog").get_by_role("link", name="Inbox")).to_be_visible()
        await look(page, "menu", "phone")
        # What was asked for and is not there, or not right, is the one thing a browser reports here.
        assert [said for said in person.said if "status of 404" not in said and "status of 400" not in said] == []
    async with someone(browser, platform, "newly") as newly:
        await look_in_each_size(await visit(newly, "/inbox", "Nothing here yet"), "inbox-empty", "Nothing here yet")
        await newly.page.route(MISSING, away)
        await look_in_each_size(await visit(newly, "/inbox", AWAY), "inbox-troubled", AWAY)
    signed_out = await browser.new_context()
    page = await signed_out.new_page()
    for what, path, title in (
        ("sign-in", "sign-in", "Sign in"), ("sign-up", "sign-up", "Create your account"),
        ("forgot-password", "forgot-password", "Forgot your password?"),
        ("reset-password", await link_to_set_a_password(platform, f"{name}@example.com"), "Choose a new password"),
        ("reset-password-ended", "reset-password#x", "This link does not work any more"),
        ("confirm-email", "confirm-email#x", "Sign in"),
    ):  # fmt: skip
        await page.goto(f"{platform.gateway}/{path}")
        await expect(page).to_have_title(f"{title} · Notifyx")
        await look_in_each_size(page, what, READY.get(what, "Email"))
    await signed_out.close()
    assert found == {}, found


async def away(route: Route) -> None:
    await route.fulfill(status=503, json={"status": 503, "code": "unavailable", "detail": AWAY})


async def link_to_set_a_password(platform: Platform, email: str) -> str:
    async with aiohttp.ClientSession() as session:
        await ok(session.post(f"{platform.api}/password-resets", json={"email": email}))
    return (await link_in_mail(platform, email, "Set a new password")).removeprefix(f"{platform.gateway}/")


async def test_pages_of_the_server_are_accessible_and_lead_back(browser: Browser, platform: Platform) -> None:
    await sign_up(platform, "served")
    pages = {
        "mailbox": f"{platform.mailbox}/",
        "docs": f"{platform.api}/docs#publish",
        "verify": await link_in_mail(platform, "served@example.com", "Confirm your email address"),
        "verify-ended": f"{platform.gateway}/verify-email#some",
        "unsubscribe": f"{platform.gateway}/unsubscribe?token=some",
        "acknowledge": f"{platform.gateway}/acknowledge?token=some",
        "link-failed": f"{platform.gateway}/link-failed?why=link_expired",
        "lost": f"{platform.gateway}/nowhere",
    }
    found: dict[str, list[str]] = {}
    page = await browser.new_page(viewport=SIZES["phone"])  # type: ignore[arg-type]  # a TypedDict
    await page.goto(pages["mailbox"])
    row = page.get_by_role("listitem").filter(has_text="served@example.com").first
    pages["mail"] = f"{platform.mailbox}{await row.get_by_role('link').get_attribute('href')}"
    assert await row.evaluate(END_IS_LINK), "all of a row leads to its mail"
    for what, url in pages.items():
        await page.goto("about:blank")  # the next may differ behind the number sign alone
        await page.goto(url)
        if what == "verify-ended":
            await expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
        for width in (320, 390):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{what} at {width} px"
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            if wrong := await violations(page, colours_only=scheme == "dark"):
                found[f"{what} {scheme}"] = wrong
            if pictured() is not None:
                for size, viewport in SIZES.items():
                    await page.set_viewport_size(viewport)  # type: ignore[arg-type]  # as above
                    await picture(page, what, size, scheme)
        header = page.get_by_role("banner")
        back = header.get_by_role("link", name="Open Notifyx" if url.startswith(platform.mailbox) else "Inbox")
        assert (await back.get_attribute("href") or "") in ("/inbox", platform.gateway)
        if what == "verify":
            await page.get_by_label("Password", exact=True).fill("what I typed")
            await page.get_by_role("button", name="Show the password").first.click()
            await expect(page.get_by_label("Password", exact=True)).to_have_attribute("type", "text")
    assert found == {}, found
    await page.goto(pages["docs"])
    await page.get_by_role("searchbox").fill("unread counts")
    await expect(page.get_by_role("status")).to_contain_text(" of ")
    await expect(page.locator("#signUp")).to_be_hidden()
    # A mailbox that answers with an error is not taken for one without mail, and is asked again when it says so.
    await page.clock.install()
    await page.goto(pages["mailbox"])
    asked: list[Route] = []

    async def refuse(route: Route) -> None:
        asked.append(route)
        await route.fulfill(status=429, json={"detail": "Too many requests."}, headers={"Retry-After": "30"})

    async def asked_again() -> bool:
        return len(asked) == 2

    await page.route("**/api/messages?*", refuse)
    await page.clock.run_for(2000)
    late = page.get_by_role("status").filter(has_text="The mailbox answers with an error (HTTP 429)")
    await expect(late).to_be_visible()
    await page.clock.run_for(28_000)
    assert len(asked) == 1, "asked earlier than it may"
    await page.clock.run_for(2000)
    await eventually(asked_again)
    await page.unroute("**/api/messages?*")
    await page.clock.run_for(30_000)
    await expect(late).to_have_count(0)
    await expect(row).to_be_visible()
    await page.close()


async def test_long_names_fit_on_a_phone(browser: Browser, platform: Platform) -> None:
    long = "n" * 128
    async with someone(browser, platform, "longname") as person, await signed_in(platform, person.email) as own:
        topic = {"name": long, "title": "title " * 33, "publishers": [f"{long[:60]}@{long[:60]}.example"]}
        await ok(own.post(f"{platform.api}/topics", json=topic))
        await ok(own.put(f"{platform.api}/topics/{long}/subscription", json={"email": "never"}))
        table = "\n".join(f"|{cells * 8}" for cells in ("deployment|", "-|", "production|"))
        body = f"{long}\n\n```\n{'a line of a log ' * 20}\n```\n\n{table}"
        sent = {"title": "Short", "body": body, "data": {long: long}}
        await ok(own.post(f"{platform.api}/topics/{long}/notifications", json=sent))
        await person.page.set_viewport_size(SIZES["phone"])  # type: ignore[arg-type]  # a TypedDict
        for path, ready in (
            ("/inbox", "Short"), (f"/topics/{long}", "Short"),
            ("/topics", long), (f"/topics/{long}/settings", "Retention"), ("/topics/" + "x" * 128, "There is no topic"),
        ):  # fmt: skip
            page = await visit(person, path, ready)
            if path == "/inbox":
                await page.get_by_role("article").get_by_role("button", expanded=False).click()
                await expect(page.get_by_role("link", name=f"Open {long}")).to_be_visible()
                assert await page.get_by_role("cell", name="production").evaluate_all(WHOLE_WORDS)
            assert await page.evaluate(WIDER) == [], path
            assert await page.get_by_role("heading", level=1).evaluate(LINES) <= 2, path


async def test_the_first_load_is_light_and_obeys_a_strict_policy(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "light") as person:
        page = await person.context.new_page()
        session = await person.context.new_cdp_session(page)
        await session.send("Network.enable")
        await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        # On a slow machine the parts that a page loads some seconds later would belong to its first load.
        await page.add_init_script(
            "const set = setTimeout; setTimeout = (run, ms = 0, ...more) => ms < 3000 ? set(run, ms, ...more) : 0"
        )
        weights: list[float] = []
        session.on("Network.loadingFinished", lambda event: weights.append(event["encodedDataLength"]))
        parts = asyncio.Event()
        page.on("request", lambda request: parts.set() if "/assets/InboxPage" in request.url else None)

        async def wait_for_parts(route: Route) -> None:
            await parts.wait()
            await route.continue_()

        # One round trip less after the other: what is shown is not asked for only once it is known to whom.
        await page.route("**/api/v1/token", wait_for_parts)
        answer = await page.goto(f"{platform.gateway}/inbox")
        assert answer is not None
        await expect(page.get_by_text("Nothing here yet")).to_be_visible()
        assert sum(weights) < LARGEST_FIRST_LOAD
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["cache-control"] == "no-cache"
        assert person.said == []


async def test_ten_thousand_notifications_scroll(
    browser: Browser, platform: Platform, filled: tuple[str, aiohttp.ClientSession]
) -> None:
    name, other = filled
    topic = f"releases.{name}"
    for start in range(0, MANY, 1000):
        items = [{"topic": topic, "title": f"Build {number}"} for number in range(start, start + 1000)]
        await ok(other.post(f"{platform.api}/notifications:batch", json={"items": items}))
    async with someone(browser, platform, name) as person:
        page = await visit(person, f"/topics/{topic}", f"Build {MANY - 1}")
        feed = page.get_by_role("feed")
        scroller = feed.locator("..")
        # To the end again and again, in the page: asking from here for each step would take most of the time.
        most = await scroller.evaluate(
            """(one, oldest) => new Promise((resolve, reject) => {
                const until = performance.now() + 240_000;
                let most = 0;
                const step = () => {
                    const articles = [...one.querySelectorAll('article, [role=article]')];
                    most = Math.max(most, articles.length);
                    if (articles.some(article => article.textContent.includes(oldest))) return resolve(most);
                    if (performance.now() > until) return reject(new Error('the oldest was not reached'));
                    one.scrollTo(0, one.scrollHeight);
                    requestAnimationFrame(step);
                };
                step();
            })""",
            "Disk almost full",
        )
        assert 0 < most < 80, "only what is in sight is in the page"
        await expect(page.get_by_role("article", name="Disk almost full")).to_be_visible()
        # A second of scrolling back up: frames keep coming, but for one or another of a machine that stopped.
        slow = await scroller.evaluate(
            """one => new Promise(resolve => {
                let before = performance.now();
                const frames = [];
                const step = now => {
                    frames.push(now - before); before = now;
                    one.scrollBy(0, -400);
                    if (frames.length < 60) requestAnimationFrame(step);
                    else resolve(frames.sort((one, other) => one - other)[50]);
                };
                requestAnimationFrame(step);
            })"""
        )
        assert slow < 1000
        await scroller.evaluate("one => one.scrollTo(0, 0)")
        await expect(page.get_by_role("article", name=f"Build {MANY - 1}")).to_be_visible()
        await scroller.evaluate("one => one.scrollTo(0, 3000)")
        await expect(page.get_by_role("article", name=f"Build {MANY - 50}", exact=True)).to_be_visible()
        await ok(other.post(f"{platform.api}/topics/{topic}/notifications", json={"title": "While reading"}))
        await page.get_by_role("button", name="1 new notification").click()
        await expect(page.get_by_role("article", name="While reading")).to_be_visible()
        await searched_undone_and_found_again(page)
        assert person.said == []


async def searched_undone_and_found_again(page: Page) -> None:
    """In a long list: what stays (a search, the place, what is opened), and the end of all unread, taken back."""
    found = page.get_by_role("article", name="Build 4321", exact=True)
    await page.keyboard.press("/")
    await page.keyboard.type("build 4321")
    await expect(found).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(1)
    await page.reload()
    await expect(found).to_be_visible()
    await found.get_by_role("button", expanded=False).click()
    await page.get_by_role("link", name="No. 4327").click()
    await expect(page.get_by_role("region", name="The notification that the link leads to")).to_contain_text("4321")
    await page.get_by_role("region").get_by_role("button", name="Acknowledge").click()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("region").get_by_role("button", name="Acknowledge")).to_be_visible()
    await page.go_back()
    await expect(found.get_by_role("button", expanded=True)).to_be_visible()
    await page.go_back()
    newest = page.get_by_role("article", name="While reading")
    await expect(newest).to_be_visible()

    await page.evaluate("history.replaceState(null, '')")
    await page.get_by_role("feed").locator("..").evaluate("one => one.scrollTo(0, 4000)")
    place = page.get_by_role("article", name=f"Build {MANY - 64}", exact=True)
    await expect(place).to_be_in_viewport()

    async def kept() -> bool:
        return bool(await page.evaluate("history.state?.place"))

    await until(kept, "the page's entry in the history has its place")
    await place.get_by_role("button", expanded=False).click()
    await page.reload()
    await expect(place).to_be_in_viewport()
    await expect(place.get_by_role("button", expanded=True)).to_be_visible()
    await page.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    await page.go_back()
    await expect(place).to_be_in_viewport()
    await expect(place.get_by_role("button", expanded=True)).to_be_visible()

    await page.get_by_role("button", name="Acknowledge 10002", exact=True).click()
    await expect(page.get_by_role("button", name="All read")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("button", name="Acknowledge 10002", exact=True)).to_be_visible()
