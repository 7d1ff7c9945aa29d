"""``notifyx login`` and ``notifyx logout``."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Annotated

import typer

from notifyx.cli.exits import UsageProblem
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer
from notifyx.cli.prompts import first_line, hidden, new_password, optional, prompt
from notifyx.cli.session import client, run
from notifyx.client import Client
from notifyx.credentials import ApiKey
from notifyx.errors import AnswerLost, NotifyxError
from notifyx.models import User
from notifyx.token_file import FileStore, default_path
from notifyx.tokens import Tokens, to_tokens


def login(
    email: Annotated[str, typer.Option(help="Your email address; asked for when not given.")] = "",
    sign_up: Annotated[bool, typer.Option("--sign-up", help="Make the account first.")] = False,
    name: Annotated[str, typer.Option(help="With --sign-up: your name; asked for at a terminal.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="Use an API key, from $NOTIFYX_API_KEY or standard input.")
    ] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Log in, and stay so: tokens are kept in a file that only you can read."""

    async def work(writer: Writer) -> None:
        if api_key and (email or sign_up or name or password_stdin):
            raise UsageProblem("An API key goes without email, password and sign-up.")
        if api_key:
            user = await _with_key(url, _read_key())
        else:
            called = name or (optional("Name") if sign_up and not password_stdin else "")
            given = email or prompt("Email", "--email")
            user = await _with_password(url, given, read_password(password_stdin, twice=sign_up), sign_up, called)
        if os.environ.get("NOTIFYX_TOKEN") or (os.environ.get("NOTIFYX_API_KEY") and not api_key):
            writer.remark("NOTIFYX_TOKEN or NOTIFYX_API_KEY is set, and is used instead of this login.")
        fields = {"url": client(url).url, "id": user.id, "email": user.email, "name": user.name}
        writer.result(fields, f"Logged in at {fields['url']} as {user.email}.")

    run(output, work, logs_in=True)


def logout(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """End the session at the server, and delete it here."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            store = FileStore(default_path(), notifyx.url)
            async with store.lock():
                tokens = store.load()
                store.save(None)
            if tokens is None:
                writer.result({"url": notifyx.url, "ended": False}, f"You were not logged in at {notifyx.url}.")
                return
            await _revoke(notifyx, tokens)
            writer.result({"url": notifyx.url, "ended": True}, f"Logged out of {notifyx.url}.")

    run(output, work)


async def _with_password(url: str, email: str, password: str, sign_up: bool, name: str) -> User:
    async with client(url) as notifyx:
        if sign_up:
            await _sign_up(notifyx, email, password, name)
        device = FileStore(default_path(), notifyx.url).device_token()
        grant = await notifyx.token_endpoint.password(email, password, device_token=device)
        old = await _store_tokens(notifyx.url, to_tokens(grant, time.time(), email=email), grant.device_token)
        if old is not None:
            with contextlib.suppress(NotifyxError):  # it expires by itself, and the new login has succeeded
                await _revoke(notifyx, old)
    return await _who(notifyx.url, grant.access_token)


async def _sign_up(notifyx: Client, email: str, password: str, name: str) -> None:
    try:
        await notifyx.sign_up(email, password, name)
    except AnswerLost as error:
        raise AnswerLost(f"{error.reason} The account may have been made: try to log in without --sign-up.") from None


async def _with_key(url: str, key: str) -> User:
    async with client(url) as notifyx:
        base = notifyx.url
    user = await _who(base, key)
    await _store_tokens(base, Tokens(access_token=key, obtained_at=time.time(), email=user.email))
    return user


async def _who(url: str, token: str) -> User:
    async with client(url, ApiKey(token)) as notifyx:
        return await notifyx.me()


async def _store_tokens(url: str, tokens: Tokens, device_token: str | None = None) -> Tokens | None:
    """Store ``tokens``, and the token of this device if there is a new one; return the tokens stored before."""
    store = FileStore(default_path(), url)
    async with store.lock():
        old = store.load()
        store.save(tokens)
        if device_token is not None:
            store.save_device_token(device_token)
    return old


async def _revoke(notifyx: Client, tokens: Tokens) -> None:
    if tokens.refresh_token is None:
        return
    try:
        await notifyx.token_endpoint.revoke(tokens.refresh_token)
    except NotifyxError as error:
        reason = f"You are logged out here, but the server could not be told: {error.reason}"
        raise type(error)(reason, code=error.code) from error


def _read_key() -> str:
    key = os.environ.get("NOTIFYX_API_KEY", "").strip() or hidden("API key")
    if not key.startswith("nfx_") or not key.isascii() or not key.isprintable():
        raise UsageProblem("This is no API key: they begin with nfx_.")
    return key


def read_password(from_stdin: bool, *, twice: bool = False) -> str:
    """Return a password, from standard input or asked for without echo. Raises :class:`UsageProblem`."""
    if from_stdin:
        return first_line("password")
    return new_password("Password") if twice else hidden("Password")
