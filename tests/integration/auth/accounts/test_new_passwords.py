"""A new password: by the link in a mail, and by the one before."""

from __future__ import annotations

import asyncio

import pytest

from notifyx_auth.base.models import Device, PasswordReset, User
from support.auth import PASSWORD, Answer, RunningAuth, running_auth

ADA = "ada@example.org"
NEW = "a new horse battery"


async def link(auth: RunningAuth, email: str = ADA) -> str:
    """The token of a new link, for which somebody waited long enough."""
    auth.clock.move(minutes=2)
    answer = await auth.call("POST", "/password-resets", {"email": email})
    assert answer.status == 202, answer.data
    return str(answer.data["token"])


async def use(auth: RunningAuth, token: str, password: str = NEW, **more: bool) -> Answer:
    return await auth.call("POST", "/password-resets/complete", {"token": token, "new_password": password, **more})


async def check(auth: RunningAuth, token: str, kind: str = "password_reset") -> tuple[int, str]:
    answer = await auth.call("POST", "/links/check", {"kind": kind, "token": token})
    return answer.status, "" if answer.status == 204 else answer.data["detail"]


async def test_a_link_sets_a_password_once_and_ends_what_the_old_one_began(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        other = await auth.sign_in()
        token = await link(auth, "ADA@example.org")
        assert not await PasswordReset.exists(hash=token), "only its digest is stored"
        ended = await check(auth, "x")
        assert ended == (400, "This link is not valid (any more). Ask for a new mail.")
        assert [await check(auth, token) for _ in range(3)] == [(204, "")] * 3, "a check does not spend it"
        assert {await check(auth, token, kind) for kind in ("verification", "email_change")} == {ended}
        weak = await use(auth, token, "password123")
        assert (weak.status, weak.data["code"], weak.data["errors"][0]["field"]) == (
            400,
            "weak_password",
            "new_password",
        )
        assert (await use(auth, token, "short")).status == 400
        answers = await asyncio.gather(*(use(auth, token) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [200, 400, 400]
        assert {answer.data["code"] for answer in answers if answer.status == 400} == {"invalid_link"}
        assert await check(auth, token) == ended
        assert (await auth.refresh(other.data["refresh_token"])).status == 400
        assert await Device.all().count() == 0
        assert (await auth.sign_in()).status == 400
        assert (await auth.sign_in(password=NEW)).status == 200
        kinds = [one["kind"] for one in (await auth.call("GET", "/credential-changes")).data["items"]]
        assert sorted(kinds) == ["sessions", "verified"]
        assert (await auth.call("GET", "/me", as_=ada)).data["email_verified"] is True, "the mail has proved it"


async def test_a_link_ends_by_time_by_a_newer_one_and_by_any_new_password(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        await auth.sign_up("bob@example.org")
        late = await link(auth)
        assert (await check(auth, late))[0] == 204
        auth.clock.move(minutes=60)
        assert (await check(auth, late))[0] == 400
        assert (await use(auth, late)).data["code"] == "invalid_link"
        first = await link(auth)
        assert (await auth.call("POST", "/password-resets", {"email": ADA})).status == 429, "the first one stays"
        second = await link(auth)
        assert [(await check(auth, one))[0] for one in (first, second)] == [400, 204]
        assert (await use(auth, first)).data["code"] == "invalid_link"
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200
        for gone in (second, "", "x", "é\0"):
            assert (await use(auth, gone)).status == 400
        assert (await use(auth, await link(auth, "bob@example.org"), "another long one")).data[
            "email"
        ] == "bob@example.org"
        assert (await auth.sign_in(password=NEW)).status == 200, "a link is for its own account"
        unknown = await auth.call("POST", "/password-resets", {"email": "nobody@example.org"})
        assert unknown.status == 404


@pytest.mark.parametrize("way", ["reset", "change", "another link"])
async def test_the_link_of_a_sign_up_ends_with_any_new_password_and_with_the_proof(database: str, way: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        mailed = (await auth.call("POST", "/me/verification", as_=ada)).data["token"]
        if way == "reset":
            assert (await use(auth, await link(auth))).status == 200
        elif way == "change":
            change = {"current_password": PASSWORD, "new_password": NEW}
            assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200
        else:
            await User.filter(id=ada.id).update(email_verified=True)
        taken = await auth.call("POST", "/verify", {"token": mailed, "new_password": "whoever finds the mail"})
        assert (taken.status, taken.data["code"]) == (400, "invalid_link")
        assert (await auth.sign_in(password=PASSWORD if way == "another link" else NEW)).status == 200


@pytest.mark.parametrize(
    ("verified", "asked", "kept"), [(False, False, False), (True, False, True), (True, True, False)]
)
async def test_keys_and_webhooks_go_on_where_the_address_was_proved(
    database: str, verified: bool, asked: bool, kept: bool
) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        if verified:
            await use(auth, await link(auth), PASSWORD)
            ada = await auth.signed_in(ada)
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=ada)).data["key"]
        assert (await use(auth, await link(auth), end_credentials=asked)).status == 200
        assert (await auth.call("POST", "/api-keys:verify", {"key": key})).status == (200 if kept else 401)


async def test_a_change_of_password_ends_the_other_sessions_alone(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        mine, other = await auth.sign_in(), await auth.sign_in()
        ada = await auth.signed_in(ada)
        change = {"current_password": PASSWORD, "new_password": NEW}
        wrong = await auth.call("PUT", "/me/password", {**change, "current_password": "wrong"}, as_=ada)
        assert (wrong.status, wrong.data["code"]) == (400, "wrong_password")
        assert wrong.data["errors"][0]["field"] == "current_password"
        key = ada.model_copy(update={"kind": "api_key", "key_id": "k"})
        assert (await auth.call("PUT", "/me/password", change, as_=key)).status == 403
        answers = await asyncio.gather(*(auth.call("PUT", "/me/password", change, as_=ada) for _ in range(2)))
        assert sorted(answer.status for answer in answers)[0] == 200
        assert (await auth.refresh(mine.data["refresh_token"])).status == 400
        assert (await auth.refresh(other.data["refresh_token"])).status == 400
        subjects = [one["subject"] for one in (await auth.call("GET", "/credential-changes")).data["items"]]
        assert len(subjects) == 2
        assert ada.session not in subjects
        again = {"current_password": NEW, "new_password": PASSWORD}
        ended = ada.model_copy(update={"session": mine.data["refresh_token"][4:36]})
        assert (await auth.call("PUT", "/me/password", again, as_=ended)).data["code"] == "session_ended"
        assert (await auth.call("PUT", "/me/password", again, as_=ada)).status == 200, "the own session goes on"


async def test_the_settings_password_is_not_changed_here(database: str) -> None:
    async with running_auth(database, admin_email="root@example.org", admin_password="administer it") as auth:
        answer = await auth.call("POST", "/password-resets", {"email": "Root@example.org"})
        assert (answer.status, answer.data["code"]) == (409, "managed_account")
