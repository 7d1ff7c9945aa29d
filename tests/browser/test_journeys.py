"""What people do with the web client, two of them and in several windows at once."""

from __future__ import annotations

import asyncio
import functools
import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from playwright.async_api import Browser, Locator, Page, Route, WebSocket, expect

from support.browser import Person, console, sign_in, sign_up, someone
from support.deleted_users import remove_all
from support.mail import link_in_mail
from support.patience import until
from support.platform import PASSWORD, Platform, eventually, person

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser-2"),
]

BACK_TWICE = "void setTimeout(() => history.go(-2))"
"""Begins once it was answered, as the page that answers is left."""


async def make_topic(person: Person, name: str) -> None:
    page = await person.go("/topics")
    await page.get_by_role("button", name="New topic").click()
    await page.get_by_role("dialog").get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create topic").click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()


async def publish(page: Page, title: str, body: str = "", data: str = "", priority: str = "Normal") -> None:
    await page.get_by_role("button", name="Publish").click()
    form = page.get_by_role("form", name="Publish to")
    await form.get_by_label("Title").fill(title)
    await form.get_by_label("Body").fill(body)
    if data:
        await form.get_by_role("button", name="Add data").click()
        await form.get_by_label("Data").fill(data)
    await form.get_by_text(priority, exact=True).click()
    await form.get_by_role("button", name="Publish").click()
    await expect(form).to_have_count(0)


async def test_a_newcomer_signs_up_and_stays_signed_in(browser: Browser, platform: Platform) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(platform.gateway)
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Name").fill("New Comer")
    await page.get_by_label("Email").fill("newcomer@example.com")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    sockets: list[WebSocket] = []

    def opened(socket: WebSocket) -> None:
        sockets.append(socket)

    page.on("websocket", opened)
    await page.reload()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()

    async def once_closed(route: Route) -> None:
        await until(
            lambda: all(socket.is_closed() for socket in sockets), "the socket is closed before its session ends"
        )
        await route.continue_()

    await page.route("**/token/revoke", once_closed)
    await page.get_by_role("button", name="New Comer").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert len(sockets) == 1, "no other one with the ended session"
    await page.reload()
    await page.get_by_label("Email").fill("newcomer@example.com")
    await page.get_by_label("Password", exact=True).fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text(re.compile("password", re.IGNORECASE))
    await context.close()


async def test_a_forgotten_password_and_a_new_address(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "finn") as finn:
        page = await finn.go("/forgot-password")
        await page.get_by_label("Email").fill(finn.email)
        await page.get_by_role("button", name="Send the link").click()
        await expect(page.get_by_role("status")).to_contain_text("If there is an account with this address")
        link = await link_in_mail(platform, finn.email, "Set a new password")
        await page.goto(link)
        password = page.get_by_label("New password", exact=True)
        await password.fill("password123")
        await expect(page).to_have_url(f"{platform.gateway}/reset-password")
        await page.reload()
        await password.fill("password123")
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_text("most common")).to_be_visible()
        await password.fill("something quite new")
        await page.get_by_role("button", name="Set the password").click()
        done, ended = page.get_by_role("heading", name="Your password is set"), page.get_by_role("alert")
        await expect(done).to_be_visible()
        # The same tab knows the page, and the link: pasted, reloaded, and found on the way back.
        await page.goto(link)
        await expect(ended).to_contain_text("This link does not work any more")
        await expect(password.or_(done)).to_have_count(0)
        await page.reload()
        await expect(ended).to_contain_text("It was used already")
        await page.get_by_role("link", name="Back to sign in").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.go_back()
        await expect(ended).to_contain_text("It was used already")
        await expect(password.or_(done)).to_have_count(0)
        await page.goto(f"{platform.gateway}/confirm-email#wrong")
        ended = page.get_by_role("alert").filter(has_text="This link does not work")
        await expect(ended).to_be_visible()
        await page.get_by_label("Email").fill(finn.email)
        await page.get_by_label("Password", exact=True).fill("something quite new")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Confirm your new address")).to_be_visible()
        await ended.get_by_role("link", name="Name, email and password").click()
        form = page.get_by_role("form", name="Email")
        await form.get_by_label("New email").fill("finn@new.example")
        await form.get_by_label("Current password", exact=True).fill("something quite new")
        await form.get_by_role("button", name="Change email").click()
        for _ in range(2):
            await expect(form.get_by_role("status")).to_contain_text("A mail was sent to finn@new.example")
            await expect(form.get_by_role("status")).to_contain_text("which works until")
            await page.reload()
        link = await link_in_mail(platform, "finn@new.example", "Confirm your new email address")
        await page.goto(link)
        await page.reload()
        await expect(page.get_by_role("main")).to_contain_text("to use finn@new.example instead")
        await page.get_by_role("button", name="Use this address").click()
        await expect(page.get_by_role("status").get_by_text("finn@new.example")).to_be_visible()
        await expect(page).to_have_url(f"{platform.gateway}/confirm-email")
        await page.goto(link)
        await expect(ended).to_contain_text("This link does not work: it was used already")
        await expect(page).to_have_url(f"{platform.gateway}/confirm-email")
        await page.goto(f"{platform.gateway}/account/details")
        await form.get_by_label("New email").fill("finn@third.example")
        await form.get_by_label("Current password", exact=True).fill("something quite new")
        await form.get_by_role("button", name="Change email").click()
        await form.get_by_role("button", name="Keep my address").click()
        await expect(form.get_by_role("status")).to_have_count(0)
        await page.reload()
        await expect(form.get_by_role("button", name="Change email")).to_be_visible()
        await expect(form.get_by_role("status")).to_have_count(0)
        await page.goto(await link_in_mail(platform, "finn@third.example", "Confirm your new email address"))
        await expect(ended).to_contain_text("This link does not work")


