"""Sign-up as a relay for texts to strangers: whose text is mailed, and how often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Stack, running_stack
from support.patience import until
from support.smtp import Mailbox

TEXT = "Buy at evil.example"


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox) -> AsyncIterator[Stack]:
    mailer = {"smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none"}
    few: dict[str, Any] = {
        "verification_mailbox_burst": 2,
        "verification_address_burst": 4,
        "verification_address_interval": 3600,
        "trusted_proxies": ("127.0.0.0/8",),
    }
    few["verification_address_interval"] = 3600
    async with running_stack(postgres, gateway=few, mailer=mailer) as running:
        yield running


async def ask(stack: Stack, email: str, address: str) -> tuple[int, str]:
    """Sign up as ``email`` from ``address`` and ask for the mail: the status of that answer, its limit or its code."""
    headers = {"X-Forwarded-For": address}
    await stack.ok("POST", "/users", headers=headers, json={"email": email, "password": PASSWORD, "name": TEXT})
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    token = (await stack.ok("POST", "/token", headers=headers, data=form))["access_token"]
    reply = await stack.call("POST", "/me/verification", token, headers=headers)
    if reply.status == 429 and "limit" in reply.data:
        assert int(reply.headers["Retry-After"]) >= reply.data["retry_after"] > 0
        return reply.status, reply.data["limit"]["name"]
    return reply.status, reply.code if reply.status >= 400 else ""


async def test_strangers_get_few_mails_and_none_of_the_users_text(stack: Stack, box: Mailbox) -> None:
    await ask(stack, "victim@example.org", "192.0.2.1")
    second = await ask(stack, "Victim+1@example.org", "192.0.2.2")
    third = await ask(stack, "victim+2@example.org", "192.0.2.3")
    assert third == (429, "verification-mails-by-mailbox"), second
    for number in range(4):
        last = await ask(stack, f"other{number}@example.org", "192.0.2.9")
    assert last == (429, "verification-mails-by-address")
    assert await ask(stack, "innocent@example.org", "198.51.100.1") in ((202, ""), (429, "too_many_requests"))
    await box.wait_until(lambda: any(one.recipient == "innocent@example.org" for one in box.received))
    to_victim = [one for one in box.received if one.recipient.lower().startswith("victim")]
    to_others = [one for one in box.received if one.recipient.startswith("other")]
    assert len(to_victim) <= 4, "two at the address itself, two at all with a tag"
    assert len(to_others) <= 4
    for one in box.received:
        for part in one.message.walk():
            if part.get_content_maintype() == "text":
                assert "evil" not in part.get_content()
        assert "evil" not in str(one.message["To"]) + str(one.message["Subject"])


async def test_a_user_whose_mail_was_not_sent_is_told_and_gets_it_later(stack: Stack, box: Mailbox) -> None:
    async def sign_up(number: int, address: str) -> Any:
        person = {"email": f"p{number}@example.org", "password": PASSWORD}
        return await stack.ok("POST", "/users", headers={"X-Forwarded-For": address}, json=person)

    async def told() -> bool:
        return bool((await stack.ok("GET", "/config"))["email"])

    await until(told, "the gateway knows its mailer")
    made = [await sign_up(number, "192.0.2.9") for number in range(5)]
    assert [one["mail"] for one in made] == ["on_its_way"] * 4 + ["limited"]
    assert [bool(one["mail_detail"]) for one in made] == [False] * 4 + [True]
    form = {"grant_type": "password", "username": "p4@example.org", "password": PASSWORD}
    token = (await stack.ok("POST", "/token", data=form))["access_token"]
    await stack.ok("POST", "/me/verification", token, headers={"X-Forwarded-For": "198.51.100.7"})
    await box.wait_until(lambda: any(one.recipient == "p4@example.org" for one in box.received))


async def test_a_password_that_is_guessed_first_makes_no_account(stack: Stack) -> None:
    refused = {"password123": "most common", "Mallory-2026!": "the name in", "my notifyx pass": "'notifyx'"}
    for password, says in refused.items():
        reply = await stack.call("POST", "/users", json={"email": "mallory@example.org", "password": password})
        assert (reply.status, reply.code) == (400, "weak_password")
        assert says in reply.data["detail"]
        assert [field["field"] for field in reply.data["errors"]] == ["password"]
