"""What was answered is mailed, once, though the gateway that answered it is killed at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from notifyx_auth.accounts import pending_mails
from notifyx_common.contracts.accounts import EmailChange, PendingEmail
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.registry import RENEW_LEASE, Lease, NodeLease
from notifyx_local.postgres import Cluster
from support.account_mails import send_what_waits
from support.forked import Forked, program
from support.gateway import PASSWORD, PUBLIC_URL, TOKEN, Stack, mailing_stack
from support.patience import PATIENCE, until
from support.smtp import Mailbox, running_smtp

DEAD = "http://127.0.0.1:1"
NEW = "a new horse battery"


class Victim:
    """A gateway in a process of its own, which finds the nodes of a stack."""

    def __init__(self, process: Forked, url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self._url = url
        self._session = session

    async def find(self, service: str, url: str) -> None:
        lease = NodeLease(service, f"{service}-1", Lease(service=service, instance=f"{service}-1", url=url, ttl=60))
        message = RENEW_LEASE.encode(lease)
        headers = {**token_headers(TOKEN), "Content-Type": "application/json"}
        target = f"{self._url}{message.path}"
        async with self._session.put(target, headers=headers, data=message.body) as reply:
            assert reply.status == 204, await reply.text()

    async def call(self, method: str, path: str, who: str | None = None, **options: Any) -> int:
        headers = {} if who is None else {"Authorization": f"Bearer {who}"}
        async with self._session.request(method, f"{self._url}{path}", headers=headers, **options) as reply:
            await reply.read()
            return reply.status

    async def is_ready(self) -> bool:
        return await self.call("GET", "/readyz") == 200

    async def mails(self) -> bool:
        async with self._session.get(f"{self._url}/api/v1/config") as reply:
            return (await reply.json())["email"] is True


@contextlib.asynccontextmanager
async def victim_of(stack: Stack, folder: Path) -> AsyncIterator[Victim]:
    values = {"internal_token": TOKEN, "port": "0", "metrics_port": "0", "socket_port": "0", "public_url": PUBLIC_URL,
              "account_mail_delay": "60", "ready_file": str(folder / "ready.json")}  # fmt: skip
    environment = {"PATH": os.environ["PATH"], **{f"NOTIFYX_{name.upper()}": value for name, value in values.items()}}
    process = program("notifyx_gateway.app", environment, folder / "log")
    try:
        await until((folder / "ready.json").exists, "the gateway runs")
        url = f"http://127.0.0.1:{json.loads((folder / 'ready.json').read_text())['port']}"
        victim = Victim(process, url, stack.session)
        for node in stack.gateway.registry.nodes():
            if node.service in ("auth", "store", "mailer"):
                await victim.find(node.service, node.url)
        await until(victim.is_ready, "the gateway takes work")
        await until(victim.mails, "the gateway knows that there is email")
        yield victim
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, PATIENCE)


@pytest.fixture
def box() -> Any:
    with running_smtp() as running:
        yield running


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox) -> AsyncIterator[Stack]:
    async with mailing_stack(postgres, box, gateway={"internal_token": TOKEN}) as running:
        yield running


async def token_for(stack: Stack, box: Mailbox, recipient: str, page: str) -> str:
    """The token of the link to ``page`` in a mail to ``recipient``, once it has arrived."""

    def links() -> list[str]:
        bodies = [one.message.get_body(("plain",)) for one in box.received if one.recipient == recipient]
        texts = [body.get_content() for body in bodies if body is not None]
        return [found[1] for text in texts if (found := re.search(rf"/{page}#(\S+)", text))]

    await box.wait_until(lambda: bool(links()))
    return links()[-1]


async def test_each_mail_about_an_account_outlives_the_gateway_that_answered(
    stack: Stack, box: Mailbox, tmp_path: Path
) -> None:
    names = ("forgetful", "mover", "moved", "careful", "resetter", "owner")
    people = {name: await stack.person(name) for name in names}
    verified = [f"{name}@example.com" for name in names if name != "owner"]
    proof = await token_for(stack, box, "owner@example.com", "verify-email")
    pool = stack.auth.database.pool
    await pool.execute("UPDATE users SET email_verified = true WHERE email_key = ANY($1::text[])", verified)
    await pool.execute("UPDATE verifications SET created_at = created_at - interval '1 hour'")
    tokens = {name: (await token_of(stack, name)) for name in people}
    wish = {"email": "moved@new.example", "password": PASSWORD}
    await stack.ok("PUT", "/me/email", tokens["moved"], json=wish)
    confirm = await token_for(stack, box, "moved@new.example", "confirm-email")
    await stack.ok("POST", "/password-resets", json={"email": "resetter@example.com"})
    reset = await token_for(stack, box, "resetter@example.com", "reset-password")
    await send_what_waits(stack)
    async with victim_of(stack, tmp_path) as victim:
        await victim.find("mailer", DEAD)
        box.received.clear()
        answers = {
            await victim.call("POST", "/api/v1/password-resets", json={"email": email})
            for email in ("forgetful@example.com", "nobody@example.com")
        }
        assert answers == {202}
        sign_up = {"email": "new@example.com", "password": PASSWORD}
        assert await victim.call("POST", "/api/v1/users", json=sign_up) == 201
        assert await victim.call("POST", "/api/v1/users", json={**sign_up, "email": "owner@example.com"}) == 409
        wish = {"email": "mover@new.example", "password": PASSWORD}
        assert await victim.call("PUT", "/api/v1/me/email", tokens["mover"], json=wish) == 202
        assert await victim.call("POST", "/api/v1/me/email/confirm", tokens["moved"], json={"token": confirm}) == 200
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert await victim.call("PUT", "/api/v1/me/password", tokens["careful"], json=change) == 204
        done = {"token": reset, "new_password": NEW}
        assert await victim.call("POST", "/api/v1/password-resets/complete", json=done) == 204
        victim.process.kill()
        await asyncio.to_thread(victim.process.wait, PATIENCE)
        assert box.received == []
        await until(lambda: is_idle(stack), "auth has finished what the dead gateway asked for")
        await send_what_waits(stack)
    sent = Counter((one.recipient, str(one.message["Subject"])) for one in box.received)
    assert sent == Counter(
        [
            ("forgetful@example.com", "Set a new password"),
            ("new@example.com", "Confirm your email address"),
            ("owner@example.com", "Confirm your email address"),
            ("mover@new.example", "Confirm your new email address"),
            ("mover@example.com", "Your account is to get another email address"),
            ("moved@example.com", "Your email address was changed"),
            ("careful@example.com", "Your password was changed"),
            ("resetter@example.com", "Your password was changed"),
        ]
    ), "each once, and none to an address that nobody has"
    token = await token_for(stack, box, "forgetful@example.com", "reset-password")
    assert (await stack.call("POST", "/password-resets/complete", json={**done, "token": token})).status == 204
    assert proof != await token_for(stack, box, "owner@example.com", "verify-email")


async def is_idle(stack: Stack) -> bool:
    """Whether auth's database works on nothing, but for this question."""
    busy = """SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state NOT IN ('idle', 'disabled')"""
    return not await stack.auth.database.pool.fetch(busy)


