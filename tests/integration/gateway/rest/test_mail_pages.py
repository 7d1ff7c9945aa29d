"""The way of an email address: verification, an unread mail, one click to stop it. Real SMTP."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_gateway.errors import RateLimited
from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, PUBLIC_URL, Stack, running_stack
from support.patience import PATIENCE, until
from support.smtp import Mailbox, running_smtp

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
"""What mail programs post (RFC 8058)."""


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as running:
        yield running


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox) -> AsyncIterator[Stack]:
    mailer = {"smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none"}
    async with running_stack(postgres, gateway={"dispatch_email": True}, mailer=mailer) as running:
        yield running


def link_in(box: Mailbox, number: int, page: str) -> str:
    """The path of the link to ``page`` in an email that arrived."""
    part = box.received[number].message.get_body(("plain",))
    assert part is not None
    found = re.search(rf"{re.escape(PUBLIC_URL)}(/{page}(?:\?token=|#)\S+)", part.get_content())
    assert found is not None, part.get_content()
    return found.group(1)


async def page(stack: Stack, method: str, path: str, **form: str) -> tuple[int, str]:
    """The answer to a person: what is behind the ``#`` of ``path`` goes from the page into its form.

    What a form did, or why it cannot, is said by another page, which can be loaded again, and whose address has no
    secret; unless the form is there once more, to be filled in better.
    """
    path, behind, secret = path.partition("#")
    if method == "POST":
        form |= {"page": "1"} | ({"token": secret} if behind else {})
    async with stack.session.request(method, f"{stack.url}{path}", data=form or None) as response:
        assert response.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "no-referrer"
        text = await response.text()
        if method == "POST" and 'name="password"' not in text:
            assert [one.status for one in response.history] == [303]
            assert not re.search("token=|password|forged|@", str(response.url))
            async with stack.session.get(response.url) as again:
                assert (again.status, await again.text()) == (response.status, text)
        assert text.count("<script") == ('id="incomplete"' in text), "the one that reads the link"
        return response.status, text


async def test_an_address_is_verified_by_a_button_and_mailed_until_one_click_stops_it(
    stack: Stack, box: Mailbox
) -> None:
    bob = await stack.person("bob")
    await box.wait_until(lambda: len(box.received) == 1)
    link = link_in(box, 0, "verify-email")
    status, text = await page(stack, "GET", link)
    assert status == 200
    assert 'method="post"' in text
    old = link.replace("#", "?token=")
    assert f'value="{link.partition("#")[2]}"' in (await page(stack, "GET", old))[1], "a link of before goes on"
    assert (await stack.ok("GET", "/me", bob))["email_verified"] is False
    for wrong, shown in (({"password": "wrong"}, "not the password"), ({"new_password": "short"}, "at least 8")):
        status, text = await page(stack, "POST", link, **wrong)
        assert (status, shown in text) == (400, True), text
    assert (await page(stack, "POST", link, password=PASSWORD))[0] == 200
    assert (await stack.ok("GET", "/me", bob))["email_verified"] is True
    status, text = await page(stack, "POST", link, password=PASSWORD)
    assert (status, "If your address is verified, nothing is left to do" in text, 'href="/account"' in text) == (
        400,
        True,
        True,
    )
    assert (await stack.call("POST", "/me/verification", bob)).code == "already_verified"

    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t", "title": "The <topic>"})
    await stack.ok("PUT", "/topics/t/subscription", bob, json={"email": "every"})
    await stack.ok("POST", "/topics/t/notifications", ada, json={"title": "Hello & welcome"})
    await box.wait_until(lambda: len([one for one in box.received if one.recipient == "bob@example.com"]) == 2)
    number = next(at for at, one in enumerate(box.received) if at > 0 and one.recipient == "bob@example.com")
    mail = box.received[number].message
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    acknowledge = link_in(box, number, "acknowledge")
    for method, count in (("GET", 1), ("HEAD", 1), ("POST", 0), ("POST", 0), ("GET", 0)):
        if method == "HEAD":
            async with stack.session.head(f"{stack.url}{acknowledge}") as response:
                assert response.status == 200
        else:
            status, text = await page(stack, method, acknowledge)
            assert status == 200, text
            asks = "This marks everything in the email as read, on all your devices." in text
            assert (asks, 'method="post"' in text, 'href="/topics/t"' in text) == (count, count, not count), text
            assert ("Nothing in this email is unread any more." in text) == (method == "GET" and not count)
        inbox = await stack.ok("GET", "/inbox", bob, params={"unread": "true"})
        assert len(inbox["items"]) == count, "only the button acknowledges"
    unsubscribe = str(mail["List-Unsubscribe"]).strip("<>").removeprefix(PUBLIC_URL)
    status, text = await page(stack, "GET", unsubscribe)
    assert (status, 'method="post"' in text) == (200, True)
    assert (await stack.ok("GET", "/topics/t/subscription", bob))["email"] == "every"
    url = f"{stack.url}{unsubscribe}"
    async with stack.session.post(url, data=ONE_CLICK, allow_redirects=False) as response:
        assert response.status == 200, "mail programs follow no redirect (RFC 8058)"
    assert (await stack.ok("GET", "/topics/t/subscription", bob))["email"] == "never"
    status, text = await page(stack, "GET", unsubscribe)
    assert (status, 'method="post"' in text, "These emails are stopped" in text) == (200, False, True)


async def test_what_is_over_the_hourly_number_is_one_mail_whose_links_are_for_all_its_topics(
    postgres: Cluster, box: Mailbox
) -> None:
    mailer = {"smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none"}
    gateway, store = {"dispatch_email": True}, {"mails_per_hour": 1}
    async with running_stack(postgres, gateway=gateway, mailer=mailer, store=store) as stack:
        ann = await stack.person("ann")
        await box.wait_until(lambda: len(box.received) == 1)
        await page(stack, "POST", link_in(box, 0, "verify-email"), password=PASSWORD)
        for name, title in (("disks", "Disks & co"), ("builds", "")):
            await stack.ok("POST", "/topics", ann, json={"name": name, "title": title})
            await stack.ok("PUT", f"/topics/{name}/subscription", ann, json={"email": "every"})
        await stack.ok("POST", "/topics/disks/notifications", ann, json={"title": "first"})
        await box.wait_until(lambda: len(box.received) == 2)
        items = [{"topic": topic, "title": f"{topic} {n}"} for n in range(3) for topic in ("disks", "builds")]
        await stack.ok("POST", "/notifications:batch", ann, json={"items": items})
        async with stack.store.parts.pool.acquire() as connection:
            waiting = "SELECT count(*) = 6 FROM outbox WHERE digest_at IS NOT NULL"
            await until(lambda: connection.fetchval(waiting), "six wait for a digest")
            await connection.execute("UPDATE outbox SET digest_at = created_at WHERE digest_at IS NOT NULL")
        await box.wait_until(lambda: len(box.received) == 3)
        message = box.received[2].message
        assert message["Subject"] == "[2 topics] 6 unread notifications"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        part = message.get_body(("plain",))
        assert part is not None
        text = part.get_content()
        assert "More than 1 email in an hour was due to you" in text
        assert f"{PUBLIC_URL}/topics/builds/n/1" in text
        link = link_in(box, 2, "unsubscribe")
        status, text = await page(stack, "GET", link)
        assert (status, "Disks &amp; co" in text, 'value="builds" checked' in text) == (200, True, True), text
        assert "No topic was ticked" in (await page(stack, "POST", link, choice="1"))[1]
        assert "ticked: 1" in (await page(stack, "POST", link, **{"choice": "1", "choice-2": "builds"}))[1]
        modes = {
            name: (await stack.ok("GET", f"/topics/{name}/subscription", ann))["email"] for name in ("disks", "builds")
        }
        assert modes == {"disks": "every", "builds": "never"}
        status, text = await page(stack, "GET", link)
        assert (status, "no longer get email for Disks &amp; co." in text, "builds" in text) == (200, True, False), text
        status, text = await page(stack, "POST", link_in(box, 2, "acknowledge"))
        assert (status, "notifications are read" in text) == (200, True), text
        async with stack.session.post(f"{stack.url}{link}", data=ONE_CLICK, allow_redirects=False) as response:
            assert response.status == 200
        assert (await stack.ok("GET", "/topics/disks/subscription", ann))["email"] == "never"


async def test_mail_waits_for_verification_and_after_a_refusal_until_it_is_tried_again(
    stack: Stack, box: Mailbox
) -> None:
    dan = await stack.person("dan")
    await box.wait_until(lambda: len(box.received) == 1)
    await stack.ok("POST", "/topics", dan, json={"name": "t"})
    await stack.ok("PUT", "/topics/t/subscription", dan, json={"email": "every"})
    for title in ("early", "read already"):
        await stack.ok("POST", "/topics/t/notifications", dan, json={"title": title})
    async with asyncio.timeout(PATIENCE):
        while (await stack.ok("GET", "/me/email", dan))["held"] < 2:
            await asyncio.sleep(0.05)
    await stack.ok("POST", "/topics/t/acks", dan, json={"seqs": [2]})
    status, text = await page(stack, "POST", link_in(box, 0, "verify-email"), password=PASSWORD)
    assert (status, "Emails that waited for it: 2." in text) == (200, True), text
    await box.wait_until(lambda: len(box.received) == 2)
    assert box.received[1].message["Subject"].endswith("early")
    assert (await stack.ok("GET", "/me/email", dan))["state"] == "on"
    assert await stack.ok("POST", "/me/email/resume", dan) == {"resumed": 0, "dropped": 0}
    box.rcpt["dan@example.com"] = "550 5.1.1 no such user"
    await stack.ok("POST", "/topics/t/notifications", dan, json={"title": "held"})
    async with asyncio.timeout(PATIENCE):
        while (state := await stack.ok("GET", "/me/email", dan))["state"] == "on":
            await asyncio.sleep(0.05)
    assert (state["state"], state["held"]) == ("paused", 1)
    assert "550 5.1.1 no such user" in state["reason"]
    assert state["next_try_at"] > state["since"]
    box.rcpt.clear()
    assert await stack.ok("POST", "/me/email/resume", dan) == {"resumed": 1, "dropped": 0}
    await box.wait_until(lambda: len(box.received) == 3)
    async with asyncio.timeout(PATIENCE):
        while (await stack.ok("GET", "/me/email", dan))["state"] != "on":
            await asyncio.sleep(0.05)
    assert (await stack.call("GET", "/me/email")).status == 401


async def test_another_verification_mail_on_request_is_paced(stack: Stack, box: Mailbox) -> None:
    eve = await stack.person("eve")
    await box.wait_until(lambda: len(box.received) == 1)
    reply = await stack.call("POST", "/me/verification", eve)
    assert (reply.status, reply.code) == (429, "too_many_requests")


async def test_broken_links_are_pages_not_problems(stack: Stack) -> None:
    for path in (
        "/unsubscribe", "/unsubscribe?token=", "/acknowledge", f"/unsubscribe?token={'x' * 600}",
    ):  # fmt: skip
        for method in ("GET", "POST"):
            assert (await page(stack, method, path))[0] == 400
    for path in (
        "/unsubscribe/done", "/unsubscribe/done?all=1", "/acknowledge/done?notifications=2",
        "/verify-email/done?reset=1&released=99999&dropped=3", "/verify-email/done?result=AAAA",
        "/verify-email/done?result=%00", f"/acknowledge/done?result={'9' * 5000}",
        "/link-failed", "/link-failed?why=anything",
    ):  # fmt: skip
        async with stack.session.get(f"{stack.url}{path}") as response:
            assert response.status == 404, path
            said = await response.text()
            assert not any(words in said for words in ("Verified", "Acknowledged", "Done", "is verified.")), said
    assert (await page(stack, "GET", "/verify-email?token=%00"))[0] == 400
    assert (await page(stack, "POST", "/verify-email", password="x"))[0] == 400
    forged = f"{'0' * 32}.9999999999.{'A' * 43}"
    for path in ("/unsubscribe?token=forged", "/acknowledge?token=forged", f"/acknowledge?token={forged}"):
        for method in ("GET", "POST"):
            status, text = await page(stack, method, path)
            assert (status, 'href="/"' in text, 'method="post"' in text) == (400, True, False), text
        async with stack.session.post(f"{stack.url}{path}", data=ONE_CLICK, allow_redirects=False) as response:
            moved = path.startswith("/acknowledge")  # which only its page posts to
            assert response.status == (303 if moved else 400), "mail programs follow no redirect"
    assert (await page(stack, "POST", "/verify-email", token="<script>", password="x"))[0] == 400
    status, text = await page(stack, "GET", "/verify-email?token=%22%3E%3Cscript%3E")
    assert (status, "&lt;script" in text) == (200, True)


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("No store.", retry_after=7), 503), (RateLimited("Slower.", retry_after=7), 429)]
)
async def test_a_form_that_may_succeed_later_is_answered_so_that_a_reload_sends_it_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, error: NotifyxError, status: int
) -> None:
    async def fail(*_: object) -> None:
        raise error

    for name in ("stop_emails", "acknowledge_mail"):
        monkeypatch.setattr(stack.gateway.store, name, fail)
    monkeypatch.setattr(stack.gateway.auth, "verify_email", fail)
    for path, form in (
        ("/unsubscribe?token=x", {"page": "1"}), ("/unsubscribe?token=x", ONE_CLICK), ("/acknowledge?token=x", {}),
        ("/verify-email", {"token": "x", "password": "x"}),
    ):  # fmt: skip
        async with stack.session.post(f"{stack.url}{path}", data=form, allow_redirects=False) as response:
            assert (response.status, response.headers["Retry-After"]) == (status, "7"), path
            text = await response.text()
            assert "<h1>Not now</h1>" in text or 'name="password"' in text, text


async def test_without_a_mailer_the_platform_works_and_says_that_email_is_off(postgres: Cluster) -> None:
    bob = {"email": "bob@example.com", "password": PASSWORD}
    async with running_stack(postgres, mailer=None) as stack:
        ada = await stack.person("ada")
        assert (await stack.call("POST", "/me/verification", ada)).code == "email_off"
        made = await stack.ok("POST", "/users", json=bob)
        assert made["mail"] == "unknown", "no mailer has said yet that there is no email"
        assert "not known" in made["mail_detail"]
    async with running_stack(postgres, mailer={}) as stack:
        ada = await stack.person("ada")
        assert (await stack.call("POST", "/me/verification", ada)).code == "email_off"

        async def told() -> bool:
            return (await stack.ok("GET", "/config"))["email"] is False

        await until(told, "the gateway knows that its mailer sends nothing")
        made = await stack.ok("POST", "/users", json=bob)
        assert (made["mail"], made["mail_detail"]) == ("off", "")


async def test_the_documents_are_there_and_need_nothing_from_elsewhere(stack: Stack) -> None:
    async with stack.session.get(f"{stack.url}/api/v1/docs") as response:
        text = await response.text()
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "/api/v1/topics/{name}/notifications" in text
    assert "`" not in text, "no Markdown is left as its source"
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert (await stack.ok("GET", "/.well-known/jwks.json"))["keys"][0]["kty"] == "EC"
    described = await stack.ok("GET", "/openapi.json")
    assert described["openapi"] == "3.1.0"
    longest = stack.gateway.settings.notification_body
    body = described["paths"]["/api/v1/topics/{name}/notifications"]["post"]["requestBody"]["content"]
    assert body["text/plain"]["schema"]["maxLength"] == longest
    assert described["components"]["schemas"]["NewNotification"]["properties"]["body"]["maxLength"] == longest
    async with stack.session.get(f"{stack.url}/api/v1/asyncapi.yaml") as response:
        assert (await response.text()).count(f"body: {{ type: string, maxLength: {longest} }}") == 2


async def test_documents_are_compressed_and_what_holds_a_secret_is_not(stack: Stack) -> None:
    accepts = {"Accept-Encoding": "gzip"}
    sizes: dict[str, int] = {}
    for path in ("/api/v1/openapi.json", "/api/v1/docs", "/api/v1/asyncapi.yaml", "/dashboard", "/dashboard/live"):
        async with stack.session.get(f"{stack.url}{path}", headers=accepts) as response:
            assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
            sizes[path] = int(response.headers["Content-Length"])
            assert gzip.decompress(await response.read()), "it is what it says"
        async with stack.session.get(f"{stack.url}{path}", headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            assert len(await response.read()) > 2 * sizes[path]
    # What is chosen by others beside a secret would tell of it by its length.
    for path in ("/verify-email?token=secret", "/unsubscribe?token=secret", "/nowhere", "/api/v1/config"):
        async with stack.session.get(f"{stack.url}{path}", headers=accepts) as response:
            assert "Content-Encoding" not in response.headers, path
