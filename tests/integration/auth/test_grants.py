"""The token endpoint: passwords, refresh tokens, API keys, and what stops guessing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import KeySet

from notifyx_auth.base.models import ApiKey, Session, User
from notifyx_auth.base.secret_formats import RefreshParts, digest, new_secret, parse_refresh_token
from notifyx_common.principal import ALL_SCOPES, Principal
from notifyx_common.tokens import VerifiedToken, verify_access_token
from support.auth import PASSWORD, Answer, RunningAuth, running_auth


def verified(auth: RunningAuth, answer: Answer) -> VerifiedToken:
    assert answer.status == 200, answer.data
    keyset = KeySet.import_key_set(orjson.loads(auth.auth.keyring.jwks()))
    return verify_access_token(answer.data["access_token"], keyset, auth.clock.now())


async def test_a_password_is_exchanged_for_tokens(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        answer = await auth.sign_in("ADA@example.org")
        token = verified(auth, answer)
        kept = await Session.get()
        assert token.principal == ada.model_copy(update={"session": str(kept.id)})
        assert token.expires_at == auth.clock.now() + timedelta(seconds=300)
        assert (answer.data["token_type"], answer.data["expires_in"]) == ("Bearer", 300)
        assert set(answer.data["scope"].split()) == ALL_SCOPES
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.data["refresh_token"].split("_", 2)[2] not in kept.token_hash


async def test_a_sign_in_that_is_repeated_is_one_session(database: str) -> None:
    form = {"grant_type": "password", "username": "ada@example.org", "password": PASSWORD}

    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        await auth.sign_up("bob@example.org")

        async def sign_in(**more: str) -> Answer:
            return await auth.call("PUT", f"/sessions/{'a' * 32}", form | more)

        first, second = await asyncio.gather(sign_in(), sign_in())
        tokens = [answer.data["refresh_token"] for answer in (first, second)]
        assert tokens[0] != tokens[1]
        assert verified(auth, first).principal == verified(auth, second).principal
        assert [str(one.user_id) for one in await Session.all()] == [ada.id]
        assert (await sign_in(username="bob@example.org")).data["code"] == "session_used", "it is not his"
        assert (await sign_in(password="wrong")).data["code"] == "invalid_grant"
        refreshed = await auth.refresh(tokens[1])
        assert refreshed.status == 200, "whichever answer arrived"
        late = await sign_in()
        assert (late.status, late.data["code"]) == (409, "session_used")
        assert (await auth.refresh(refreshed.data["refresh_token"])).status == 200, "and it ended nothing"
        assert await Session.all().count() == 1
        refused = await auth.call("PUT", f"/sessions/{'b' * 32}", {"grant_type": "client_credentials"})
        assert refused.data["code"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"grant_type": "password", "username": "ada@example.org", "password": "wrong"}, "invalid_grant"),
        ({"grant_type": "password", "username": "nobody@example.org", "password": PASSWORD}, "invalid_grant"),
        ({"grant_type": "password", "username": "a\0", "password": PASSWORD}, "invalid_grant"),
        ({"grant_type": "password", "username": "ada@example.org"}, "invalid_request"),
        ({"grant_type": "password", "password": PASSWORD}, "invalid_request"),
        ({"grant_type": "password", "username": 7, "password": PASSWORD}, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b", "extra": 1}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": f"nfr_{'0' * 32}_{'x' * 43}"}, "invalid_grant"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "\0", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "0" * 16, "client_secret": "x" * 43}, "invalid_client"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
        ([], "invalid_request"),
    ],
    ids=str,
)
async def test_a_refused_grant_has_rfc_6749s_code(database: str, form: Any, code: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        answer = await auth.call("POST", "/token", form)
        assert (answer.status, answer.data["code"]) == (401 if code == "invalid_client" else 400, code)
        assert PASSWORD not in str(answer.data)


async def test_a_scope_can_be_narrowed_and_not_widened(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        narrow = await auth.sign_in(scope="read publish")
        assert verified(auth, narrow).principal.scopes == {"read", "publish"}
        for scope in ("read fly", "", "admin"):
            assert (await auth.sign_in(scope=scope)).data["code"] == "invalid_scope"
        wider = await auth.refresh(narrow.data["refresh_token"], scope="read manage")
        assert verified(auth, wider).principal.scopes == {"read"}
        again = await auth.refresh(wider.data["refresh_token"])
        assert verified(auth, again).principal.scopes == {"read", "publish"}


async def test_refresh_tokens_rotate_and_a_reused_one_ends_the_session(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        first = (await auth.sign_in()).data["refresh_token"]
        other_device = (await auth.sign_in()).data["refresh_token"]
        second = await auth.refresh(first)
        session = parse_refresh_token(first)
        assert session is not None
        assert verified(auth, second).principal == ada.model_copy(update={"session": str(session.session)})
        assert second.data["refresh_token"] != first
        third = await auth.refresh(second.data["refresh_token"])
        assert (await auth.refresh(first)).data["code"] == "invalid_grant"
        assert (await auth.refresh(third.data["refresh_token"])).data["code"] == "invalid_grant"
        assert (await auth.refresh(other_device)).status == 200


async def test_of_concurrent_successors_of_one_refresh_token_one_goes_on(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        for _ in range(5):
            token = (await auth.sign_in()).data["refresh_token"]
            answers = await asyncio.gather(*(auth.refresh(token) for _ in range(8)))
            successors = [answer.data["refresh_token"] for answer in answers]
            assert len(set(successors)) == 8
            answers = await asyncio.gather(*(auth.refresh(successor) for successor in successors))
            # The first one wins; the second one is an old token, and ends the session for all.
            assert sorted(answer.status for answer in answers) == [200] + [400] * 7
            won = next(answer for answer in answers if answer.status == 200)
            assert (await auth.refresh(won.data["refresh_token"])).status == 400
        assert await Session.filter(end_reason="reuse").count() == 5


async def test_sessions_of_before_generations_go_on(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        for repeat in (False, True):
            old = parse_refresh_token((await auth.sign_in()).data["refresh_token"])
            assert old is not None
            old = RefreshParts(session=old.session, secret=new_secret())  # random bytes, as they were
            await Session.filter(id=old.session).update(token_hash=digest(old.secret))
            answer = await auth.refresh(old.text)
            if repeat:
                answer = await auth.refresh(old.text)
            assert (await auth.refresh(answer.data["refresh_token"])).status == 200


async def test_a_session_ends_unused_or_at_its_longest(database: str) -> None:
    async with running_auth(database, refresh_token_days=10, session_days=25) as auth:
        await auth.sign_up()
        idle = (await auth.sign_in()).data["refresh_token"]
        busy = (await auth.sign_in()).data["refresh_token"]
        for _ in range(2):
            auth.clock.move(days=9.9)
            busy = (await auth.refresh(busy)).data["refresh_token"]
        assert (await auth.refresh(idle)).status == 400
        auth.clock.move(days=5.1)
        assert (await auth.refresh(busy)).status == 200
        auth.clock.move(days=0.2)
        assert (await auth.refresh(busy)).status == 400


async def test_signing_out_of_one_session_and_of_all(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        await auth.sign_up("bob@example.org")
        one, two, three = [(await auth.sign_in()).data["refresh_token"] for _ in range(3)]
        bob = (await auth.sign_in("bob@example.org")).data["refresh_token"]
        assert (await auth.call("POST", "/token/revoke", {"token": one})).status == 204
        assert (await auth.refresh(one)).status == 400
        two = (await auth.refresh(two)).data["refresh_token"]
        assert (await auth.call("POST", "/token/revoke", {"token": two, "everywhere": True})).status == 204
        assert [(await auth.refresh(token)).status for token in (two, three, bob)] == [400, 400, 200]
        for unknown in ("", "x", f"nfr_{'0' * 32}_{'x' * 43}"):
            body = {"token": unknown, "everywhere": True}
            assert (await auth.call("POST", "/token/revoke", body)).status == 204


async def test_guessing_is_slowed_down_and_never_locks_out(database: str) -> None:
    async with running_auth(database, login_burst=3, login_interval=6) as auth:
        await auth.sign_up()
        guesses = await asyncio.gather(*(auth.sign_in(password=f"guess {n}") for n in range(10)))
        assert sorted(guess.status for guess in guesses) == [400] * 3 + [429] * 7
        refused = await auth.sign_in()
        assert (refused.status, refused.data["code"]) == (429, "too_many_attempts")
        assert "6 s" in refused.data["detail"]
        assert refused.headers["Retry-After"] == "6"
        auth.clock.move(seconds=6)
        assert (await auth.sign_in("ADA@EXAMPLE.ORG")).status == 200
        assert [(await auth.sign_in(password="wrong again")).status for _ in range(2)] == [400, 429]
        unknown = [(await auth.sign_in("nobody@example.org")).status for _ in range(4)]
        assert unknown == [400, 400, 400, 429]


async def test_a_full_hashing_queue_is_a_429(database: str) -> None:
    slow: dict[str, Any] = {
        "argon2_time": 4,
        "argon2_memory_kib": 32768,
        "hash_threads": 1,
        "hash_queue": 2,
        "login_burst": 100,
    }
    async with running_auth(database, **slow) as auth:
        await auth.sign_up()
        answers = await asyncio.gather(*(auth.sign_in() for _ in range(12)))
        statuses = [answer.status for answer in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 3
        assert {answer.data["code"] for answer in answers if answer.status == 429} == {"busy"}
        assert (await auth.sign_in()).status == 200


async def test_an_unknown_user_costs_the_same_work(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        hashed = auth.service.metrics.registry

        def count() -> float:
            return hashed.get_sample_value("notifyx_password_hash_seconds_count") or 0.0

        before = count()
        await auth.sign_in(password="wrong password")
        known = count() - before
        await auth.sign_in("nobody@example.org")
        assert known == count() - before - known == 1


async def test_a_hash_of_other_parameters_is_renewed(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        old = (await User.get()).password_hash
    async with running_auth(database, argon2_time=2) as auth:
        assert (await auth.sign_in()).status == 200
        new = (await User.get()).password_hash
        assert new != old
        assert "t=2" in new
        assert (await auth.sign_in()).status == 200
        assert (await User.get()).password_hash == new


async def test_an_api_key_acts_for_its_owner_within_its_limits(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        body = {"name": "ci", "topics": ["build.*", "deploy"], "scopes": ["publish"]}
        made = await auth.call("POST", "/api-keys", body, as_=ada)
        assert made.status == 201
        key = made.data["key"]
        proved = await auth.call("POST", "/api-keys:verify", {"key": key})
        principal = Principal.model_validate(proved.data)
        assert principal == Principal(
            id=ada.id,
            kind="api_key",
            email=ada.email,
            name="Ada",
            scopes=frozenset({"publish"}),
            topics=("build.*", "deploy"),
            key_id=made.data["id"],
        )
        _, key_id, secret = key.split("_", 2)
        for client_id in (key_id, f"nfx_{key_id}"):
            form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
            answer = await auth.call("POST", "/token", form)
            assert verified(auth, answer).principal == principal
            assert "refresh_token" not in answer.data
        form["scope"] = "read"
        assert (await auth.call("POST", "/token", form)).data["code"] == "invalid_scope"
        assert secret not in str(await ApiKey.all().values())
        listed = (await auth.call("GET", "/api-keys", as_=ada)).data["items"]
        assert [item["id"] for item in listed] == [key_id]
        assert secret not in str(listed)


@pytest.mark.parametrize("change", ["", "x", "nfx_", "é", "nfx_0000000000000000_" + "x" * 43])
async def test_another_key_is_refused(database: str, change: str) -> None:
    async with running_auth(database) as auth:
        answer = await auth.call("POST", "/api-keys:verify", {"key": change})
        assert (answer.status, answer.data["code"]) == (401, "invalid_api_key")


async def test_a_key_ends_when_it_is_deleted_or_expires(database: str) -> None:
    async with running_auth(database) as auth:
        ada, bob = await auth.signed_in(await auth.sign_up()), await auth.sign_up("bob@example.org")
        ends = (auth.clock.now() + timedelta(seconds=100)).isoformat()
        brief = (await auth.call("POST", "/api-keys", {"name": "b", "expires_at": ends}, as_=ada)).data
        lasting = (await auth.call("POST", "/api-keys", {"name": "l"}, as_=ada)).data
        _, key_id, secret = brief["key"].split("_", 2)
        form = {"grant_type": "client_credentials", "client_id": key_id, "client_secret": secret}
        token = await auth.call("POST", "/token", form)
        assert token.data["expires_in"] == 100
        assert verified(auth, token).expires_at == auth.clock.now() + timedelta(seconds=100)
        auth.clock.move(seconds=100)
        assert (await auth.call("POST", "/api-keys:verify", {"key": brief["key"]})).status == 401
        assert (await auth.call("DELETE", f"/api-keys/{lasting['id']}", as_=bob)).status == 404
        assert (await auth.call("POST", "/api-keys:verify", {"key": lasting["key"]})).status == 200
        assert (await auth.call("DELETE", f"/api-keys/{lasting['id']}", as_=ada)).status == 204
        for unknown in (lasting["id"], "x" * 33):
            assert (await auth.call("DELETE", f"/api-keys/{unknown}", as_=ada)).status == 404
        assert (await auth.call("POST", "/api-keys:verify", {"key": lasting["key"]})).status == 401


async def test_the_last_use_is_written_once_a_minute(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=ada)).data["key"]
        seen = []
        for seconds in (0, 59, 1):
            auth.clock.move(seconds=seconds)
            await auth.call("POST", "/api-keys:verify", {"key": key})
            seen.append((await auth.call("GET", "/api-keys", as_=ada)).data["items"][0]["last_used_at"])
        assert seen == ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T12:01:00Z"]


async def test_who_may_make_which_keys(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        reader = ada.model_copy(update={"scopes": frozenset({"read"})})
        assert (await auth.call("POST", "/api-keys", {"name": "k"}, as_=reader)).data["code"] == "missing_scope"
        key = ada.model_copy(update={"kind": "api_key"})
        assert (await auth.call("POST", "/api-keys", {"name": "k"}, as_=key)).status == 403
        assert (await auth.call("GET", "/api-keys", as_=key)).status == 403
        for bad in (
            {"name": ""},
            {"name": "k", "topics": ["../x"]},
            {"name": "k", "scopes": []},
            {"name": "k", "expires_at": "2020-01-01T00:00:00Z"},
            {"name": "k", "expires_at": "2030-01-01T00:00:00"},
        ):
            assert (await auth.call("POST", "/api-keys", bad, as_=ada)).status == 400
        answers = await asyncio.gather(
            *(auth.call("POST", "/api-keys", {"name": f"k{n}"}, as_=ada) for n in range(104))
        )
        assert [answer.status for answer in answers].count(201) == 100
        assert {answer.data["code"] for answer in answers if answer.status != 201} == {"too_many_api_keys"}


async def test_a_token_of_after_the_backup_is_no_reused_one(database: str) -> None:
    """The database was restored from a backup: it knows an earlier generation than the user's token is of."""
    async with running_auth(database) as auth:
        await auth.sign_up()
        token = (await auth.sign_in()).data["refresh_token"]
        backup = await Session.get()
        tokens = [token]
        for _ in range(4):
            tokens.append((await auth.refresh(tokens[-1])).data["refresh_token"])
        await backup.save()
        answer = await auth.refresh(tokens[3])
        assert answer.status == 200
        # It goes on as if nothing had happened: its successor is good, and what was before it is not.
        assert (await auth.refresh(answer.data["refresh_token"])).status == 200
        assert (await auth.refresh(tokens[2])).data["code"] == "invalid_grant"
        assert (await Session.get()).end_reason == "reuse"
