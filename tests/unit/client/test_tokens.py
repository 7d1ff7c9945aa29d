"""Rotating tokens: exchanged in time, by one task at a time, and removed when the session has ended."""

from __future__ import annotations

import asyncio

import pytest

from notifyx.errors import AnswerLost, InvalidRequest, NotLoggedIn, Unavailable
from notifyx.models import TokenResponse
from notifyx.tokens import MemoryStore, RotatingTokens, Tokens, to_tokens


class Server:
    """A token endpoint that ends the session when a refresh token is used twice, as the real one does."""

    def __init__(self, store: MemoryStore) -> None:
        self.now = 1000.0
        self.current = 0
        self.exchanges = 0
        self.logins = 0
        self.ended = False
        self.fails: Exception | None = None
        store.save(to_tokens(self.grant(), self.now, email="ada@example.com"))

    def grant(self) -> TokenResponse:
        return TokenResponse(access_token=f"a{self.current}", refresh_token=f"r{self.current}", expires_in=300)

    async def refresh(self, token: str) -> TokenResponse:
        self.exchanges += 1
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        if self.ended or token != f"r{self.current}":
            self.ended = True
            raise InvalidRequest("The refresh token is not valid (any more).", code="invalid_grant")
        self.current += 1
        return self.grant()

    async def log_in(self) -> TokenResponse:
        self.logins += 1
        self.ended = False
        self.current += 100
        return self.grant()

    def source(self, store: MemoryStore, *, log_in: bool = False) -> RotatingTokens:
        return RotatingTokens(store, refresh=self.refresh, log_in=self.log_in if log_in else None, now=lambda: self.now)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def server(store: MemoryStore) -> Server:
    return Server(store)


async def test_many_who_need_a_new_one_cause_one_exchange(server: Server, store: MemoryStore) -> None:
    sources = [server.source(store) for _ in range(5)]  # as of five processes
    assert await sources[0].token() == "a0"
    server.now += 250
    got = await asyncio.gather(*(source.token() for source in sources for _ in range(10)))
    assert set(got) == {"a1"}
    assert (server.exchanges, server.ended) == (1, False)
    found = store.load()
    assert found is not None
    assert (found.refresh_token, found.email) == ("r1", "ada@example.com")


async def test_many_who_were_rejected_cause_one_exchange(server: Server, store: MemoryStore) -> None:
    sources = [server.source(store) for _ in range(5)]
    why = NotLoggedIn("no")
    got = await asyncio.gather(*(source.renew("a0", why) for source in sources for _ in range(10)))
    assert set(got) == {"a1"}
    assert server.exchanges == 1


async def test_it_is_exchanged_before_its_end_and_not_long_before(server: Server, store: MemoryStore) -> None:
    source = server.source(store)
    server.now += 239
    assert await source.token() == "a0"
    server.now += 1
    assert await source.token() == "a1"
    assert source.renew_at() == server.now + 240


async def test_a_short_life_is_used_too() -> None:
    assert Tokens("a", "r", obtained_at=100.0, expires_at=110.0).renew_at() == pytest.approx(108.0)
    assert Tokens("nfx_").renew_at() == float("inf")


@pytest.mark.parametrize("away", [Unavailable("away"), AnswerLost("away")])
async def test_while_the_server_is_away_the_old_one_serves_to_its_end(
    server: Server, store: MemoryStore, away: Exception
) -> None:
    source = server.source(store)
    server.fails = away
    server.now += 250
    assert await source.token() == "a0"
    with pytest.raises(type(away)):
        await source.renew("a0", NotLoggedIn("no"))
    server.now += 50
    with pytest.raises(type(away)):
        await source.token()
    server.fails = None
    assert await source.token() == "a1"


async def test_a_session_that_ended_is_forgotten(server: Server, store: MemoryStore) -> None:
    source = server.source(store)
    server.ended = True
    server.now += 250
    with pytest.raises(NotLoggedIn, match="The session has ended; log in again"):
        await source.token()
    assert store.load() is None
    with pytest.raises(NotLoggedIn, match="not logged in"):
        await source.token()
    assert server.exchanges == 1


async def test_who_has_a_password_logs_in_again(server: Server, store: MemoryStore) -> None:
    source = server.source(store, log_in=True)
    server.ended = True
    server.now += 250
    assert await source.token() == "a100"
    assert (server.exchanges, server.logins) == (1, 1)


async def test_an_api_key_is_not_exchanged(server: Server, store: MemoryStore) -> None:
    store.save(Tokens("nfx_key"))
    source = server.source(store)
    assert await source.token() == "nfx_key"
    why = NotLoggedIn("The API key is not valid (any more).")
    with pytest.raises(NotLoggedIn) as raised:
        await source.renew("nfx_key", why)
    assert raised.value is why
    assert server.exchanges == 0
