""" "Forgot your password?" and changes of an account, by those whose account it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifyx_local.postgres import Cluster
from support.account_mails import send_what_waits
from support.auth import PASSWORD, running_auth
from support.gateway import Reply, Stack, mailing_stack
from support.patience import until
from support.smtp import Mailbox

VICTIM = "ada@example.com"


@pytest.fixture
def delay() -> float:
    """The longest time that a link for a new password waits."""
    return 0.0


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox, delay: float) -> AsyncIterator[Stack]:
    few: dict[str, Any] = {
        "verification_mailbox_burst": 3,
        "verification_mailbox_interval": 86400,
        "verification_address_burst": 4,
        "verification_address_interval": 86400,
        "trusted_proxies": ("127.0.0.0/8",),
        "account_mail_delay": delay,
    }
    async with mailing_stack(postgres, box, gateway=few, auth={"password_reset_minutes": 60}) as running:
        yield running


async def ask(stack: Stack, email: str, address: str) -> tuple[int, str]:
    reply = await stack.call("POST", "/password-resets", json={"email": email}, headers={"X-Forwarded-For": address})
    return reply.status, reply.data["limit"]["name"] if reply.status == 429 else ""


@pytest.mark.parametrize("delay", [60.0])
async def test_who_asks_without_end_learns_nothing_and_fills_no_mailbox(stack: Stack, box: Mailbox) -> None:
    await stack.person("ada")
    counted = stack.gateway.metrics.registry.get_sample_value

    def done(result: str) -> float:
        return counted("notifyx_account_mails_total", {"kind": "password_reset", "result": result}) or 0.0

    for number in range(6):
        assert await ask(stack, VICTIM, f"192.0.2.{number}") == (202, ""), "a limit of the mailbox is not told"
        assert await ask(stack, "nobody@example.com", f"192.0.2.{number}") == (202, "")
        await send_what_waits(stack)
    assert done("sent") + done("failed") + done("nobody") == 12
    assert done("sent") <= 2, "the mailbox has had one at the sign-up, and has three"
    assert done("nobody") == 6, "and none of them counts"
    for number in range(2):
        await ask(stack, f"p{number}@example.com", "192.0.2.0")
    assert await ask(stack, "other@example.com", "192.0.2.0") == (429, "verification-mails-by-address")
    assert {one.recipient for one in box.received} == {VICTIM}
    assert all(VICTIM not in str(one.message["Subject"]) for one in box.received)


async def test_nobody_keeps_another_from_a_new_password_by_addresses_of_the_same_mailbox(
    stack: Stack, box: Mailbox
) -> None:
    await stack.person("ada")
    headers = {"X-Forwarded-For": "192.0.2.8"}
    for number in range(4):
        assert await ask(stack, f"ada+x{number}@example.com", f"192.0.2.{number}") == (202, "")
        person = {"email": f"ada+{number}@example.com", "password": PASSWORD}
        await stack.ok("POST", "/users", headers=headers, json=person)
        await stack.call("POST", "/users", headers=headers, json={**person, "email": VICTIM})
    for number in range(4):
        await ask(stack, f"ada+{number}@example.com", "192.0.2.9")
    assert await ask(stack, VICTIM, "198.51.100.1") == (202, "")

    def links() -> list[str]:
        mails = [one for one in box.received if str(one.message["Subject"]) == "Set a new password"]
        return [one.recipient for one in mails]

    await until(lambda: VICTIM in links(), "the mail is there")
    assert len(links()) <= 4, "those with a tag count together"


async def test_a_change_of_address_that_is_refused_leaves_the_link_that_was_mailed(stack: Stack, box: Mailbox) -> None:
    wish = {"email": "new@example.com", "password": PASSWORD}

    async def ask_for_it(who: str, number: int) -> Reply:
        return await stack.call("PUT", "/me/email", who, json=wish, headers={"X-Forwarded-For": f"192.0.2.{number}"})

    ada = await stack.person("ada")
    assert (await ask_for_it(ada, 1)).status == 202
    await box.wait_until(lambda: any(one.recipient == "new@example.com" for one in box.received))
    part = next(one for one in box.received if one.recipient == "new@example.com").message.get_body(("plain",))
    assert part is not None
    token = part.get_content().partition("/confirm-email#")[2].split()[0]
    for number, name in enumerate(("bob", "eve"), 2):
        assert (await ask_for_it(await stack.person(name), number)).status == 202
    await stack.auth.database.pool.execute("UPDATE email_changes SET created_at = created_at - interval '2 minutes'")
    refused = await ask_for_it(ada, 4)
    assert (refused.status, refused.data["limit"]["name"]) == (429, "verification-mails-by-mailbox")
    assert (await stack.call("POST", "/me/email/confirm", ada, json={"token": token})).status == 200


async def test_a_stolen_session_guesses_no_password_and_locks_nobody_out(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        own, stolen = await auth.signed_in(ada), await auth.signed_in(ada)
        guesses = []
        for number in range(6):
            password = {"current_password": f"a guess {number}", "new_password": "the thief's own one"}
            email = {"email": "thief@example.org", "password": f"a guess {number}"}
            guesses.append((await auth.call("PUT", "/me/password", password, as_=stolen)).status)
            guesses.append((await auth.call("PUT", "/me/email", email, as_=stolen)).status)
        assert guesses == [400] * 10 + [429] * 2, "both count together"
        change = {"current_password": PASSWORD, "new_password": "the owner's new one"}
        assert (await auth.call("PUT", "/me/password", change, as_=own)).status == 200
        again = {"current_password": "the owner's new one", "new_password": "the thief's own one"}
        auth.clock.move(hours=1)
        assert (await auth.call("PUT", "/me/password", again, as_=stolen)).data["code"] == "session_ended"
