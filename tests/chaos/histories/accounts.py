"""The users of a platform under test, and access tokens that are renewed through every fault."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp

from chaos.histories.system import System
from support.patience import PATIENCE, until
from support.platform import PASSWORD

ANSWER = 10.0
"""Seconds in which a request is answered, or its outcome is unknown."""

RENEW_BEFORE = 6.0
"""Seconds before its end at which a token is renewed."""


class Tokens:
    """The tokens of one session. A renewal whose answer is lost is repeated; one that is refused ends the session.

    ``refused`` has the codes of those: the user then signs in again.
    """

    def __init__(self, http: aiohttp.ClientSession, api: str, email: str, random: Random) -> None:
        self._http = http
        self._api = api
        self._email = email
        self._random = random
        self._access = ""
        self._refresh = ""
        self._until = 0.0
        self._lock = asyncio.Lock()
        self.refused: list[str] = []

    async def log_in(self) -> None:
        """Begin a session."""
        refused = await self._grant({"grant_type": "password", "username": self._email, "password": PASSWORD})
        assert not refused, f"{self._email} cannot sign in: {refused}"

    async def get(self) -> str:
        """Return a token that is valid for some seconds."""
        async with self._lock:
            while time.monotonic() > self._until - RENEW_BEFORE:
                if code := await self._grant({"grant_type": "refresh_token", "refresh_token": self._refresh}):
                    self.refused.append(code)
                    await self.log_in()
        return self._access

    async def _grant(self, form: dict[str, str]) -> str:
        """Ask for tokens until there is an answer; return the code of a refusal, if it is one."""
        while True:
            asked = time.monotonic()
            try:
                async with self._http.post(f"{self._api}/token", data=form) as response:
                    answer = await response.json(content_type=None)
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                status = 0
            if status == 200:
                self._access, self._refresh = answer["access_token"], answer["refresh_token"]
                self._until = asked + answer["expires_in"]
                return ""
            if status in (400, 401):
                return str(answer.get("code") or answer.get("error") or status)
            await asyncio.sleep(self._random.uniform(0.1, 0.4))


@dataclass(frozen=True, slots=True)
class Account:
    """A user."""

    name: str
    email: str
    id: str
    tokens: Tokens
    http: aiohttp.ClientSession
    api: str

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Call the API; the status and the JSON of the answer. Raises as aiohttp does."""
        headers = {"Authorization": f"Bearer {await self.tokens.get()}", **options.pop("headers", {})}
        async with self.http.request(method, f"{self.api}{path}", headers=headers, **options) as response:
            return response.status, await response.json(content_type=None)

    async def surely(self, method: str, path: str, **options: Any) -> Any:
        """Call the API until it succeeds. Raises :class:`AssertionError` for a refusal that is final."""
        while True:
            try:
                status, answer = await self.call(method, path, **options)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                status, answer = 0, None
            if 200 <= status < 300:
                return answer
            assert status in (0, 401, 429) or status >= 500, f"{method} {path}: {status} {answer}"
            await asyncio.sleep(0.1)


async def sign_up(http: aiohttp.ClientSession, system: System, name: str, random: Random) -> Account:
    """Create a user with a verified address, on a platform without faults."""
    api, mails = system.api, system.mails
    email = f"{name}{system.run}@example.com"
    body = {"email": email, "password": PASSWORD, "name": name.title()}
    async with http.post(f"{api}/users", json=body) as response:
        assert response.status == 201, await response.text()
        user = (await response.json())["id"]

    async def links() -> list[str]:
        found = [
            number for number, mail in enumerate(mails.arrived) if mail.recipient == email and "Confirm" in mail.subject
        ]
        texts = [await mails.text(number) for number in found]
        return [link for text in texts for link in re.findall(r"http://\S+verify-email#[\w.-]+", text)]

    (link, *_) = await until(links, f"{email} is asked to confirm")
    page, _, token = link.partition("#")
    async with http.post(page, data={"token": token, "password": PASSWORD}) as done:
        assert done.status == 200, await done.text()
    tokens = Tokens(http, api, email, random)
    async with asyncio.timeout(PATIENCE):
        await tokens.log_in()
    return Account(name, email, user, tokens, http, api)
