"""Creates the databases of auth and store, each with an owner that has access to no other database."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from notifyx_local.options import InvalidOption


async def make_databases(server: str, passwords: Mapping[str, str], *, own_roles: bool) -> dict[str, str]:
    """Create the missing databases, one for each name of ``passwords``; return their URLs.

    ``server`` is the URL of a user that may create databases. With ``own_roles`` each database gets a role of its own
    with its password; without (an external server), the user of ``server`` owns them. Raises :class:`InvalidOption` if
    the server cannot be used.
    """
    try:
        connection = await asyncpg.connect(server, timeout=10)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise InvalidOption(f"PostgreSQL cannot be used as --postgres says: {error or type(error).__name__}.") from None
    try:
        if own_roles:
            await connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
        return {
            name: await _make(connection, server, f"notifyx_{name}", password if own_roles else None)
            for name, password in passwords.items()
        }
    except asyncpg.InsufficientPrivilegeError:
        raise InvalidOption("The user of --postgres may not create databases; let it, or create notifyx_auth and "
                        "notifyx_store and make it their owner.") from None  # fmt: skip
    finally:
        await connection.close()


async def _make(connection: asyncpg.Connection, server: str, name: str, password: str | None) -> str:
    if password is not None:
        verb = "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name) else "CREATE"
        # PostgreSQL accepts no parameter for a password here; ours are URL-safe base64.
        assert password.replace("-", "").replace("_", "").isalnum()
        await connection.execute(f"{verb} ROLE {name} LOGIN PASSWORD '{password}'")
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        owner = f" OWNER {name}" if password is not None else ""
        await connection.execute(f"CREATE DATABASE {name}{owner}")
    if password is not None:
        await connection.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    parts = urlsplit(server)
    where = parts.netloc.rpartition("@")[2]
    user = f"{name}:{quote(password, safe='')}@" if password is not None else f"{parts.netloc.rpartition('@')[0]}@"
    return urlunsplit(parts._replace(netloc=f"{user}{where}", path=f"/{name}"))
