"""REST calls with retries until an answer, a permanent error, or the end of the caller's patience.

A call that may have taken effect without an answer is repeated only if the caller says that this is safe.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ValidationError

from notifyx.backoff import Backoff
from notifyx.errors import (
    AMBIGUOUS,
    AnswerLost,
    InvalidRequest,
    NotifyxError,
    NotLoggedIn,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UntrustedCertificate,
    from_problem,
)
from notifyx.tokens import TokenSource

M = TypeVar("M", bound=BaseModel)

TRY_SECONDS = 15.0
"""Timeout of one attempt, in seconds; longer than the gateway's own timeout."""

CONNECT_SECONDS = 5.0
MAX_ANSWER = 16 << 20
"""Maximum size of an answer, in bytes."""


class Transport:
    """Calls the API of one deployment through an open session of aiohttp."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        patience: float,
        backoff: Backoff,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.session = session
        self.patience = patience
        self._backoff = backoff
        self._monotonic = monotonic

    async def call(
        self,
        method: str,
        path: str,
        *,
        tokens: TokenSource | None = None,
        repeatable: bool = False,
        allowed: tuple[int, ...] = (),
        into: Callable[[bytes], object] | None = None,
        **request: Any,
    ) -> Any:
        """Send a request; return the decoded JSON answer, or ``None`` if it is empty.

        ``into`` gets a good answer of any length in pieces, as it comes, and nothing is returned; what it raises is
        raised as it is.

        ``path`` is relative to the base URL. ``tokens`` authenticate the caller. ``repeatable``: repeating the request
        is safe. ``allowed``: statuses other than 2xx whose answer is returned as well. ``request``: arguments for
        aiohttp (``json``, ``data``, ``params``, ``headers``). Raises :class:`NotifyxError`.
        """
        until = self._monotonic() + self.patience
        failures, renewed = 0, False
        while True:
            token = None
            try:
                token = await tokens.token() if tokens is not None else None
                return await self._try(method, path, token, allowed, into, request)
            except NotLoggedIn as error:
                if tokens is None or token is None or renewed:
                    raise
                await tokens.renew(token, error)
                renewed = True
                continue
            except NotifyxError as error:
                if not error.retryable or (isinstance(error, AMBIGUOUS) and not repeatable):
                    raise
                failures += 1
                pause = self._backoff.wait(failures, at_least=error.retry_after or 0.0)
                if self._monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)

    async def _try(
        self,
        method: str,
        path: str,
        token: str | None,
        allowed: tuple[int, ...],
        into: Callable[[bytes], object] | None,
        request: Mapping[str, Any],
    ) -> Any:
        headers = {"Accept": "application/json", **request.get("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        options = {**request, "headers": headers}
        total = TRY_SECONDS if into is None else None
        timeout = aiohttp.ClientTimeout(total=total, connect=CONNECT_SECONDS, sock_read=TRY_SECONDS)
        consuming = False
        try:
            async with self.session.request(
                method, f"{self.url}{path}", timeout=timeout, allow_redirects=False, **options
            ) as response:
                if into is not None and response.status == 200:
                    async for piece in response.content.iter_any():
                        consuming = True
                        into(piece)
                        consuming = False
                    return None
                return await read_answer(response, self.url, allowed)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if consuming:  # a full disk or a closed pipe is no fault of the connection
                raise
            raise to_error(error, self.url) from error


async def read_answer(response: aiohttp.ClientResponse, url: str, allowed: tuple[int, ...] = ()) -> Any:
    """Return the decoded answer. Raises :class:`NotifyxError` for errors and for answers that are not Notifyx's."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > MAX_ANSWER:
            raise UnexpectedAnswer(f"The answer of {url} is larger than {MAX_ANSWER >> 20} MiB.")
    status, kind = response.status, response.content_type
    if 300 <= status < 400:
        target = response.headers.get("Location", "another address")
        raise UnexpectedAnswer(f"{url} redirects to {target}; use that address if it is a Notifyx you trust.")
    if kind in ("application/json", "application/problem+json"):
        data = _decoded(raw, url)
        if status < 300 or status in allowed:
            return data
        if isinstance(data, dict) and "code" in data:
            raise from_problem({**data, "status": status}, retry_after=_seconds(response.headers.get("Retry-After")))
    elif status < 300 and not raw:
        return None
    # Not an answer of Notifyx: a proxy, or another server.
    answered = f"{url} answers with {status} {response.reason or ''}".strip()
    if status == 429:
        raise TooManyRequests(f"{answered}.", retry_after=_seconds(response.headers.get("Retry-After")))
    if status == 503:
        raise Unavailable(f"{answered}: it cannot accept requests now.")
    if status in (502, 504):
        raise AnswerLost(f"{answered}: a proxy in front of Notifyx got no answer from it.")
    raise UnexpectedAnswer(f"{answered} ({kind}), which is not what a Notifyx gateway says; is the address right?")


def to_error(error: Exception, url: str) -> NotifyxError:
    """Convert an error of a connection to a :class:`NotifyxError`."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            converted: NotifyxError = UntrustedCertificate(
                f"The certificate of {url} is not trusted: {error.certificate_error}."
            )
        case aiohttp.ClientConnectorDNSError():
            converted = Unreachable(f"The name of {url} cannot be resolved; is it spelt right?")
        case aiohttp.ClientConnectorError():
            converted = Unreachable(f"{url} cannot be reached: {error.os_error.strerror or error.os_error}.")
        case aiohttp.ConnectionTimeoutError():
            converted = Unreachable(f"{url} cannot be reached: no connection within {CONNECT_SECONDS:g} s.")
        case TimeoutError():
            converted = AnswerLost(f"{url} did not answer within {TRY_SECONDS:g} s.")
        case aiohttp.InvalidURL():
            converted = InvalidRequest(f"{url} is no address.")
        case _:
            converted = AnswerLost(f"The connection to {url} broke before the answer came ({type(error).__name__}).")
    return converted


def parse_answer(kind: type[M], data: Any) -> M:
    """Validate an answer as ``kind``. Raises :class:`UnexpectedAnswer`."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise UnexpectedAnswer(f"The server's answer is not understood: {place} {_wrong(first['type'])}.") from None


def _wrong(kind: str) -> str:
    """Return what is wrong in words of this package, for one of pydantic's types of error."""
    return "is missing" if kind == "missing" else "has another form than this client knows"


def base_url(url: str) -> str:
    """Normalize ``url``: lower-case scheme and host, no slash at the end. Raises :class:`InvalidRequest`."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise InvalidRequest("The address of Notifyx is no URL.", code="invalid_url") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("Leave user and password out of the URL; they would show up in logs.", code="invalid_url")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidRequest("The address is a URL like https://notifyx.example.com.", code="invalid_url")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}{'' if port in (None, usual) else f':{port}'}{parts.path.rstrip('/')}"


def _decoded(raw: bytearray, url: str) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise UnexpectedAnswer(f"The answer of {url} is declared as JSON but is not valid JSON.") from None


def _seconds(header: str | None) -> float | None:
    # Retry-After may also be a date. It is ignored, since the local clock may be wrong.
    return float(header) if header is not None and header.isascii() and header.isdigit() else None
