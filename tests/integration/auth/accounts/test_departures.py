"""An account is deleted as a whole, and what others have to remove is not forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from notifyx_auth.base.models import ApiKey, Device, Hook, Session, User, Verification
from notifyx_common.principal import Principal
from support.auth import PASSWORD, Answer, RunningAuth, running_auth

ADMIN: dict[str, Any] = {"admin_email": "root@example.org", "admin_password": "administer it"}


async def leave(auth: RunningAuth, who: Principal, topics: Any = "keep", password: str = PASSWORD) -> Answer:
    path = f"/me/departure?session={who.session}"
    return await auth.call("POST", path, {"password": password, "topics": topics}, as_=who)


async def leased(auth: RunningAuth) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await auth.call("POST", "/departures:lease")).data["items"]
    return items


async def step(auth: RunningAuth, who: Principal, name: str) -> None:
    assert (await auth.call("POST", f"/departures/{who.id}", {"step": name})).status == 204


async def test_nothing_that_proves_the_user_is_left_and_the_address_is_free(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        signed_in = await auth.sign_in()
        await auth.call("POST", "/me/verification", as_=ada)
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=ada)).data["key"]
        await auth.call("POST", "/hooks", {"topic": "t", "kind": "github"}, as_=ada)
        left = await leave(auth, ada)
        assert (left.status, left.data["topics"], left.data["final"]) == (200, "keep", False)
        for table in (User, Session, ApiKey, Hook, Device, Verification):
            assert await table.all().count() == 0, table
        assert (await auth.refresh(signed_in.data["refresh_token"])).data["code"] == "invalid_grant"
        assert (await auth.call("POST", "/api-keys:verify", {"key": key})).status == 401
        assert (await auth.call("GET", "/me", as_=ada)).status == 404
        assert (await auth.call("POST", "/api-keys", {"name": "k"}, as_=ada)).status == 404
        assert (await leave(auth, ada)).status == 404
        changes = (await auth.call("GET", "/credential-changes")).data["items"]
        assert [(one["kind"], one["subject"]) for one in changes] == [("account", ada.id)]
        assert (await auth.sign_up()).id != ada.id


async def test_it_needs_the_password_and_a_session_that_is_alive(database: str) -> None:
    async with running_auth(database, login_burst=3) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        assert (await leave(auth, ada, password="wrong")).data["code"] == "wrong_password"
        assert (await leave(auth, ada.model_copy(update={"kind": "api_key"}))).data["code"] == "user_required"
        other = await auth.signed_in(ada)
        await auth.call("DELETE", f"/me/sessions/{other.session}", as_=ada)
        assert (await leave(auth, other)).data["code"] == "session_ended"
        for _ in range(2):
            assert (await leave(auth, ada, password="wrong")).data["code"] == "wrong_password"
        # Guesses are limited in this session.
        assert (await leave(auth, ada)).status == 429
        assert (await leave(auth, await auth.signed_in(ada))).status == 200


async def test_topics_are_given_to_a_user_who_is_there_and_verified(database: str) -> None:
    async with running_auth(database) as auth:
        ada, bob = await auth.signed_in(await auth.sign_up()), await auth.sign_up("Bob@example.org")
        for nobody in ("none@example.org", "bob@example.org", "ada@example.org", "bob", "\0"):
            refused = await leave(auth, ada, {"give_to": nobody})
            assert (refused.status, refused.data["errors"][0]["field"]) == (400, "topics.give_to")
        await User.filter(id=bob.id).update(email_verified=True)
        await User.filter(id=ada.id).update(email_verified=True)
        assert (await leave(auth, ada, {"give_to": "BOB@example.org"})).data["give_to"] == bob.id
        [departure] = await leased(auth)
        assert (departure["topics"], departure["give_to"], departure["verified"]) == ("give", bob.id, True)
        assert (await leave(auth, await auth.signed_in(bob))).status == 200
        auth.clock.move(minutes=2)
        kept = {one["user_id"]: (one["topics"], one["give_to"]) for one in await leased(auth)}
        assert kept == {ada.id: ("keep", ""), bob.id: ("keep", "")}


async def test_a_departure_is_one_gateways_until_it_stops_working_and_ends_when_it_is_finished(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        await leave(auth, ada)
        both = await asyncio.gather(leased(auth), leased(auth))
        assert sorted(len(one) for one in both) == [0, 1]
        auth.clock.move(seconds=50)
        await step(auth, ada, "working")
        auth.clock.move(seconds=50)
        assert await leased(auth) == []
        auth.clock.move(seconds=11)
        assert [one["told"] for one in await leased(auth)] == [False]
        await step(auth, ada, "told")
        await step(auth, ada, "removed")
        auth.clock.move(minutes=3)
        assert await leased(auth) == [], "access tokens from before may still be shown"
        auth.clock.move(minutes=3)
        assert [(one["told"], one["final"]) for one in await leased(auth)] == [(True, True)]
        await step(auth, ada, "finished")
        await step(auth, ada, "finished")
        auth.clock.move(days=1)
        assert await leased(auth) == []


async def test_the_last_administrator_and_the_one_of_the_settings_stay(database: str) -> None:
    async with running_auth(database, **ADMIN) as auth:
        root = await auth.call("POST", "/users:resolve", {"users": ["root@example.org"]})
        who = Principal(id=root.data["users"]["root@example.org"]["id"], email="root@example.org")
        signed_in = await auth.signed_in(who, "administer it")
        refused = await leave(auth, signed_in, password="administer it")
        assert refused.data["code"] == "managed_account"
        for number in range(8):
            both = [await auth.signed_in(await auth.sign_up(f"{one}{number}@example.org")) for one in ("ada", "bob")]
            await User.filter(role="admin").update(role="user")
            await User.filter(id__in=[one.id for one in both]).update(role="admin")
            answers = await asyncio.gather(*(leave(auth, one) for one in both))
            assert sorted(answer.status for answer in answers) == [200, 409]
            assert [answer.data["code"] for answer in answers if answer.status == 409] == ["last_administrator"]


@pytest.mark.parametrize("rounds", [10])
async def test_a_sign_in_at_the_same_time_is_before_or_refused(database: str, rounds: int) -> None:
    async with running_auth(database) as auth:
        for number in range(rounds):
            ada = await auth.signed_in(await auth.sign_up(f"ada{number}@example.org"))
            assert ada.email is not None
            answers = await asyncio.gather(leave(auth, ada), *(auth.sign_in(ada.email) for _ in range(3)))
            assert answers[0].status == 200, answers[0].data
            assert {answer.status for answer in answers[1:]} <= {200, 400}, [one.data for one in answers]
        assert await Session.all().count() == 0
