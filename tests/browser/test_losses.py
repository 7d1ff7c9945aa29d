"""The web client while the gateway is killed, or its own network is gone: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg
import pytest
from playwright.async_api import Browser, Page, Route, expect

from notifyx_store.maintenance.retention import remove_batch
from support.browser import Person, someone
from support.platform import PASSWORD, Platform, eventually
from support.store_database import Topic as StoredTopic

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser-3"),
]


async def token_of(platform: Platform, person: Person) -> str:
    form = {"grant_type": "password", "username": person.email, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{platform.api}/token", data=form) as response:
        return str((await response.json())["access_token"])


async def call(platform: Platform, person: Person, method: str, path: str, body: object = None) -> object:
    headers = {"Authorization": f"Bearer {await token_of(platform, person)}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{platform.api}{path}", json=body) as response,
    ):
        assert response.ok, await response.text()
        return await response.json() if response.status != 204 else None


async def titles(platform: Platform, person: Person, topic: str) -> list[str]:
    page = await call(platform, person, "GET", f"/topics/{topic}/notifications?after=0")
    assert isinstance(page, dict)
    return [item["title"] for item in page["items"]]


async def shared_topic(platform: Platform, name: str, owner: Person, *others: Person) -> None:
    await call(platform, owner, "POST", "/topics", {"name": name, "publishers": ["*"]})
    for person in (owner, *others):
        await call(platform, person, "PUT", f"/topics/{name}/subscription", {"email": "never"})
        await person.go(f"/topics/{name}")
        await person.live()
        await expect(person.page.get_by_text("Nothing was published here yet")).to_be_visible()


async def publish(page: Page, title: str) -> None:
    await page.get_by_role("button", name="Publish").click()
    form = page.get_by_role("form", name="Publish to")
    await form.get_by_label("Title").fill(title)
    await page.keyboard.press("Control+Enter")
    await expect(form).to_have_count(0)


async def shown(page: Page) -> list[str]:
    return list(await page.get_by_role("article").evaluate_all("all => all.map(one => one.ariaLabel)"))


async def test_the_gateway_is_killed_while_people_publish_and_acknowledge(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "lena") as lena, someone(browser, platform, "milo") as milo:
        await shared_topic(platform, "losses.kill", lena, milo)
        expected: list[str] = []
        killed: dict[str, int] = {}
        for number in range(9):
            if number % 3 == 1:
                await platform.replaced(killed)
                killed = {"gateway": platform.kill("gateway")}
            await publish(lena.page, f"Step {number}")
            expected.append(f"Step {number}")
        for person in (lena, milo):
            await expect(person.page.get_by_role("article")).to_have_count(9, timeout=60_000)
            await person.live()
            assert await shown(person.page) == expected[::-1]
        # The answers that were lost with a gateway are asked for again, after the client's pauses.
        await expect(lena.page.get_by_role("region", name="Not sent yet")).to_have_count(0, timeout=60_000)
        assert await titles(platform, lena, "losses.kill") == expected

        newest = milo.page.get_by_role("article", name="Step 8")
        killed = {"gateway": platform.kill("gateway")}
        await newest.get_by_role("button", name="Acknowledge").click()
        await expect(newest.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await expect(milo.page.get_by_role("button", name="Acknowledge 8", exact=True)).to_be_visible()
        # Until its window has noticed, it still says that it is live.
        await platform.replaced(killed)
        await milo.live()
        await milo.page.reload()
        await expect(milo.page.get_by_role("button", name="Acknowledge 8", exact=True)).to_be_visible()
        await expect(newest).to_be_visible()
        await expect(newest.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await milo.live()
        with platform.stopped("gateway"):
            await expect(milo.page.get_by_text("No answer", exact=True)).to_be_visible()
            assert await milo.page.get_by_text("Live", exact=True).count() == 0
        await milo.live()


async def test_offline_and_back(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "ned") as ned, someone(browser, platform, "oona") as oona:
        await shared_topic(platform, "losses.offline", ned, oona)
        await publish(oona.page, "Before")
        await expect(ned.page.get_by_role("button", name="Acknowledge 1", exact=True)).to_be_visible()

        await ned.go_offline()
        await expect(ned.page.get_by_role("status")).to_contain_text("Offline")
        acknowledge = ned.page.get_by_role("article").get_by_role("button", name="Acknowledge")
        await ned.page.get_by_role("button", name="Acknowledge 1", exact=True).click()
        await expect(acknowledge).to_have_count(0)
        await ned.page.get_by_role("button", name="Undo").click()
        await expect(ned.page.get_by_role("button", name="Acknowledge 1", exact=True)).to_be_visible()
        await acknowledge.click()
        await publish(ned.page, "Mine, first")
        await publish(ned.page, "Mine, second")
        unsent = ned.page.get_by_role("region", name="Not sent yet")
        await expect(unsent).to_contain_text("Waiting to be sent. The server cannot be reached.")
        await expect(ned.page.get_by_role("status")).to_contain_text(re.compile(r"Offline.*waiting"))
        for number in range(3):
            await publish(oona.page, f"Theirs {number}")
        await expect(oona.page.get_by_role("article")).to_have_count(4)
        assert await titles(platform, oona, "losses.offline") == ["Before", "Theirs 0", "Theirs 1", "Theirs 2"]

        await ned.context.set_offline(False)
        await ned.live()
        await expect(ned.page.get_by_text("3 notifications arrived while you were away.")).to_be_visible()
        await expect(unsent).to_have_count(0)
        expected = ["Before", "Theirs 0", "Theirs 1", "Theirs 2", "Mine, first", "Mine, second"]
        for person in (ned, oona):
            await expect(person.page.get_by_role("article")).to_have_count(6)
            assert await shown(person.page) == expected[::-1]
        assert await titles(platform, oona, "losses.offline") == expected
        await expect(ned.page.get_by_role("button", name="Acknowledge 5", exact=True)).to_be_visible()


async def test_what_is_removed_before_its_delivery_is_not_silent(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "saul") as saul, someone(browser, platform, "tess") as tess:
        await shared_topic(platform, "losses.missing", saul, tess)

        # While the window is away: the answer to its next join tells.
        await saul.go_offline()
        await expect(saul.page.get_by_role("status")).to_contain_text("Offline")
        expires_at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        brief = {"title": "Too late", "expires_at": expires_at}
        await call(platform, tess, "POST", "/topics/losses.missing/notifications", brief)

        async def removed() -> bool:
            return await titles(platform, tess, "losses.missing") == []

        await eventually(removed)
        await saul.context.set_offline(False)
        await saul.live()
        await expect(saul.page.get_by_text("1 notification expired before you could see it.")).to_be_visible()

        # While it is live, in one transaction, so that no reading of the log finds them: the event tells.
        database = await asyncpg.connect(platform.store_database)
        try:
            async with database.transaction():
                row = await database.fetchrow("SELECT id, name FROM topics WHERE name = 'losses.missing'")
                topic = StoredTopic(row["id"], row["name"], database)
                await topic.publish(3, expires_at=datetime.now(UTC))
                assert (await remove_batch(database, topic.id, "expires_at", datetime.now(UTC))).removed == 3
        finally:
            await database.close()
        await publish(tess.page, "Still there")
        for person in (saul, tess):
            await expect(person.page.get_by_text("3 notifications expired before you could see them.")).to_be_visible()
            await expect(person.page.get_by_role("article")).to_have_count(1)
            assert await shown(person.page) == ["Still there"]
        await expect(saul.page.get_by_role("button", name="Acknowledge 1", exact=True)).to_be_visible()
        row = saul.page.get_by_role("article")
        await row.get_by_role("button", name="Acknowledge").click()
        await expect(saul.page.get_by_role("button", name="Undo")).to_be_visible()
        await row.get_by_role("button", expanded=False).focus()
        await saul.page.keyboard.press("u")
        await expect(row.get_by_role("button", name="Acknowledge")).to_be_visible()
        await expect(saul.page.get_by_role("button", name="Undo")).to_have_count(0)
        await call(platform, saul, "PATCH", "/topics/losses.missing", {"visibility": "private"})
        await expect(tess.page.get_by_text("You may no longer read this topic, or it is gone.")).to_be_visible()
        await expect(tess.page.get_by_role("article")).to_have_count(0)
        await expect(saul.page.get_by_text("Private", exact=True)).to_be_visible()


async def test_what_a_deleted_topic_refuses_goes_to_another(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "remy") as remy:
        await call(platform, remy, "POST", "/topics", {"name": "losses.other"})
        await call(platform, remy, "PATCH", "/topics/losses.other", {"paused": True})
        await remy.go("/topics/losses.other")
        await expect(remy.page.get_by_text("This topic is paused: nothing can be published")).to_be_visible()
        await expect(remy.page.get_by_text("Paused", exact=True)).to_be_visible()
        await remy.live()
        await call(platform, remy, "PATCH", "/topics/losses.other", {"paused": False})
        await expect(remy.page.get_by_text("Paused", exact=True)).to_have_count(0)
        await expect(remy.page.get_by_role("button", name="Publish")).to_be_visible()
        await shared_topic(platform, "losses.deleted", remy)
        page = remy.page
        await page.get_by_role("button", name="Publish").click()
        form = page.get_by_role("form", name="Publish to")
        await form.get_by_label("Body").fill("For R&amp;D")
        await call(platform, remy, "DELETE", "/topics/losses.deleted")
        await expect(page.get_by_text("This topic was deleted.")).to_be_visible()
        await form.get_by_role("button", name="Publish").click()
        unsent = page.get_by_role("region", name="Not sent yet")
        await expect(unsent).to_contain_text("For R&D")
        await unsent.get_by_role("button", name="Edit").click()
        await expect(form.get_by_label("Body")).to_have_value("For R&amp;D")
        await form.get_by_label("Topic").fill("losses.other")
        await form.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("heading", name="losses.other")).to_be_visible()
        await expect(page.get_by_role("article", name="For R&D")).to_be_visible()
        await expect(unsent).to_have_count(0)


async def test_what_waits_survives_the_window(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "pia") as pia:
        await shared_topic(platform, "losses.window", pia)
        other = await pia.window("/inbox")
        await expect(other.get_by_text("Live", exact=True)).to_be_visible()
        await pia.go_offline()
        await publish(pia.page, "Written and closed")
        await expect(pia.page.get_by_role("region", name="Not sent yet")).to_be_visible()
        await pia.page.close()
        await pia.context.set_offline(False)
        await expect(other.get_by_role("article", name="Written and closed")).to_be_visible()
        assert await titles(platform, pia, "losses.window") == ["Written and closed"]


async def test_a_list_that_could_not_be_loaded_loads_by_itself(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "quin") as quin:
        await shared_topic(platform, "losses.load", quin)
        await publish(quin.page, "There all the time")
        refused = []

        async def refuse(route: Route) -> None:
            refused.append(route.request.url)
            await route.abort()

        await quin.page.route("**/api/v1/inbox?*", refuse, times=2)
        await quin.go("/inbox")
        await expect(quin.page.get_by_role("main")).to_contain_text("The server cannot be reached.")
        await expect(quin.page.get_by_role("article", name="There all the time")).to_be_visible()
        assert len(refused) == 2


async def test_what_is_not_known_is_not_none(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "ruth") as ruth:
        page, answering = ruth.page, asyncio.Event()

        async def hang(route: Route) -> None:
            await answering.wait()
            await route.continue_()

        async def away(route: Route) -> None:
            problem = {"status": 503, "code": "unavailable", "detail": "Topics cannot be reached at the moment."}
            await route.fulfill(status=503, json=problem)

        await page.route("**/api/v1/me", hang)
        await page.route(re.compile(r"/api/v1/(subscriptions|inbox\?.*|topics\?.*)$"), away)
        await ruth.go("/inbox")
        await expect(page.get_by_text("The server has not answered yet.")).to_be_visible()
        answering.set()
        told = page.get_by_text("Topics cannot be reached at the moment.")
        await expect(told).to_be_visible()
        await expect(page.get_by_text("Unread: not known yet")).to_be_visible()
        for place in ("Loading your topics", "Loading older notifications"):
            await expect(page.get_by_label(place)).to_be_visible()
        assert await told.count() == 1, "said once for all parts"
        await expect(page.get_by_role("button", name="Try again")).to_have_count(1)
        await expect(page.get_by_text("Partly working")).to_be_visible()
        for claim in ("Nothing unread", "No topics yet", "Nothing here yet", "Live"):
            assert await page.get_by_text(claim, exact=True).count() == 0, claim
        await page.get_by_role("link", name="Topics", exact=True).click()
        await expect(page.get_by_role("main")).to_contain_text("Topics cannot be reached at the moment.")
        assert await page.get_by_text("There are no topics yet").count() == 0
        await page.unroute_all()
        await page.get_by_role("button", name="Try again").click()
        await expect(told).to_have_count(0)
        await ruth.live()
        await expect(page.get_by_role("link", name="deploys", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Inbox").click()
        await expect(page.get_by_text("Nothing unread")).to_be_visible()


async def test_a_part_that_could_not_be_loaded_takes_nothing_away(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "rosa") as rosa:
        await shared_topic(platform, "losses.part", rosa)
        await rosa.page.route("**/assets/Composer-*.js", lambda route: route.abort())
        await rosa.go("/topics/losses.part")
        await expect(rosa.page.get_by_text("Nothing was published here yet")).to_be_visible()
        await rosa.ready_for_offline()
        await rosa.page.route("**/topics/losses.part", lambda route: route.abort())  # a reload would end here
        await rosa.page.get_by_role("button", name="Publish").click()
        await expect(rosa.page.get_by_text("This part of the page could not be loaded.")).to_be_visible()
        await expect(rosa.page.get_by_role("heading", name="losses.part")).to_be_visible()
        await rosa.page.unroute_all()
        await rosa.page.get_by_role("button", name="Reload the page").click()
        answering = asyncio.Event()

        async def hang(route: Route) -> None:
            await answering.wait()
            await route.continue_()

        await rosa.page.route("**/losses.part/notifications", hang)
        await publish(rosa.page, "There after all")
        unsent = rosa.page.get_by_role("region", name="Not sent yet")
        await expect(unsent).to_contain_text("Sending. The server has not answered yet.")
        await expect(unsent.get_by_role("button", name="Discard")).to_have_count(0)
        await expect(rosa.page.get_by_text("1 change waiting")).to_be_visible()
        answering.set()
        await expect(rosa.page.get_by_role("article", name="There after all")).to_be_visible()
        await expect(unsent).to_have_count(0)