async def token_of(stack: Stack, name: str, password: str = PASSWORD) -> str:
    form = {"grant_type": "password", "username": f"{name}@example.com", "password": password}
    return str((await stack.ok("POST", "/token", data=form))["access_token"])


async def test_a_mail_that_the_mail_server_does_not_take_comes_later_and_is_the_same(
    stack: Stack, box: Mailbox
) -> None:
    await stack.person("ada")
    await box.wait_until(lambda: len(box.received) == 1)
    await send_what_waits(stack)
    box.received.clear()
    box.content = "451 4.3.0 not now"
    counted = stack.gateway.metrics.registry.get_sample_value

    def postponed() -> float:
        return counted("notifyx_account_mails_total", {"kind": "password_reset", "result": "postponed"}) or 0.0

    assert (await stack.call("POST", "/password-resets", json={"email": "ada@example.com"})).status == 202
    await until(lambda: postponed() == 1, "it was tried")
    digest = await stack.auth.database.pool.fetchval("SELECT hash FROM password_resets")
    assert (await stack.call("POST", "/password-resets", json={"email": "ada@example.com"})).status == 202
    box.content = ""
    await send_what_waits(stack)
    assert [one.recipient for one in box.received] == ["ada@example.com"]
    assert await stack.auth.database.pool.fetchval("SELECT hash FROM password_resets") == digest
    token = await token_for(stack, box, "ada@example.com", "reset-password")
    wanted = {"token": token, "new_password": NEW}
    assert (await stack.call("POST", "/password-resets/complete", json=wanted)).status == 204


async def test_a_mail_whose_end_auth_did_not_learn_comes_again_under_the_same_id(
    stack: Stack, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.person("ada")
    await box.wait_until(lambda: len(box.received) == 1)
    await send_what_waits(stack)
    box.received.clear()
    pending = stack.gateway.account_mails._pending
    ended = asyncio.Event()

    async def lost(_: str) -> None:
        ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(pending, "remove", lost)
        assert (await stack.call("POST", "/password-resets", json={"email": "ada@example.com"})).status == 202
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    await send_what_waits(stack)
    assert len(box.received) == 1, "the mailer knows it as the one that it has sent"


async def test_who_gets_no_mail_because_too_many_wait_is_told(
    stack: Stack, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await stack.person("ada")
    proof = await token_for(stack, box, "ada@example.com", "verify-email")
    monkeypatch.setattr(pending_mails, "MAX_OF_KIND", 0)
    reset = {"email": "ada@example.com"}
    wish = {"email": "ada@new.example", "password": PASSWORD}
    again = {"email": "ada@example.com", "password": PASSWORD}
    for method, path, body in (
        ("POST", "/password-resets", reset),
        ("PUT", "/me/email", wish),
        ("POST", "/users", again),
    ):
        rejected = await stack.call(method, path, ada, json=body)
        assert (rejected.status, rejected.code, rejected.headers["Retry-After"]) == (429, "too_many_mails", "60"), path
    made = await stack.ok("POST", "/users", json={**again, "email": "bob@example.com"})
    assert (made["mail"], "account page" in made["mail_detail"]) == ("unknown", True), "the account works without it"
    form = {"token": proof, "new_password": NEW}
    async with stack.session.post(f"{stack.url}/verify-email", data=form) as page:
        assert (page.status, 'name="new_password"' in await page.text()) == (429, True), "it can be tried again"
    monkeypatch.undo()
    async with stack.session.post(f"{stack.url}/verify-email", data=form) as page:
        assert page.status == 200
    ada = await token_of(stack, "ada", NEW)
    pending = await stack.gateway.auth.request_email_change(
        (await stack.gateway.authenticator.authenticate(ada, "")).principal,
        EmailChange(email="x@new.example", password=SecretStr(NEW)),
    )

    async def of_before(*_: Any) -> PendingEmail:
        return pending.model_copy(update={"recorded": False})

    monkeypatch.setattr(stack.gateway.auth, "request_email_change", of_before)
    wish = {"email": "x@new.example", "password": NEW}
    assert (await stack.call("PUT", "/me/email", ada, json=wish)).status == 503, "auth of the previous release"