async def test_from_nothing_to_an_email(browser: Browser, platform: Platform) -> None:
    """All that a stranger does in the first two minutes: an account, a topic, a notification, an email, and read it."""
    context = await browser.new_context()
    page = await context.new_page()
    said = console(context, everything=True)
    await page.goto(platform.gateway)
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Name").fill("Nina")
    await page.get_by_label("Email").fill("nina@example.com")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    nina = Person("Nina", "nina@example.com", platform, context, page)
    await nina.live()

    mail = await context.new_page()
    await mail.goto(platform.mailbox)
    row = mail.get_by_role("listitem").filter(has_text="nina@example.com")
    await row.get_by_role("link", name="Confirm your email").click()
    to_verify = mail.locator("pre").get_by_role("link", name="verify-email")
    link = await to_verify.get_attribute("href")
    assert link is not None
    async with context.expect_page() as opened:
        await to_verify.click()
    confirm = await opened.value
    await expect(confirm).to_have_url(f"{platform.gateway}/verify-email")
    await confirm.reload()
    await confirm.get_by_label("Password", exact=True).fill("not my password")
    await confirm.get_by_role("button", name="Verify this address").click()
    await expect(confirm.get_by_role("alert")).to_contain_text("not the password")
    await confirm.reload()  # which sends no form again, and keeps the link
    await expect(confirm.get_by_role("alert")).to_have_count(0)
    await confirm.get_by_label("Password", exact=True).fill(PASSWORD)
    await confirm.get_by_role("button", name="Verify this address").click()
    verified = confirm.get_by_text("Your email address is verified.")
    await expect(verified).to_be_visible()
    await confirm.reload()  # which sends no form again
    await expect(verified).to_be_visible()
    # The link pasted over the answer, and the way back to the form before that.
    for again in (functools.partial(confirm.goto, link), functools.partial(confirm.evaluate, BACK_TWICE)):
        await again()
        await expect(confirm.get_by_role("alert")).to_contain_text("This link does not work")
        await expect(confirm.get_by_label("Password", exact=True)).to_be_hidden()
        await expect(verified).to_have_count(0)

    await make_topic(nina, "first.steps")
    await page.get_by_role("button", name="Email: never").click()
    await page.get_by_role("menuitemradio", name="For every notification").click()
    await expect(page.get_by_role("button", name="Email: every one")).to_be_visible()
    await publish(page, "It works", "The first of many.")
    article = page.get_by_role("article", name="It works")
    await expect(article).to_be_visible()

    await mail.goto(platform.mailbox)
    # The mailbox's page shows new mail by itself.
    await mail.get_by_role("listitem").filter(has_text="nina@example.com").get_by_role("link", name="It works").click()
    await expect(mail.get_by_text("The first of many.").first).to_be_visible()
    await article.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_role("button", name="All read")).to_be_disabled()
    # A link that has ended, of which the page asked, and the wrong password are all that a browser reports here.
    assert [one for one in said if "/links/check" not in one and "/verify-email?sent" not in one] == []
    await context.close()


