"""Users, passwords, verification and the first administrator, on a real database."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from notifyx_auth.base.models import Session, User
from notifyx_auth.maintenance import delete_expired
from notifyx_common.contracts.auth import JWKS
from notifyx_common.principal import Principal
from support.auth import PASSWORD, HandClock, running_auth

ADMIN: dict[str, Any] = {"admin_email": "root@example.org", "admin_password": "administer it"}


async def test_sign_up_and_me(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up("Ada@Example.org")
        me = await auth.call("GET", "/me", as_=ada)
        assert me.status == 200
        assert me.data == {
            "id": ada.id,
            "email": "Ada@Example.org",
            "name": "Ada",
            "role": "user",
            "email_verified": False,
            "created_at": "2026-01-01T12:00:00Z",
            "time_zone": "",
        }
        stored = await User.get(id=ada.id)
        assert stored.password_hash.startswith("$argon2id$")
        assert PASSWORD not in stored.password_hash
        assert (await auth.call("GET", "/me")).status == 401
        for nobody in (str(uuid.uuid4()), "system:prober", "no\0body"):
            assert (await auth.call("GET", "/me", as_=Principal(id=nobody))).status == 404


async def test_a_time_zone_is_one_that_exists(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up("ada@example.org")
        for zone in ("Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC", ""):
            answer = await auth.call("PUT", "/me/time-zone", {"time_zone": zone}, as_=ada)
            assert (answer.status, answer.data["time_zone"]) == (200, zone)
        await auth.call("PUT", "/me/time-zone", {"time_zone": "Asia/Tokyo"}, as_=ada)
        for wrong in ("Europe", "No/Where", "../../etc/passwd", "/etc/passwd", "x" * 65, "a b", 3, None):
            answer = await auth.call("PUT", "/me/time-zone", {"time_zone": wrong}, as_=ada)
            assert (answer.status, answer.data["code"]) == (400, "validation_failed")
        resolved = await auth.call("POST", "/users:resolve", {"users": [ada.id]})
        assert resolved.data["users"][ada.id]["time_zone"] == "Asia/Tokyo"


LETTERS, ASCII = "x@ex\u00e4mple.com", "x@xn--exmple-cua.com"


@pytest.mark.parametrize(("first", "second"), [(LETTERS, ASCII), (ASCII, LETTERS)])
async def test_an_address_is_one_accounts_in_both_spellings_of_its_domain(
    database: str, first: str, second: str
) -> None:
    async with running_auth(database) as auth:
        owner, other = await auth.sign_up(first), await auth.sign_up("other@example.org")
        again = await auth.call("POST", "/users", {"email": second, "password": PASSWORD})
        assert (again.status, again.data["code"]) == (409, "email_taken")
        for spelling in (first, second, second.upper()):
            assert (await auth.sign_in(spelling)).status == 200
        resolved = await auth.call("POST", "/users:resolve", {"users": [first, second]})
        assert [resolved.data["users"][one]["id"] for one in (first, second)] == [owner.id, owner.id]
        other = await auth.signed_in(other)
        auth.clock.move(minutes=2)
        change = await auth.call("PUT", "/me/email", {"email": second, "password": PASSWORD}, as_=other)
        assert change.data["taken"] is True
        confirmed = await auth.call("POST", "/me/email/confirm", {"token": change.data["token"]}, as_=other)
        assert (confirmed.status, confirmed.data["code"]) == (409, "email_taken")


@pytest.mark.parametrize("alone", [False, True])
async def test_an_account_of_an_earlier_release_signs_in_with_its_own_spelling(database: str, *, alone: bool) -> None:
    async with running_auth(database) as auth:
        earlier = await auth.sign_up("earlier@example.org", "one longer phrase")
        await User.filter(id=earlier.id).update(email=ASCII, email_key=ASCII)
        if not alone:
            newer = await auth.sign_up("newer@example.org", "quite different words")
            await User.filter(id=newer.id).update(email=LETTERS, email_key=LETTERS)
        else:
            taken = await auth.call("POST", "/users", {"email": LETTERS, "password": PASSWORD})
            assert (taken.status, taken.data["code"]) == (409, "email_taken")
        assert (await auth.sign_in(ASCII, "one longer phrase")).status == 200
        in_letters = "one longer phrase" if alone else "quite different words"
        assert (await auth.sign_in(LETTERS, in_letters)).status == 200


async def test_domains_that_differ_in_a_letter_of_their_own_are_two_mailboxes(database: str) -> None:
    """Browsers and mail servers spell ß as IDNA 2008 does, and not ss."""
    async with running_auth(database) as auth:
        sharp, double = await auth.sign_up("x@stra\u00dfe.de"), await auth.sign_up("x@strasse.de")
        again = await auth.call("POST", "/users", {"email": "x@xn--strae-oqa.de", "password": PASSWORD})
        assert (again.status, again.data["code"]) == (409, "email_taken")
        assert (await auth.sign_in("x@xn--strae-oqa.de")).status == 200
        wanted = ["x@stra\u00dfe.de", "x@xn--strae-oqa.de", "x@strasse.de"]
        resolved = (await auth.call("POST", "/users:resolve", {"users": wanted})).data["users"]
        assert [resolved[one]["id"] for one in wanted] == [sharp.id, sharp.id, double.id]


async def test_guesses_count_for_the_account_in_either_spelling(database: str) -> None:
    async with running_auth(database, login_burst=3) as auth:
        await auth.sign_up(LETTERS)
        guesses = [
            (await auth.sign_in(one, "a guess")).status for one in (LETTERS, ASCII, ASCII.upper(), ASCII, LETTERS)
        ]
        assert guesses == [400, 400, 400, 429, 429]


async def test_an_email_is_taken_whatever_its_case_also_at_the_same_time(database: str) -> None:
    async with running_auth(database) as auth:
        body = {"password": PASSWORD, "name": ""}
        emails = ["ada@example.org", "ADA@example.org", "Ada@Example.Org", "ada@EXAMPLE.org"]
        answers = await asyncio.gather(*(auth.call("POST", "/users", {"email": e, **body}) for e in emails))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
        assert {answer.data["code"] for answer in answers if answer.status == 409} == {"email_taken"}
        assert await User.all().count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada@example.org", "password": "short", "name": ""},
        {"email": "ada@example.org", "password": "x" * 257, "name": ""},
        {"email": "ada", "password": PASSWORD, "name": ""},
        {"email": "ada@localhost", "password": PASSWORD, "name": ""},
        {"email": "a\0a@example.org", "password": PASSWORD, "name": ""},
        {"email": "mi\u212ae@example.org", "password": PASSWORD, "name": ""},
        {"email": "ada@example.org", "password": PASSWORD, "name": "a\nb"},
        {"email": "ada@example.org", "password": PASSWORD, "role": "admin"},
        {"email": ["ada@example.org"], "password": PASSWORD},
        [],
        None,
        7,
    ],
)
async def test_a_bad_sign_up_is_a_clear_400(database: str, body: object) -> None:
    async with running_auth(database) as auth:
        answer = await auth.call("POST", "/users", body)
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert PASSWORD not in str(answer.data)
        assert not await User.exists()


async def test_sign_up_can_be_switched_off(database: str) -> None:
    async with running_auth(database, sign_up=False) as auth:
        answer = await auth.call("POST", "/users", {"email": "ada@example.org", "password": PASSWORD})
        assert (answer.status, answer.data["code"]) == (403, "sign_up_off")


async def test_only_the_platform_may_call(database: str) -> None:
    async with running_auth(database) as auth:
        for header in ({}, {"Authorization": "Bearer wrong"}):
            response = await auth.service.app.test_client().get(JWKS.path, headers=header)
            assert response.status_code == 401


async def test_an_email_is_verified_once_by_its_newest_token(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        first = await auth.call("POST", "/me/verification", as_=ada)
        assert first.status == 202
        assert (first.data["email"], first.data["user_id"]) == (ada.email, ada.id)
        assert (await auth.call("POST", "/me/verification", as_=ada)).status == 429
        auth.clock.move(minutes=2)
        second = await auth.call("POST", "/me/verification", as_=ada)
        replaced = await auth.call("POST", "/verify", {"token": first.data["token"], "password": PASSWORD})
        assert (replaced.status, replaced.data["code"]) == (400, "invalid_link")
        spend = {"token": second.data["token"], "password": PASSWORD}
        answers = await asyncio.gather(*(auth.call("POST", "/verify", spend) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [200, 400, 400, 400]
        assert (await auth.call("GET", "/me", as_=ada)).data["email_verified"] is True
        assert (await auth.call("POST", "/me/verification", as_=ada)).data["code"] == "already_verified"


async def test_a_verification_expires_and_is_not_for_api_keys(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        token = (await auth.call("POST", "/me/verification", as_=ada)).data["token"]
        auth.clock.move(hours=48)
        for wrong in (token, "", "x", "é\0"):
            assert (await auth.call("POST", "/verify", {"token": wrong, "password": PASSWORD})).status == 400
        key = Principal(id=ada.id, kind="api_key", key_id="k")
        assert (await auth.call("POST", "/me/verification", as_=key)).status == 403


async def test_users_are_resolved_by_id_and_email(database: str) -> None:
    async with running_auth(database) as auth:
        ada, bob = await auth.sign_up(), await auth.sign_up("Bob@example.org")
        asked = [ada.id, "BOB@EXAMPLE.org", "ada@example.org", "nobody@example.org", str(uuid.uuid4()), "x\0y", ""]
        found = (await auth.call("POST", "/users:resolve", {"users": asked})).data["users"]
        assert {text: user["id"] for text, user in found.items()} == {
            ada.id: ada.id,
            "BOB@EXAMPLE.org": bob.id,
            "ada@example.org": ada.id,
        }
        assert found["BOB@EXAMPLE.org"]["email"] == "Bob@example.org"
        assert (await auth.call("POST", "/users:resolve", {"users": []})).data == {"users": {}}
        assert (await auth.call("POST", "/users:resolve", {"users": ["x"] * 1001})).status == 400


async def test_the_administrator_is_there_after_each_start(database: str) -> None:
    for _ in range(2):
        async with running_auth(database, **ADMIN) as auth:
            assert (await auth.sign_in(ADMIN["admin_email"], ADMIN["admin_password"])).status == 200
            admin = await User.get()
            assert (admin.role, admin.email_verified) == ("admin", True)


async def test_replicas_that_start_together_make_one_administrator(database: str) -> None:
    async def start_and_stop() -> None:
        async with running_auth(database, **ADMIN):
            pass

    await asyncio.gather(*(asyncio.create_task(start_and_stop()) for _ in range(4)))
    async with running_auth(database):
        assert await User.filter(role="admin").count() == 1


async def test_an_account_made_under_the_administrators_email_is_taken_over(database: str) -> None:
    async with running_auth(database) as auth:
        squatter = await auth.sign_up("ROOT@example.org", "squatters password")
        refresh_token = (await auth.sign_in("root@example.org", "squatters password")).data["refresh_token"]
        squatter = await auth.signed_in(squatter, "squatters password")
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=squatter)).data["key"]
    async with running_auth(database, **ADMIN) as auth:
        assert (await auth.sign_in("root@example.org", "squatters password")).status == 400
        assert (await auth.refresh(refresh_token)).status == 400
        assert (await auth.call("POST", "/api-keys:verify", {"key": key})).status == 401
        assert (await auth.sign_in("root@example.org", "administer it")).status == 200


async def test_a_changed_administrator_password_ends_its_sessions(database: str) -> None:
    async with running_auth(database, **ADMIN) as auth:
        token = (await auth.sign_in("root@example.org", "administer it")).data["refresh_token"]
    async with running_auth(database, **{**ADMIN, "admin_password": "another one"}) as auth:
        assert (await auth.refresh(token)).status == 400
        assert (await auth.sign_in("root@example.org", "another one")).status == 200


async def test_what_is_over_is_removed(database: str) -> None:
    clock = HandClock()
    async with running_auth(database, clock) as auth:
        ada = await auth.sign_up()
        await auth.sign_in()
        await auth.sign_in(password="wrong password")
        await auth.call("POST", "/me/verification", as_=ada)
        db = auth.auth.database
        await delete_expired(db, clock.now())
        counts = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM verifications), count(*) FROM {}"
        assert tuple(await db.pool.fetchrow(counts.format("login_attempts"))) == (1, 1, 2)
        clock.move(days=31)
        await delete_expired(db, clock.now())
        assert tuple(await db.pool.fetchrow(counts.format("login_attempts"))) == (0, 0, 0)
        assert not await Session.exists()
        assert await User.exists()
