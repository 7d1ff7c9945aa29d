"""A user's sessions: where they are, and the end of one or of all others."""

from __future__ import annotations

from typing import Any

import pytest

from notifyx_auth.base.locks import Lock
from notifyx_common.principal import Principal
from support.auth import RunningAuth, running_auth
from support.patience import until


async def sessions(auth: RunningAuth, who: Principal) -> list[dict[str, Any]]:
    answer = await auth.call("GET", f"/me/sessions?session={who.session}", as_=who)
    assert answer.status == 200, answer.data
    items: list[dict[str, Any]] = answer.data["items"]
    return items


async def recorded(auth: RunningAuth, accounts: list[str]) -> list[dict[str, Any]]:
    """All changes of accounts, once they are those of ``accounts``."""
    found: list[dict[str, Any]] = []

    async def all_there() -> bool:
        changes = (await auth.call("GET", "/credential-changes?accounts=true")).data["items"]
        found[:] = [one for one in changes if one["kind"] == "account_changed"]
        return [one["subject"] for one in found] == accounts

    await until(all_there, f"changes of {accounts} are recorded")
    return found


async def test_sign_ins_wait_for_no_change_and_share_the_record_of_theirs(database: str) -> None:
    """While somebody holds the lock of changes, sign-ins are answered; afterwards all of them are recorded."""
    async with running_auth(database) as auth:
        people = [await auth.sign_up(f"{name}@example.org") for name in ("ada", "bob", "eve")]
        first = [await auth.signed_in(one) for one in people]
        async with auth.service.database.pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT pg_advisory_xact_lock($1)", int(Lock.CREDENTIAL_CHANGES))
            await auth.signed_in(people[0])
            for one in people[:2]:
                await auth.signed_in(one)
            assert await recorded(auth, []) == []
            assert len(await sessions(auth, first[0])) == 3
        ada, bob, _ = (one.id for one in people)

        async def both() -> bool:
            changes = (await auth.call("GET", "/credential-changes?accounts=true")).data["items"]
            return {one["subject"] for one in changes} == {ada, bob}

        await until(both, "the sign-ins are recorded")


async def test_a_user_sees_where_each_session_was_used_last(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        phone = await auth.call(
            "POST",
            "/token?address=192.0.2.1&user_agent=Phone",
            {"grant_type": "password", "username": ada.email, "password": "correct horse battery"},
        )
        auth.clock.move(hours=1)
        here = await auth.signed_in(ada)
        auth.clock.move(hours=1)
        form = {"grant_type": "refresh_token", "refresh_token": phone.data["refresh_token"]}
        assert (await auth.call("POST", "/token?address=192.0.2.7&user_agent=Phone/2", form)).status == 200
        last, first = await sessions(auth, here)
        assert (last["address"], last["user_agent"], last["current"]) == ("192.0.2.7", "Phone/2", False)
        assert (last["created_at"], last["last_used_at"]) == ("2026-01-01T12:00:00Z", "2026-01-01T14:00:00Z")
        assert (first["address"], first["user_agent"], first["current"]) == ("192.0.2.9", "", True)


async def test_a_user_ends_sessions_of_their_own_alone(database: str) -> None:
    async with running_auth(database) as auth:
        ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.org")
        here = await auth.signed_in(ada)
        there = await auth.signed_in(ada)
        await recorded(auth, [ada.id])
        third = await auth.signed_in(ada)
        await auth.signed_in(eve)
        signed_in = await recorded(auth, [ada.id, ada.id])
        for wrong in (f"/me/sessions/{there.session}", "/me/sessions/none", f"/me/sessions/{'x' * 65}"):
            assert (await auth.call("DELETE", wrong, as_=eve)).status == 404
        assert there.session is not None
        assert (await auth.call("DELETE", f"/me/sessions/{there.session.upper()}", as_=here)).status == 204
        assert (await auth.call("DELETE", f"/me/sessions/{there.session}", as_=here)).status == 404
        again = await auth.call("DELETE", f"/me/sessions/{there.session}", as_=here, repeated=True)
        assert again.status == 204, "a gateway that lost the answer asks again"
        changes = (await auth.call("GET", "/credential-changes")).data["items"]
        assert [(one["kind"], one["subject"]) for one in changes] == [("session", there.session)], (
            "all that was known once"
        )
        since = f"/credential-changes?accounts=true&after={signed_in[-1]['id']}"
        changes = (await auth.call("GET", since)).data["items"]
        told = [("session", there.session), ("account_changed", ada.id)]
        assert [(one["kind"], one["subject"]) for one in changes] == told
        later = f"/credential-changes?accounts=true&after={changes[0]['id']}"
        assert (await auth.call("GET", later)).data["items"] == changes[1:], "their ids are in one order"
        assert {one["id"] for one in await sessions(auth, here)} == {here.session, third.session}
        ended = await auth.call("DELETE", f"/me/sessions?session={there.session}", as_=there)
        assert (ended.status, ended.data["code"]) == (401, "session_ended")
        assert (await auth.call("DELETE", f"/me/sessions?session={here.session}", as_=here)).data == {"ended": 1}
        assert [one["id"] for one in await sessions(auth, here)] == [here.session]


@pytest.mark.parametrize(("method", "path"), [("GET", "/me/sessions"), ("DELETE", "/me/sessions")])
async def test_a_key_sees_and_ends_no_session(database: str, method: str, path: str) -> None:
    async with running_auth(database) as auth:
        key = (await auth.sign_up()).model_copy(update={"kind": "api_key", "key_id": "k"})
        assert (await auth.call(method, path, as_=key)).data["code"] == "user_required"