async def test_what_one_publishes_another_reads_and_acknowledges_in_two_windows(
    browser: Browser, platform: Platform
) -> None:
    async with someone(browser, platform, "ada") as ada, someone(browser, platform, "bob") as bob:
        await make_topic(ada, "journey.deploys")
        page = await bob.go("/topics")
        await page.get_by_role("searchbox").fill("Journey.")
        row = page.get_by_role("listitem").filter(has_text="journey.deploys")
        await row.get_by_role("button", name="Subscribe").click()
        await expect(row.get_by_role("button", name="Email: never")).to_be_visible()
        await page.get_by_role("link", name="Inbox").click()
        await bob.live()
        second = await bob.window("/topics/journey.deploys")
        await expect(second.get_by_text("Live", exact=True)).to_be_visible()

        body = "Rolled out to **all** clusters.\n\n- [runbook](https://example.com)\n\n<img src=x onerror=alert(1)>"
        data = '{"version": "1.42", "zones": ["a", "b"], "build": 12345678901234567890, "log": "https://example.com/1"}'
        await publish(ada.page, "Version 1.42 is live", body, data, "Urgent")

        article = page.get_by_role("article", name="Version 1.42 is live")
        await expect(article).to_contain_text("Urgent")
        await expect(article).to_contain_text("Ada")
        await article.get_by_role("button", expanded=False).click()
        await expect(article.locator("strong")).to_have_text("all")
        await expect(article.get_by_role("link", name="runbook")).to_have_attribute("rel", "noopener noreferrer")
        await expect(article.locator("img")).to_have_count(0)
        await expect(article.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
        await expect(article.get_by_role("definition").first).to_have_text("1.42")
        await expect(article.get_by_role("definition").nth(2)).to_have_text("12345678901234567890")
        log = article.get_by_role("definition").get_by_role("link", name="https://example.com/1")
        await expect(log).to_have_attribute("rel", "noopener noreferrer")
        await expect(page).to_have_title("(1) Inbox · Notifyx")

        theirs = second.get_by_role("article", name="Version 1.42 is live")
        await expect(theirs.get_by_role("button", name="Acknowledge")).to_be_visible()
        await article.get_by_role("button", name="Acknowledge").click()
        await expect(theirs.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await expect(page).to_have_title("Inbox · Notifyx")
        await expect(second).to_have_title("journey.deploys · Notifyx")

        for number in range(3):
            await publish(ada.page, f"Step {number}")
        await expect(second.get_by_role("button", name="Acknowledge 3", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Acknowledge all").click()
        await expect(second.get_by_role("button", name="All read")).to_be_disabled()
        titles = await second.get_by_role("article").evaluate_all("all => all.map(one => one.ariaLabel)")
        assert titles == ["Step 2", "Step 1", "Step 0", "Version 1.42 is live"]
        await second.reload()
        await expect(second.get_by_role("article")).to_have_count(4)
        await expect(second.get_by_role("button", name="All read")).to_be_disabled()

        # A subscription begins at the end of what is there: nothing above turns unread.
        await second.get_by_role("button", name="Email: never").click()
        await second.get_by_role("menuitem", name="Unsubscribe").click()
        await expect(second.get_by_role("button", name="Subscribe", exact=True)).to_be_visible()
        await publish(ada.page, "While he was away")
        await expect(second.get_by_role("article", name="While he was away")).to_be_visible()
        await second.get_by_role("button", name="Subscribe", exact=True).click()
        await expect(second.get_by_role("button", name="All read")).to_be_disabled()
        await expect(second.get_by_role("button", name="Acknowledge:")).to_have_count(0)

        await ada.page.get_by_role("link", name="Settings").click()
        await ada.page.get_by_role("button", name="Delete this topic").click()
        dialog = ada.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Up to 5 notifications kept in it")
        await expect(dialog.get_by_role("button", name="Delete topic")).to_be_disabled()
        await dialog.get_by_role("textbox").fill("journey.deploys")
        await dialog.get_by_role("button", name="Delete topic").click()
        await expect(second.get_by_text("This topic was deleted.")).to_be_visible()
        await expect(page.get_by_role("article")).to_have_count(0)
        assert (ada.said, bob.said) == ([], [])


async def test_a_direct_message_and_how_it_is_mailed(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "carl") as carl, someone(browser, platform, "dora") as dora:
        await dora.go("/inbox")
        await dora.live()
        page = await carl.go("/messages")
        await page.get_by_role("button", name="New message").click()
        form = page.get_by_role("form", name="New direct message")
        await form.get_by_label("To").fill("dora@example.com")
        await form.get_by_label("Title").fill("Lunch?")
        await page.keyboard.press("Control+Enter")
        await expect(dora.page.get_by_role("article", name="Lunch?")).to_contain_text("Direct messages")
        people = page.get_by_role("list", name="People")
        await expect(people.get_by_role("link", name="dora")).to_contain_text("You: Lunch?")
        await people.get_by_role("link", name="dora").click()
        await expect(page).to_have_url(re.compile("/messages/with/"))
        theirs = await dora.go("/messages")
        await expect(theirs.get_by_role("link", name="carl")).to_contain_text("1 unread")
        await theirs.get_by_role("link", name="carl").click()
        for one, said in ((theirs, "Yes, at *noon*"), (page, "See you there")):
            await one.get_by_label("Message to").fill(said)
            await expect(one.get_by_role("form", name="Your message").get_by_text("Ctrl Enter")).to_be_visible()
            await one.keyboard.press("Control+Enter")
            await expect(one.get_by_role("article", name=said.replace("*", ""))).to_contain_text("You")
            await expect(one.get_by_text("Sending")).to_have_count(0)
        for one in (theirs, page):
            await expect(one.get_by_role("article")).to_have_count(3)
            await one.reload()
            await expect(one.get_by_role("article", name="See you there")).to_be_visible()
            await expect(one.get_by_role("article")).to_have_count(3)
        async with person(platform, "carl") as phone:
            await phone.call("POST", "/users/dora@example.com/notifications", json={"body": "From my phone"})
        await expect(page.get_by_role("article", name="From my phone")).to_contain_text("You")
        await theirs.get_by_role("button", name="Acknowledge 3").click()
        await expect(theirs.get_by_role("button", name="All read")).to_be_visible()
        await page.go_back()
        await page.get_by_role("searchbox", name="Search your direct messages").fill("lunch")
        sent = page.get_by_role("article", name="Lunch?")
        await expect(sent).to_contain_text("To Dora")
        await expect(sent.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await page.go_back()
        await page.get_by_role("button", name="New message").click()
        await form.get_by_label("To").fill("nobody@example.com")
        await form.get_by_label("Title").fill("Hello?")
        await form.get_by_role("button", name="Send").click()
        unsent = page.get_by_role("region", name="Not sent yet")
        await expect(unsent).to_contain_text("There is no such user.")
        await unsent.get_by_role("button", name="Edit").click()
        await expect(unsent).to_have_count(0)
        await expect(form.get_by_label("Title")).to_have_value("Hello?")
        await form.get_by_label("To").fill("noone@example.com")
        await form.get_by_role("button", name="Send").click()
        await expect(unsent).to_contain_text("To noone@example.com: There is no such user.")
        await unsent.get_by_role("button", name="Discard").click()
        await expect(unsent).to_have_count(0)
        await carl.go("/messages/with/1b4e28ba-2fa1-41d2-883f-0016d3cca427")
        await expect(page.get_by_text("There is no such user.")).to_be_visible()
        await expect(page.get_by_label("Message to")).to_have_count(0)
        theirs = await dora.go("/messages")
        await theirs.get_by_role("button", name="Email: if unread").click()
        await expect(theirs.get_by_text("Confirm your address first: open the link")).to_be_visible()
        await theirs.get_by_role("menuitemradio", name="As a digest").click()
        await expect(theirs.get_by_role("button", name="Email: digest, waiting")).to_be_visible()
        await expect(theirs.get_by_text("Email waits until you open the link in the mail to dora")).to_be_visible()

        async with person(platform, "carl") as sender:
            soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
            message = {"title": "Now or never", "expires_at": soon}
            await sender.call("POST", "/users/dora@example.com/notifications", json=message)
        missed = theirs.get_by_text("1 notification was removed by retention or expiry before you read it.")
        await expect(missed).to_be_visible()
        await theirs.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(missed).to_have_count(0)
        await theirs.reload()
        await expect(theirs.get_by_role("button", name="All read")).to_be_disabled()
        await expect(missed).to_have_count(0)
        await changed_on_another_device(dora)
        assert dora.said == []


async def changed_on_another_device(person_here: Person) -> None:
    """What an open page has read is there as it is now for who comes back to the window, or to the page."""
    page = await person_here.go("/account/keys")
    await expect(page.get_by_text("You have no API keys.")).to_be_visible()
    async with person(person_here.platform, person_here.name) as phone:

        async def coming_back(shown: Locator) -> None:
            async def once() -> bool:
                await page.evaluate("window.dispatchEvent(new Event('focus'))")
                return await shown.is_visible()

            await eventually(once)

        await phone.call("POST", "/api-keys", json={"name": "From the phone", "scopes": ["read"]})
        await coming_back(page.get_by_role("listitem").filter(has_text="From the phone"))
        await phone.call("PATCH", "/me", json={"name": "Theodora"})

        async def going_there() -> bool:
            await page.get_by_role("link", name="Account", exact=True).click()
            await expect(page.get_by_role("heading", name="Account and alerts")).to_be_visible()
            await page.get_by_role("link", name="Change name, email or password").click()
            return await page.get_by_role("textbox", name="Name").input_value() == "Theodora"

        await eventually(going_there)
        await page.get_by_label("Current password").first.fill("typed")
        await phone.call("PATCH", "/me", json={"name": "Lea"})
        await coming_back(page.get_by_role("button", name="Lea"))
        await expect(page.get_by_role("textbox", name="Name")).to_have_value("Lea")
        await expect(page.get_by_label("Current password").first).to_have_value("typed")


DESKTOP = """
localStorage.setItem("notifyx.alerts", '{"desktop": true}');
document.hasFocus = () => false;
window.Notification = class {
  static permission = "granted";
  constructor(title) { window.told = this; document.documentElement.dataset.told = title; }
  close() { this.closed = true; }
};
"""
"""A browser whose user allows desktop notifications and looks elsewhere."""


async def test_a_click_on_a_desktop_notification_opens_it(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "ines") as ines, person(platform, "carl") as sender:
        await ines.page.add_init_script(DESKTOP)
        page = await ines.go("/topics")
        await ines.live()
        sent = {"title": "The build is red", "body": "See the **log**."}
        await sender.call("POST", "/users/ines@example.com/notifications", json=sent)
        await expect(page.locator("html")).to_have_attribute("data-told", "Direct messages: The build is red")
        await page.evaluate("window.told.onclick()")
        await expect(page).to_have_url(f"{platform.gateway}/messages/n/1")
        await expect(page.get_by_role("article", name="The build is red")).to_contain_text("See the log.")
        assert await page.evaluate("window.told.closed")
        await page.go_back()
        await expect(page.get_by_role("heading", name="Topics")).to_be_visible()


async def test_an_address_of_no_notification_says_so(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "nan") as nan, person(platform, "nan") as phone:
        await phone.call("POST", "/topics", json={"name": "nan.topic"})
        for title, lasts in (("One", 3600), ("Two", 1), ("Three", 3600)):
            until = (datetime.now(UTC) + timedelta(seconds=lasts)).isoformat()
            await phone.call("POST", "/topics/nan.topic/notifications", json={"title": title, "expires_at": until})

        async def expired() -> bool:
            return len((await phone.call("GET", "/topics/nan.topic/notifications"))["items"]) == 2

        await eventually(expired)
        nowhere, removed, never = (
            "There is no notification at this address.",
            "The notification that the link leads to (no. 2) was removed by retention or expiry.",
            "There is no notification no. 99 here yet.",
        )
        for path, sentence in (
            ("/topics/nan.topic/n/abc", nowhere), ("/topics/nan.topic/n/0", nowhere), ("/messages/n/-1", nowhere),
            ("/topics/nan.topic/n/2", removed), ("/topics/nan.topic/n/99", never),
            ("/messages/n/99", never),
        ):  # fmt: skip
            page = await nan.go(path)
            await expect(page.get_by_text(sentence)).to_be_visible()
            await expect(page.get_by_role("article")).to_have_count(2 if "topics" in path else 0)
        page = await nan.go("/topics/nan.topic/n/1")
        await expect(page.get_by_role("article", name="One")).to_have_attribute("data-linked", "true")
        for sentence in (nowhere, removed, never):
            await expect(page.get_by_text(sentence)).to_have_count(0)


async def test_a_row_reads_in_the_direction_of_its_letters(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "yara") as yara, person(platform, "carl") as sender:
        page = await yara.go("/inbox")
        for title, body, direction in (("مرحبا", "نص قصير", "rtl"), ("Hello", "A short text", "ltr")):
            message = {"title": title, "body": body}
            await sender.call("POST", "/users/yara@example.com/notifications", json=message)
            article = page.get_by_role("article", name=title)
            for words in (title, body):
                await expect(article.get_by_text(words)).to_have_css("direction", direction)


async def test_what_a_resource_declares_can_only_be_read(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "erik") as erik:
        page = await erik.go("/topics/deploys/settings")
        await expect(page.get_by_role("alert")).to_contain_text("Declared in the file teams.yaml")
        await expect(page.get_by_label("Title")).to_be_disabled()
        await expect(page.get_by_role("button", name="Save changes")).to_have_count(0)
        await expect(page.get_by_role("button", name="Delete this topic")).to_have_count(0)


async def test_settings_are_changed_by_their_creator(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "fay") as fay:
        await make_topic(fay, "fay.private")
        page = fay.page
        await page.get_by_role("link", name="Settings").click()
        await expect(page.get_by_role("group").get_by_text("You", exact=True)).to_be_visible()  # the creator
        title = page.get_by_label("Title")
        await title.fill("Fay's own")
        dialog = page.get_by_role("dialog", name="Leave without saving?")
        await page.get_by_role("link", name="Inbox").click()
        await dialog.get_by_role("button", name="Discard and leave").click()
        await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
        await page.go_back()
        await expect(title).to_have_value("")
        await title.fill("Fay's own")
        await page.go_back()
        await dialog.get_by_role("button", name="Stay").click()
        await expect(title).to_have_value("Fay's own")
        await page.go_back()
        await dialog.get_by_role("button", name="Keep and leave").click()
        await page.get_by_role("link", name="Settings").click()
        await expect(title).to_have_value("Fay's own")
        async with page.expect_event("dialog") as asked:
            reloading = asyncio.ensure_future(page.reload())
        assert (await asked.value).type == "beforeunload"
        await (await asked.value).accept()
        await reloading
        await expect(title).to_have_value("Fay's own")
        await page.get_by_text("Private", exact=True).click()
        readers = page.get_by_role("combobox", name="Who else reads")
        await expect(readers).to_have_accessible_description(re.compile("counts once its owner has signed up"))
        await readers.fill("gus@example.com")
        await page.keyboard.press("Enter")
        for field, typed in (("Keep for", "1.5"), ("Keep at most", "2.5")):
            await page.get_by_label(field, exact=True).fill("")
            await page.get_by_label(field, exact=True).press_sequentially(typed)
            await expect(page.get_by_label(field, exact=True)).to_have_value(typed)
        await expect(page.get_by_text("This is no whole number.")).to_be_visible()
        await expect(page.get_by_role("button", name="Save changes")).to_be_disabled()
        await page.get_by_label("Keep at most", exact=True).fill("100,000")
        await page.get_by_label("Keep for", exact=True).fill("7")
        await page.get_by_role("button", name="Save changes").click()
        await expect(page.get_by_text("Saved. An address counts once its owner has signed up")).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("Title")).to_have_value("Fay's own")
        await expect(page.get_by_label("Keep for", exact=True)).to_have_value("7")
        await expect(page.get_by_label('Unit of "Keep for"')).to_have_value("days")
        await expect(page.get_by_text("gus@example.com")).to_be_visible()
        await page.get_by_role("link", name="Back to the topic").click()
        await page.get_by_role("link", name="Send here from other software").click()
        await expect(page.get_by_role("heading", name="Send here")).to_be_focused()
        await expect(page.get_by_role("heading", name="Send here")).to_be_in_viewport()
        await page.get_by_role("button", name="Grafana").click()
        await expect(page.get_by_role("list", name="Secrets").get_by_role("listitem")).to_have_count(0)
        await page.get_by_label("Name of the sender").fill("In Frankfurt")
        await page.get_by_role("button", name="Make the address").click()
        lines = await page.get_by_role("status").get_by_text("/hooks/grafana/nfh_").inner_text()
        async with aiohttp.ClientSession() as grafana:
            firing = {"status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "DiskFull"}}]}
            async with grafana.post(lines, json=firing) as response:
                assert response.status == 200, await response.text()
            await page.get_by_role("button", name="Rotate the secret for Grafana (In Frankfurt)").click()
            await page.get_by_role("dialog").get_by_role("button", name="Rotate secret").click()
            address = page.get_by_role("status").get_by_text("/hooks/grafana/nfh_")
            await expect(address).not_to_have_text(lines)
            async with grafana.post(lines, json=firing) as response:
                assert response.status == 401, await response.text()
            lines = await address.inner_text()
            async with grafana.post(lines, json=firing) as response:
                assert response.status == 200, await response.text()
            await page.get_by_role("button", name="Revoke the secret for Grafana").click()
            await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            await expect(page.get_by_role("list", name="Secrets").get_by_role("listitem")).to_have_count(1)
            await page.get_by_role("button", name="Revoke the secret for Grafana").click()
            await page.get_by_role("dialog").get_by_role("button", name="Revoke secret").click()
            await expect(page.get_by_role("list", name="Secrets").get_by_role("listitem")).to_have_count(0)
            async with grafana.post(lines, json=firing) as response:
                assert response.status == 401, await response.text()
        await expect(page.get_by_text("/hooks/grafana/nfh_")).to_have_count(0)
        await page.get_by_role("button", name="Standard Webhooks").click()
        await page.get_by_role("button", name="Make the address").click()
        await expect(page.get_by_role("status").get_by_text("whsec_")).to_be_visible()
        await page.get_by_role("button", name="Rotate the secret for Standard Webhooks").click()
        await page.get_by_role("dialog").get_by_label("Their signing secret").fill("whsec_that-the-sender-made")
        await page.get_by_role("dialog").get_by_role("button", name="Rotate secret").click()
        await expect(page.get_by_role("status").get_by_text("whsec_that-the-sender-made")).to_be_visible()
        async with someone(browser, platform, "hal") as hal:
            theirs = await hal.go("/topics/fay.private")
            await expect(theirs.get_by_text("There is no topic")).to_be_visible()


async def test_many_windows_share_a_session_and_signing_out_everywhere_ends_it(
    browser: Browser, platform: Platform
) -> None:
    async with someone(browser, platform, "ivy") as ivy, someone(browser, platform, "ivy") as elsewhere:
        await elsewhere.go("/inbox")
        await elsewhere.live()
        windows = await asyncio.gather(*(ivy.window() for _ in range(5)))
        for _ in range(3):
            await asyncio.gather(*(window.reload() for window in windows))
        for window in windows:
            await expect(window.get_by_role("heading", name="Inbox")).to_be_visible()
            await expect(window.get_by_text("Live", exact=True)).to_be_visible()
        page = await ivy.go("/account")
        reconnected: list[str] = []
        elsewhere.page.on("websocket", lambda socket: reconnected.append(socket.url))
        await page.get_by_role("link", name="Sessions").click()
        await page.get_by_role("button", name="Sign out everywhere").click()
        for window in windows:
            await expect(window.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(elsewhere.page.get_by_text("Your session has ended; sign in again.")).to_be_visible()
        assert reconnected == []
        await sign_in(elsewhere)


async def test_what_changes_in_an_account_shows_on_its_other_devices(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "amy") as amy, person(platform, "amy") as phone:
        page, keys = await amy.go("/account/details"), await amy.window("/account/keys")
        sessions = await amy.window("/account/sessions")
        for window in (page, keys, sessions):
            await expect(window.get_by_text("Live", exact=True)).to_be_visible()
        signed_in = sessions.get_by_role("list", name="Sessions").get_by_role("listitem")
        await expect(signed_in).to_have_count(2)
        async with person(platform, "amy"):
            await expect(signed_in).to_have_count(3)
        await phone.call("PATCH", "/me", json={"name": "Amy Elsewhere"})
        for window in (page, keys):
            await expect(window.get_by_role("button", name="Amy Elsewhere")).to_be_visible()
        await phone.call("PUT", "/me/email", json={"email": "amy@new.example", "password": PASSWORD})
        status = page.get_by_role("form", name="Email").get_by_role("status")
        await expect(status).to_contain_text("A mail was sent to amy@new.example")
        await phone.call("DELETE", "/me/email/change")
        await expect(status).to_have_count(0)
        made = await phone.call("POST", "/api-keys", json={"name": "Build server", "scopes": ["read"]})
        await expect(keys.get_by_text("Build server")).to_be_visible()
        await phone.call("DELETE", f"/api-keys/{made['id']}")
        await expect(keys.get_by_text("Build server")).to_have_count(0)


async def test_an_account_is_deleted_and_its_topics_are_somebody_elses(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "zed") as zed, someone(browser, platform, "yan") as yan:
        async with person(platform, "zed") as phone:
            left = phone.id
            for title in ("One", "Two"):
                await phone.call("POST", "/users/yan@example.com/notifications", json={"title": title})
        page = await zed.go("/topics")

        async def lost(route: Route) -> None:
            await route.fetch()
            await route.abort()

        await page.route("**/api/v1/topics", lost, times=1)
        await page.route("**/zed.topic/subscription", lambda route: route.abort(), times=1)
        await page.get_by_role("button", name="New topic").click()
        await page.get_by_role("dialog").get_by_label("Name").fill("zed.topic")
        await page.get_by_role("button", name="Create topic").click()
        await expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        await page.get_by_role("button", name="Create topic").click()
        await expect(page.get_by_role("heading", name="zed.topic")).to_be_visible()
        await expect(page.get_by_text("The topic is made, but you are not subscribed yet.")).to_be_visible()
        page = await zed.go("/account/data")
        await page.get_by_role("button", name="Delete my account").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Give them to somebody").check()
        await dialog.get_by_label("Their email address").fill("admin@example.com")
        await dialog.get_by_label("Your password").fill("not the password")
        await dialog.get_by_role("button", name="Delete my account").click()
        await expect(dialog.get_by_text("This is not the password of the account.")).to_be_visible()
        await dialog.get_by_label("Your password").fill(PASSWORD)
        await dialog.get_by_role("button", name="Delete my account").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.get_by_text("The account of zed@example.com is deleted.")).to_be_visible()
        await page.get_by_label("Email").fill("zed@example.com")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("The email or the password is wrong.")).to_be_visible()
        await remove_all(platform, left)
        theirs = await yan.go("/messages")
        await expect(theirs.get_by_role("link", name="Deleted user")).to_contain_text("2 unread")
        await theirs.get_by_role("link", name="Deleted user").click()
        await expect(theirs.get_by_role("heading", name="Deleted user")).to_be_visible()
        await expect(theirs.get_by_role("article")).to_have_count(2)
        await expect(theirs.get_by_text("nobody can be answered here")).to_be_visible()
        await expect(theirs.get_by_label("Message to")).to_have_count(0)
        await theirs.get_by_role("button", name="Acknowledge 2").click()
        await expect(theirs.get_by_role("button", name="All read")).to_be_visible()
        await theirs.get_by_role("link", name="Direct messages", exact=True).last.click()
        await expect(theirs.get_by_role("link", name="Deleted user")).not_to_contain_text("unread")
        await expect(theirs.get_by_role("button", name="All read")).to_be_disabled()


async def test_keys_are_enough(browser: Browser, platform: Platform) -> None:
    await sign_up(platform, "kim")
    async with someone(browser, platform, "kim") as kim:
        await make_topic(kim, "kim.keys")
        for number in range(3):
            await publish(kim.page, f"Note {number}")
        await expect(kim.page.get_by_role("article")).to_have_count(3)
        # From wherever the focus is to the first, and on.
        await kim.page.keyboard.press("j")
        await kim.page.keyboard.press("j")
        await kim.page.keyboard.press("a")
        second = kim.page.get_by_role("article", name="Note 1")
        await expect(second.get_by_role("button", name="Acknowledge")).to_have_count(0)
        await kim.page.keyboard.press("Enter")
        await expect(second.get_by_role("button", expanded=True)).to_be_focused()
        await expect(kim.page.get_by_role("button", name="Acknowledge 2", exact=True)).to_be_visible()
        await kim.page.keyboard.press("?")
        await expect(kim.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        await kim.page.keyboard.press("Escape")
        await expect(kim.page.get_by_role("dialog")).to_have_count(0)
        # Who reads by keys goes on where they were.
        await expect(second.get_by_role("button", expanded=True)).to_be_focused()
        await kim.page.get_by_role("button", name="Publish").click()
        form = kim.page.get_by_role("form", name="Publish to")
        await form.get_by_label("Title").fill("Half written, j and ?")
        await kim.page.keyboard.press("Escape")
        await expect(form).to_have_count(0)
        await expect(kim.page.get_by_text("Kept as a draft until you close this window.")).to_be_visible()
        await kim.page.reload()
        await expect(kim.page.get_by_role("article")).to_have_count(3)
        await kim.page.keyboard.press("Tab")
        await expect(kim.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await kim.page.keyboard.press("Enter")
        await expect(kim.page.get_by_role("main")).to_be_focused()
        await kim.page.get_by_role("button", name="Continue your draft").click()
        await expect(form.get_by_label("Title")).to_have_value("Half written, j and ?")
        # A field to type a name into, however few topics there are: its letters are no keys of the page.
        await kim.page.keyboard.press("Control+k")
        field = kim.page.get_by_role("searchbox", name="Filter your topics")
        await expect(field).to_be_focused()
        await kim.page.keyboard.type("ja")
        await expect(field).to_have_value("ja")
        await expect(kim.page.get_by_role("button", name="Acknowledge 2", exact=True)).to_be_visible()
        await kim.page.keyboard.press("Escape")
        await expect(field).to_have_value("")
        await kim.page.set_viewport_size({"width": 700, "height": 800})
        menu = kim.page.get_by_role("button", name="Menu")
        await menu.focus()  # it is there once the page is laid out anew
        await kim.page.keyboard.press("Control+k")
        await expect(kim.page.get_by_role("dialog").get_by_role("searchbox")).to_be_focused()
        await kim.page.keyboard.press("Escape")
        await expect(menu).to_be_focused()
        await menu.press("Enter")
        await kim.page.get_by_role("dialog").get_by_role("link", name="Topics", exact=True).press("Enter")
        await expect(kim.page.get_by_role("heading", name="Topics", exact=True)).to_be_visible()
        await expect(kim.page.get_by_role("main")).to_be_focused()
        new = kim.page.get_by_role("button", name="New topic")
        await new.press("Enter")
        await expect(kim.page.get_by_role("dialog", name="New topic").get_by_label("Name")).to_be_focused()
        await kim.page.keyboard.press("Escape")
        await expect(new).to_be_focused()


async def test_a_wrong_clock_of_the_browser_moves_no_times(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "tim") as tim:
        await make_topic(tim, "tim.clock")
        await publish(tim.page, "Just now")
        await tim.page.clock.install(time=datetime.now(UTC) + timedelta(days=1))
        page = await tim.go("/topics/tim.clock")
        row = page.get_by_role("article", name="Just now")
        await expect(row.get_by_text("now", exact=True)).to_be_visible()


async def test_on_paper_a_notification_goes_on_to_the_next_sheet(browser: Browser, platform: Platform) -> None:
    async with someone(browser, platform, "pim") as pim:
        await make_topic(pim, "pim.paper")
        await publish(pim.page, "Long", "\n".join(f"Line {number}" for number in range(200)))
        await pim.page.get_by_role("article", name="Long").get_by_role("button", expanded=False).click()
        await expect(pim.page.get_by_text("Line 199")).to_be_attached()
        printed = await pim.page.pdf(format="A4")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 2
        await pim.page.emulate_media(media="print")
        await expect(pim.page.get_by_role("navigation")).to_be_hidden()
        await expect(pim.page.get_by_role("button", name="Publish")).to_be_hidden()
        assert await pim.page.evaluate("document.documentElement.scrollHeight > 2 * innerHeight")
