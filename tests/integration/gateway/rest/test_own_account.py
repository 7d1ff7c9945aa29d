"""A forgotten password, and another password, name and address: through the gateway, with mail by real SMTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import pytest

from notifyx_common.contracts.auth import ResolvedUser
from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, PUBLIC_URL, Stack, mailing_stack, running_stack
from support.patience import until
from support.smtp import Mailbox, running_smtp

ADA, NEW = "ada@example.com", "a new horse battery"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as running:
        yield running


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox) -> AsyncIterator[Stack]:
    async with mailing_stack(postgres, box, gateway={"dispatch_email": True}) as running:
        yield running


async def mail_to(box: Mailbox, recipient: str, subject: str) -> str:
    """The text of the mail of that subject, once it has arrived."""

    def found() -> list[str]:
        mails = [
            one.message for one in box.received if one.recipient == recipient and one.message["Subject"] == subject
        ]
        bodies = [mail.get_body(("plain",)) for mail in mails]
        return [body.get_content() for body in bodies if body is not None]

    await box.wait_until(lambda: bool(found()))
    return found()[-1]


def token_in(text: str, page: str) -> str:
    """The token of the link to ``page``, which no server sees: it is behind the number sign."""
    match = re.search(rf"{re.escape(PUBLIC_URL)}/{page}#(\S+)", text)
    assert match is not None, text
    return match[1]


async def sign_in(stack: Stack, email: str, password: str) -> int:
    form = {"grant_type": "password", "username": email, "password": password}
    return (await stack.call("POST", "/token", data=form)).status


async def verify(stack: Stack, box: Mailbox, email: str, **answer: str) -> None:
    """Prove the address, as by the page behind the link: with the password, or with another ``answer``."""
    text = await mail_to(box, email, "Confirm your email address")
    form = {"token": token_in(text, "verify-email"), **(answer or {"password": PASSWORD})}
    async with stack.session.post(f"{stack.url}/verify-email", data=form) as response:
        assert response.status == 200


async def test_a_forgotten_password_is_set_by_a_mail_and_nobody_learns_who_has_an_account(
    stack: Stack, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await stack.person("ada")
    asked: list[str] = []
    gate, resolve = asyncio.Event(), stack.gateway.auth.resolve

    async def held(users: Sequence[str], *, deadline: float) -> Mapping[str, ResolvedUser]:
        asked.extend(users)
        await gate.wait()
        return await resolve(users, deadline=deadline)

    monkeypatch.setattr(stack.gateway.auth, "resolve", held)
    replies = [await stack.call("POST", "/password-resets", json={"email": one}) for one in (ADA, "nobody@example.com")]
    assert [(one.status, one.raw) for one in replies] == [(202, b"")] * 2, "answered before auth was asked"
    assert set(replies[0].headers) == set(replies[1].headers)
    gate.set()
    token = token_in(await mail_to(box, ADA, "Set a new password"), "reset-password")
    assert sorted(asked) == [ADA, "nobody@example.com"], "both are looked for"
    links = [{"kind": "password_reset", "token": one} for one in (token, f"{token}x", "nothing")]
    good, *bad = [await stack.call("POST", "/links/check", json=one) for one in links]
    assert (good.status, good.raw) == (204, b"")
    assert [(one.status, one.code) for one in bad] == [(400, "invalid_link")] * 2
    wanted = {"token": token, "new_password": NEW}
    weak = await stack.call("POST", "/password-resets/complete", json={**wanted, "new_password": "password1"})
    assert (weak.status, weak.code, weak.data["errors"][0]["field"]) == (400, "weak_password", "new_password")
    assert (await stack.call("POST", "/password-resets/complete", json=wanted)).status == 204
    assert (await stack.call("POST", "/password-resets/complete", json=wanted)).code == "invalid_link"
    assert (await stack.call("POST", "/links/check", json=links[0])).raw == bad[0].raw, "used is as wrong"
    assert (await stack.call("GET", "/me", ada)).code == "session_ended"
    assert [await sign_in(stack, ADA, one) for one in (PASSWORD, NEW)] == [400, 200]
    assert "/forgot-password" in await mail_to(box, ADA, "Your password was changed")
    assert not [one for one in box.received if one.recipient == "nobody@example.com"]


async def test_a_password_that_is_set_by_the_link_of_a_sign_up_is_told(stack: Stack, box: Mailbox) -> None:
    stranger = await stack.person("ada")
    await verify(stack, box, ADA, new_password=NEW)
    assert (await stack.call("GET", "/me", stranger)).code == "session_ended"
    assert "/forgot-password" in await mail_to(box, ADA, "Your password was changed")


async def test_a_user_changes_password_and_name_and_stays_signed_in(stack: Stack, box: Mailbox) -> None:
    ada = await stack.person("ada")
    await verify(stack, box, ADA)
    form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
    other = (await stack.ok("POST", "/token", data=form))["access_token"]
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "scopes": ["manage"]}))["key"]
    change = {"current_password": PASSWORD, "new_password": NEW}
    for who, code in ((key, "user_required"), (ada, "wrong_password")):
        body = change if who == key else {**change, "current_password": "wrong"}
        assert (await stack.call("PUT", "/me/password", who, json=body)).code == code
    assert (await stack.call("PUT", "/me/password", ada, json=change)).status == 204
    assert [(await stack.call("GET", "/me", who)).status for who in (ada, other, key)] == [200, 401, 200]
    await mail_to(box, ADA, "Your password was changed")
    assert (await stack.ok("PATCH", "/me", ada, json={"name": "Ada Lovelace"}))["name"] == "Ada Lovelace"
    for blank in ("   ", "\t", "\u2003"):
        form = {"email": "new@example.com", "password": PASSWORD, "name": blank}
        for refused in (
            await stack.call("PATCH", "/me", ada, json={"name": blank}),
            await stack.call("POST", "/users", json=form),
        ):
            assert (refused.status, [one["field"] for one in refused.data["errors"]]) == (400, ["name"])
    assert (await stack.call("PATCH", "/me", key, json={"name": "x"})).code == "user_required"


async def test_a_new_address_is_proved_first_and_the_old_one_is_told(stack: Stack, box: Mailbox) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await verify(stack, box, ADA)
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    await stack.ok("PUT", "/topics/t/subscription", ada, json={"email": "every"})
    box.rcpt[ADA] = "550 5.1.1 no such user"
    await stack.ok("POST", "/topics/t/notifications", ada, json={"title": "held"})

    async def rejected() -> bool:
        return bool((await stack.ok("GET", "/me/email", ada))["state"] != "on")

    await until(rejected, "the old address is refused")
    box.rcpt.clear()
    nothing = {"email": None, "expires_at": None}
    assert await stack.ok("GET", "/me/email/change", ada) == nothing
    wish = {"email": "ada@new.example", "password": PASSWORD}
    assert (await stack.call("PUT", "/me/email", ada, json=wish)).status == 202
    awaited = await stack.ok("GET", "/me/email/change", ada)
    assert (awaited["email"], awaited["expires_at"] is None) == ("ada@new.example", False)
    assert await stack.ok("GET", "/me/email/change", bob) == nothing, "it is told to nobody else"
    assert (await stack.call("DELETE", "/me/email/change", bob)).status == 404, "nor ended by anybody else"
    token = token_in(await mail_to(box, "ada@new.example", "Confirm your new email address"), "confirm-email")
    told = await mail_to(box, ADA, "Your account is to get another email address")
    assert "ada@new.example" in told
    assert "/forgot-password" in told
    assert (await stack.ok("GET", "/me", ada))["email"] == ADA
    assert await stack.ok("POST", "/me/email/check", ada, json={"token": token}) == {"email": "ada@new.example"}
    for path in ("/me/email/check", "/me/email/confirm"):
        assert (await stack.call("POST", path, bob, json={"token": token})).code == "invalid_link"
    user = await stack.ok("POST", "/me/email/confirm", ada, json={"token": token})
    assert (user["email"], user["email_verified"]) == ("ada@new.example", True)
    assert await stack.ok("GET", "/me/email/change", ada) == nothing
    assert "ada@new.example" in await mail_to(box, ADA, "Your email address was changed")
    await mail_to(box, "ada@new.example", "[t] held")
    assert (await stack.ok("GET", "/me/email", ada))["state"] == "on", "the refusals were of the old address"
    shown = (await stack.gateway.authenticator.authenticate(ada, "")).principal
    assert (shown.email, shown.email_verified) == ("ada@new.example", True), "the token says the old one"
    taken = await stack.call("PUT", "/me/email", bob, json={"email": "ADA@new.example", "password": PASSWORD})
    assert (taken.status, taken.raw) == (202, b""), "as for an address that nobody has"
    assert "#" not in await mail_to(box, "ADA@new.example", "This address has an account already")


async def test_without_a_mail_server_nothing_is_promised(postgres: Cluster) -> None:
    async with running_stack(postgres) as stack:
        ada = await stack.person("ada")

        async def refusals() -> list[tuple[int, str]]:
            asked = await stack.call("POST", "/password-resets", json={"email": ADA})
            wished = await stack.call("PUT", "/me/email", ada, json={"email": "a@b.example", "password": PASSWORD})
            return [(one.status, one.code) for one in (asked, wished)]

        assert await refusals() == [(409, "email_off")] * 2
        stack.lease("mailer", "http://127.0.0.1:1")
        await until(lambda: bool(stack.gateway.mailer.endpoints), "a mailer is known, which has not answered")
        assert await refusals() == [(503, "unavailable")] * 2
        assert (await stack.ok("GET", "/config"))["email"] is None
