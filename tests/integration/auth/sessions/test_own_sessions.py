"""A user's sessions: where they are, and the end of one or of all others."""

from __future__ import annotations

from typing import Any

import pytest

from notifyx_common.principal import Principal
from support.auth import RunningAuth, running_auth


async def sessions(auth: RunningAuth, who: Principal) -> list[dict[str, Any]]:
    answer = await auth.call("GET", f"/me/sessions?session={who.session}", as_=who)
    assert answer.status == 200, answer.data
    items: list[dict[str, Any]] = answer.data["items"]
    return items


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
        here, there, third = [await auth.signed_in(ada) for _ in range(3)]
        await auth.signed_in(eve)
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
        changes = (await auth.call("GET", "/credential-changes?accounts=true")).data["items"]
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
