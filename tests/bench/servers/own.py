"""The platform itself: ``notifyx up`` of this checkout or of another one, on a disk, with everything it promises."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from bench.errors import CannotMeasure
from bench.servers.server import Server
from notifyx_local.postgres import USER
from support.platform import PASSWORD, Platform, eventually, running_platform

FRESH = 60.0
"""Seconds for which a token is used again: cases end before it expires."""

PARALLEL = 20
"""Topics made at once."""

LOG_FILES = 24
"""Files of PostgreSQL's log, 16 MiB each, that are written before a case in which no new one shall be made."""


class Own:
    """A running platform under load."""

    dialect = "phoenix"

    def __init__(self, platform: Platform, interpreter: Path) -> None:
        self.platform = platform
        self.interpreter = interpreter
        self.filled: set[str] = set()
        """Topics that hold what a case reads: later rounds read the same."""
        self._made: set[tuple[str, int]] = set()
        self._tokens: dict[str, tuple[float, str]] = {}

    @property
    def port(self) -> int:
        """The port of the socket."""
        return urlsplit(self.platform.socket).port or 0

    @property
    def http_port(self) -> int:
        """The port of the REST API."""
        return urlsplit(self.platform.gateway).port or 0

    def processes(self) -> Mapping[str, int]:
        """Return the platform's processes by their names."""
        return self.platform.running()

    def tokens(self, count: int) -> Sequence[str]:
        """Return credentials of ``count`` users as the phoenix client sends them."""
        return [base64.b64encode(token.encode()).decode().rstrip("=") for token in self.access_tokens(count)]

    def access_tokens(self, count: int, who: str = "bench") -> Sequence[str]:
        """Return access tokens of ``count`` users, who are others for another ``who``."""
        return asyncio.run(self._users(count, who))

    def topics(self, prefix: str, count: int) -> None:
        """Create public topics that everyone may publish to, and that keep a million notifications."""
        if (prefix, count) not in self._made:
            asyncio.run(self._create(prefix, count))
            self._made.add((prefix, count))

    def call(self, method: str, path: str, body: object = None, *, token: str | None = None) -> Any:
        """Call the REST API once, as the administrator where no token is given."""
        return asyncio.run(self._call(method, path, body, token))

    async def _call(self, method: str, path: str, body: object, token: str | None) -> Any:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {token or await self._admin(session)}"}
            async with session.request(
                method, f"{self.platform.api}{path}", json=body, headers=headers, raise_for_status=True
            ) as response:
                return await response.json() if response.status != 204 else None

    async def _users(self, count: int, who: str) -> list[str]:
        async with aiohttp.ClientSession() as session:
            return [await self._user(session, f"{who}{number}@example.com") for number in range(count)]

    async def _user(self, session: aiohttp.ClientSession, email: str) -> str:
        if email not in self._tokens:
            body = {"email": email, "password": PASSWORD, "name": "Bench"}
            async with session.post(f"{self.platform.api}/users", json=body) as response:
                assert response.status in (201, 409), await response.text()
        return await self._sign_in(session, email, PASSWORD)

    async def _admin(self, session: aiohttp.ClientSession) -> str:
        password = json.loads((self.platform.data / "secrets.json").read_text())["admin_password"]
        return await self._sign_in(session, str(self.platform.ready["admin_email"]), password)

    async def _sign_in(self, session: aiohttp.ClientSession, email: str, password: str) -> str:
        until, token = self._tokens.get(email, (0.0, ""))
        if time.monotonic() < until:
            return token
        form = {"grant_type": "password", "username": email, "password": password}
        async with session.post(f"{self.platform.api}/token", data=form, raise_for_status=True) as response:
            token = str((await response.json())["access_token"])
        self._tokens[email] = (time.monotonic() + FRESH, token)
        return token

    async def _create(self, prefix: str, count: int) -> None:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {await self._admin(session)}"}

            async def create(number: int) -> None:
                body = {
                    "name": f"{prefix}.{number}",
                    "visibility": "public",
                    "publishers": ["*"],
                    "retention": {"max_count": 10_000_000},
                }
                async with session.post(f"{self.platform.api}/topics", json=body, headers=headers) as response:
                    assert response.status in (201, 409), await response.text()

            for start in range(0, count, PARALLEL):
                await asyncio.gather(*(create(number) for number in range(start, min(start + PARALLEL, count))))

    def restart_gateway(self) -> None:
        """Lose the gateway and wait for another: memory that it has used before would hide what is measured."""
        old = self.platform.kill("gateway")
        asyncio.run(self.platform.replaced({"gateway": old}))

    def recycle_log_files(self) -> None:
        """Let PostgreSQL have used log files to write again, as after some hours of work.

        A new one is filled with zeros and synced while all commits wait: on a new database that is each longest wait.
        """
        asyncio.run(self._recycle_log_files())

    def count_statements(self) -> None:
        """Let PostgreSQL count the statements that it runs, from its next start on, which is now."""
        asyncio.run(self._count_statements())

    def statements(self) -> int:
        """Return how many statements the store's database has run, but for those that begin and end transactions."""
        return asyncio.run(self._statements())

    async def fetch(self, service: str, statement: str) -> Any:
        """Return the first value of a statement in the database of ``service``."""
        database = await asyncpg.connect(self.superuser.removesuffix("postgres") + f"notifyx_{service}")
        try:
            return await database.fetchval(statement)
        finally:
            await database.close()

    async def _recycle_log_files(self) -> None:
        database = await asyncpg.connect(self.superuser)
        try:
            # PostgreSQL keeps as many files as it wrote between two checkpoints.
            for _ in range(2):
                for _ in range(LOG_FILES):
                    await database.execute(
                        "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1 << 20)))"
                        " FROM generate_series(1, 16)"
                    )
                await database.execute("CHECKPOINT")
        finally:
            await database.close()

    async def _count_statements(self) -> None:
        database = await asyncpg.connect(self.superuser)
        try:
            if await database.fetchval("SHOW shared_preload_libraries"):
                return
            await database.execute("ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements")
        finally:
            await database.close()
        old = self.platform.kill("postgres", signal.SIGINT)
        await self.platform.replaced({"postgres": old})
        await eventually(self._has_counter)

    async def _has_counter(self) -> bool:
        try:
            database = await asyncpg.connect(self.superuser)
        except (OSError, asyncpg.PostgresError):
            return False
        try:
            await database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        finally:
            await database.close()
        return True

    async def _statements(self) -> int:
        database = await asyncpg.connect(self.superuser)
        try:
            return int(
                await database.fetchval(
                    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid"
                    " WHERE datname = 'notifyx_store'"
                    " AND query !~* '^(begin|commit|rollback|start|set|savepoint|release)'"
                )
            )
        finally:
            await database.close()

    @property
    def superuser(self) -> str:
        """URL that connects as PostgreSQL's superuser."""
        port = (self.platform.data / "postgres/postmaster.pid").read_text().splitlines()[3]
        password = (self.platform.data / "postgres-password").read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"


def own_platform(server: Server) -> Own:
    """Return ``server`` if it is the platform itself. Raises :class:`CannotMeasure` for a peer."""
    if not isinstance(server, Own):
        raise CannotMeasure("only the platform is measured")
    return server


@contextlib.contextmanager
def own(interpreter: Path, *options: str) -> Iterator[Own]:
    """Run the platform of the checkout of ``interpreter``."""
    # A commit costs what the disk takes, here as for every server that keeps what it accepts.
    folder = Path(tempfile.mkdtemp(prefix="notifyx-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with running_platform("--log-level", "WARNING", *options, data=folder / "data", interpreter=interpreter) as up:
            yield Own(up, interpreter)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
