"""Another address, proved before it counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from notifyx_auth.base.models import EmailChange, User
from notifyx_common.principal import Principal
from support.auth import PASSWORD, Answer, RunningAuth, running_auth

NEW = "Ada@new.example.org"


async def wish(auth: RunningAuth, who: Principal, email: str = NEW, password: str = PASSWORD) -> Answer:
    auth.clock.move(minutes=2)
    return await auth.call("PUT", "/me/email", {"email": email, "password": password}, as_=who)


async def confirm(auth: RunningAuth, who: Principal, token: Any) -> Answer:
    return await auth.call("POST", "/me/email/confirm", {"token": token}, as_=who)


async def check(auth: RunningAuth, who: Principal, token: str) -> str:
    """The address that the link would give, or the code of why there is none."""
    answer = await auth.call("POST", "/me/email/check", {"token": token}, as_=who)
    return str(answer.data["email"] if answer.status == 200 else answer.data["code"])


async def awaited(auth: RunningAuth, who: Principal) -> str | None:
    """The address that awaits its confirmation."""
    answer = await auth.call("GET", "/me/email/change", as_=who)
    assert answer.status == 200
    assert (answer.data["email"] is None) == (answer.data["expires_at"] is None)
    email: str | None = answer.data["email"]
    return email


async def test_an_address_counts_once_it_is_confirmed_by_its_own_account(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        mallory = await auth.signed_in(await auth.sign_up("mallory@example.org"))
        pending = await wish(auth, ada)
        assert (pending.status, pending.data["taken"], pending.data["email"]) == (202, False, NEW)
        assert pending.data["user"]["email"] == "ada@example.org"
        token = pending.data["token"]
        assert not await EmailChange.exists(hash=token), "only its digest is stored"
        foreign = await confirm(auth, mallory, token)
        assert (foreign.status, foreign.data["code"]) == (400, "invalid_link")
        reset = (await auth.call("POST", "/password-resets", {"email": "ada@example.org"})).data["token"]
        verify = (await auth.call("POST", "/me/verification", as_=ada)).data["token"]
        assert [await awaited(auth, who) for who in (ada, mallory)] == [NEW, None]
        assert [await check(auth, who, token) for who in (ada, ada, mallory)] == [NEW, NEW, "invalid_link"]
        opened = {"kind": "email_change", "token": token}
        assert (await auth.call("POST", "/links/check", opened)).status == 204
        proof = {"kind": "verification", "token": verify}
        assert (await auth.call("POST", "/links/check", proof)).status == 204
        answers = await asyncio.gather(*(confirm(auth, ada, token) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [200, 400, 400]
        done = next(answer.data for answer in answers if answer.status == 200)
        assert (done["user"]["email"], done["user"]["email_verified"], done["previous"]) == (NEW, True, "")
        assert await check(auth, ada, token) == "invalid_link"
        assert await awaited(auth, ada) is None
        assert [(await auth.call("POST", "/links/check", one)).status for one in (opened, proof)] == [400, 400]
        old = {"token": reset, "new_password": "something quite new"}
        assert (await auth.call("POST", "/password-resets/complete", old)).status == 400, "a link to the old address"
        assert (await auth.call("POST", "/verify", {"token": verify, "password": PASSWORD})).status == 400
        assert (await auth.call("POST", "/password-resets", {"email": "ada@example.org"})).status == 404
        assert (await auth.sign_in("ADA@NEW.example.org")).status == 200
        assert (await auth.sign_in("ada@example.org")).status == 400
        changes = (await auth.call("GET", "/credential-changes")).data["items"]
        assert [(one["kind"], one["email"]) for one in changes] == [("verified", NEW)]


async def test_a_wish_is_answered_alike_whoever_has_the_address(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        bob = await auth.signed_in(await auth.sign_up("bob@example.org"))
        taken = await wish(auth, ada, "BOB@example.org")
        assert (taken.status, taken.data["taken"]) == (202, True)
        answer = await confirm(auth, ada, taken.data["token"])
        assert (answer.status, answer.data["code"]) == (409, "email_taken")
        free = await wish(auth, ada, "free@example.org")
        race = await wish(auth, bob, "free@example.org")
        assert [one.data["taken"] for one in (free, race)] == [False, False]
        pairs = ((ada, free.data["token"]), (bob, race.data["token"]))
        answers = await asyncio.gather(*(confirm(auth, who, token) for who, token in pairs))
        assert sorted(answer.status for answer in answers) == [200, 409], "one of two takes it"
        assert await User.filter(email_key="free@example.org").count() == 1


@pytest.mark.parametrize(
    ("email", "password", "code"),
    [
        (NEW, "wrong", "wrong_password"),
        ("ada@example.org", PASSWORD, "validation_failed"),
        ("ada@localhost", PASSWORD, "validation_failed"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}da@example.org", PASSWORD, "validation_failed"),
        ("nobody", PASSWORD, "validation_failed"),
    ],
)
async def test_a_wish_needs_the_password_and_another_address(
    database: str, email: str, password: str, code: str
) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        answer = await wish(auth, ada, email, password)
        assert (answer.status, answer.data["code"]) == (400, code)
        assert [one["field"] for one in answer.data["errors"]] == ["password" if code == "wrong_password" else "email"]


async def test_a_confirmation_ends_by_time_by_a_newer_wish_and_by_a_new_password(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        late = (await wish(auth, ada)).data["token"]
        auth.clock.move(hours=24)
        assert await awaited(auth, ada) is None
        assert (await confirm(auth, ada, late)).status == 400
        first = (await wish(auth, ada)).data["token"]
        second = (await wish(auth, ada, "other@example.org")).data["token"]
        assert await awaited(auth, ada) == "other@example.org"
        assert (await confirm(auth, ada, first)).status == 400
        change = {"current_password": PASSWORD, "new_password": "a new horse battery"}
        assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200
        assert (await confirm(auth, ada, second)).status == 400, "an intruder's wish ends with their password"
        assert await awaited(auth, ada) is None
        machine = Principal(id="system:serviceaccount:shop:cart")
        assert (await auth.call("GET", "/me/email/change", as_=machine)).status == 404


async def test_who_keeps_the_address_ends_the_link_and_gets_no_mail_sooner(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        mallory = await auth.signed_in(await auth.sign_up("mallory@example.org"))
        token = (await wish(auth, ada)).data["token"]
        for who, status in ((mallory, 404), (ada.model_copy(update={"kind": "api_key", "key_id": "k"}), 403)):
            assert (await auth.call("DELETE", "/me/email/change", as_=who)).status == status
        assert await check(auth, ada, token) == NEW
        assert (await auth.call("DELETE", "/me/email/change", as_=ada)).status == 204
        assert (await auth.call("DELETE", "/me/email/change", as_=ada)).status == 404
        assert await awaited(auth, ada) is None
        assert await check(auth, ada, token) == "invalid_link"
        assert (await confirm(auth, ada, token)).status == 400
        body = {"email": NEW, "password": PASSWORD}
        again = await auth.call("PUT", "/me/email", body, as_=ada)
        assert again.status == 429, "or another's mailbox could be filled by asking and keeping"
        assert (await wish(auth, ada)).status == 202, "two minutes later"


async def test_a_name_is_changed_by_its_user_alone(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        assert (await auth.call("PATCH", "/me", {"name": " Ada L. "}, as_=ada)).data["name"] == "Ada L."
        assert (await auth.call("PATCH", "/me", {"name": "a\nb"}, as_=ada)).status == 400
        key = ada.model_copy(update={"kind": "api_key", "key_id": "k"})
        assert (await auth.call("PATCH", "/me", {"name": "Key"}, as_=key)).status == 403
