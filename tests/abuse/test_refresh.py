"""A refresh whose answer is lost, and everything that a grace for it could let in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from notifyx.backoff import Backoff
from notifyx.models import TokenResponse
from notifyx.token_endpoint import TokenEndpoint
from notifyx.tokens import MemoryStore, RotatingTokens, to_tokens
from notifyx.transport import Transport
from notifyx_auth.base.models import Session
from notifyx_auth.base.secret_formats import new_secret
from support.auth import RunningAuth, running_auth


@contextlib.asynccontextmanager
async def dropping(auth: RunningAuth, answers: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A token endpoint before ``auth`` which closes the connection in place of the first ``answers`` answers."""
    seen: list[int] = []

    async def token(request: web.Request) -> web.Response:
        answer = await auth.call("POST", "/token", dict(await request.post()))
        seen.append(answer.status)
        if len(seen) <= answers:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer.data, status=answer.status)

    app = web.Application()
    app.router.add_post("/api/v1/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}", seen
    finally:
        await runner.cleanup()


async def test_a_lost_answer_to_a_refresh_does_not_sign_out(database: str) -> None:
    async with running_auth(database) as auth, dropping(auth, 3) as (url, seen), aiohttp.ClientSession() as session:
        await auth.sign_up()
        begun = await auth.sign_in()
        endpoint = TokenEndpoint(Transport(url, session, patience=20, backoff=Backoff(0.01, 0.05)))
        store = MemoryStore()
        tokens = RotatingTokens(store, refresh=endpoint.refresh, now=lambda: auth.clock.now().timestamp())
        store.save(to_tokens(TokenResponse.model_validate(begun.data), auth.clock.now().timestamp()))
        for exchanges in (4, 5):
            auth.clock.move(seconds=290)
            before = store.load()
            assert await tokens.token()
            assert store.load() != before
            assert seen == [200] * exchanges
        repeated = auth.service.metrics.registry.get_sample_value("notifyx_refreshes_repeated_total")
        assert repeated == 3
        assert await Session.filter(ended_at=None).count() == 1


async def test_windows_that_race_for_one_refresh_stay_signed_in(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        token = (await auth.sign_in()).data["refresh_token"]
        for _ in range(3):
            answers = await asyncio.gather(auth.refresh(token), auth.refresh(token))
            assert [answer.status for answer in answers] == [200, 200]
            token = answers[1].data["refresh_token"]  # both are stored in one place, the last one stays
        # A computer that slept for a weekend before the answer came.
        auth.clock.move(hours=71)
        assert (await auth.refresh(token)).status == 200
        auth.clock.move(hours=71)
        assert (await auth.refresh(token)).status == 200


async def test_a_copied_token_is_still_found_out(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()

        async def session() -> tuple[str, str]:
            first: str = (await auth.sign_in()).data["refresh_token"]
            return first, (await auth.refresh(first)).data["refresh_token"]

        # The thief uses the token within its grace, then the user goes on: whoever comes second ends it for both.
        for thief_first in (True, False):
            copied, users = await session()
            thiefs = (await auth.refresh(copied)).data["refresh_token"]
            order = (thiefs, users) if thief_first else (users, thiefs)
            one, two = [await auth.refresh(token) for token in order]
            assert (one.status, two.status) == (200, 400)
            assert (await auth.refresh(one.data["refresh_token"])).status == 400
        # After its successor was used, and after the grace, the token is old.
        for used in (True, False):
            copied, users = await session()
            if used:
                users = (await auth.refresh(users)).data["refresh_token"]
            else:
                auth.clock.move(hours=72)
            assert (await auth.refresh(copied)).status == 400
            assert (await auth.refresh(users)).status == 400
        assert await Session.filter(end_reason="reuse").count() == await Session.all().count() == 4


async def test_a_made_up_token_of_a_known_session_ends_nothing(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        own, other = [(await auth.sign_in()).data["refresh_token"] for _ in range(2)]
        made_up = f"{own.rpartition('_')[0]}_{new_secret()}"
        assert (await auth.refresh(made_up)).status == 400
        for everywhere in (False, True):
            body = {"token": made_up, "everywhere": everywhere}
            assert (await auth.call("POST", "/token/revoke", body)).status == 204
        assert await Session.filter(ended_at=None).count() == 2
        # An old token of the chain is a sign of theft: it ends its own session, and not those of other devices.
        newest = (await auth.refresh((await auth.refresh(own)).data["refresh_token"])).data["refresh_token"]
        assert (await auth.call("POST", "/token/revoke", {"token": own, "everywhere": True})).status == 204
        assert [(await auth.refresh(token)).status for token in (newest, other)] == [400, 200]
