"""The client: one object for one deployment and one caller."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import aiohttp

from notifyx.account import Account
from notifyx.backoff import Backoff
from notifyx.channel_connection import USER_CHANNEL, ChannelConnection, open_connection
from notifyx.credentials import AccessToken, Credentials
from notifyx.errors import Forbidden, InvalidRequest, NotFound, NotifyxError, NotLoggedIn, from_problem
from notifyx.live import Live, OnState, OnTruncated
from notifyx.models import (
    Acked,
    Config,
    CreatedHook,
    EmailMode,
    EmailResumed,
    EmailState,
    FoundPage,
    HistoryPage,
    Hook,
    Hooks,
    InboxPage,
    NewUser,
    Priority,
    Published,
    Readiness,
    Status,
    Subscription,
    Subscriptions,
    ThreadPage,
    ThreadsPage,
    Topic,
    TopicNames,
    TopicsPage,
    User,
)
from notifyx.publishing import Message, batches, new_key
from notifyx.token_endpoint import TokenEndpoint
from notifyx.tokens import NO_CREDENTIALS, NoToken, TokenSource
from notifyx.transport import Transport, base_url, parse_answer

DEFAULT_URL = "http://127.0.0.1:4000"
API = "/api/v1"
KEEP_ALIVE_SECONDS = 3.0
"""Shorter than a gateway's: a request on a connection that the gateway is closing would be lost."""

PAGE_SIZE = 200


class Client:
    """Client of the deployment at ``url``, as the owner of ``credentials`` (a string is a token or an API key).

    Enter it before use. A call is retried for ``patience`` seconds if repeating it is safe. Publishing always is, since
    each publish has an idempotency key. ``socket_url`` overrides the deployment's own configuration. All methods raise
    :class:`~notifyx.errors.NotifyxError`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        credentials: Credentials | str | None = None,
        *,
        socket_url: str | None = None,
        patience: float = 30.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.url = base_url(url)
        self._credentials = AccessToken(credentials) if isinstance(credentials, str) else credentials
        self._socket_url = socket_url
        self._patience = patience
        self._backoff = backoff or Backoff()
        self._transport: Transport | None = None
        self._tokens: TokenSource | None = None
        self._config: Config | None = None
        self._lives: set[Live] = set()

    async def __aenter__(self) -> Self:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _user_agent()},
        )
        self._transport = Transport(self.url, session, patience=self._patience, backoff=self._backoff)
        if self._credentials is not None:
            self._tokens = self._credentials.source(self.token_endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(live.aclose() for live in tuple(self._lives)), return_exceptions=True)
        if self._transport is not None:
            await self._transport.session.close()
            self._transport = None

    # The deployment and the caller

    @property
    def token_endpoint(self) -> TokenEndpoint:
        """The token endpoint: log in, exchange and revoke tokens explicitly."""
        return TokenEndpoint(self._open)

    async def config(self) -> Config:
        """Return the deployment's public configuration; it is fetched once."""
        if self._config is None:
            self._config = parse_answer(Config, await self._open.call("GET", f"{API}/config"))
        return self._config

    async def socket_url(self) -> str:
        """Return the URL that subscriptions connect to."""
        return self._socket_url or (await self.config()).socket_url

    async def readiness(self) -> Readiness:
        """Return whether the gateway accepts requests."""
        return parse_answer(Readiness, await self._open.call("GET", "/readyz", allowed=(503,)))

    async def sign_up(self, email: str, password: str, name: str = "") -> NewUser:
        """Create an account; log in to use it."""
        body = {"email": email, "password": password, "name": name}
        return parse_answer(NewUser, await self._open.call("POST", f"{API}/users", json=body))

    async def request_password_reset(self, email: str) -> None:
        """Have a link mailed that sets a new password, if there is an account with this address."""
        await self._open.call("POST", f"{API}/password-resets", json={"email": email})

    async def check_password_reset(self, token: str) -> None:
        """Return if the token of a mailed link can set a new password; it is not spent.

        Raises :class:`InvalidRequest` (``invalid_link``). What an older deployment does not check counts as good.
        """
        with contextlib.suppress(NotFound):
            await self._open.call("POST", f"{API}/links/check", json={"kind": "password_reset", "token": token})

    async def reset_password(self, token: str, new_password: str, *, end_credentials: bool = False) -> None:
        """Set a new password with the token of a mailed link; every session ends.

        ``end_credentials`` deletes the account's API keys and webhooks too.
        """
        body = {"token": token, "new_password": new_password, "end_credentials": end_credentials}
        await self._open.call("POST", f"{API}/password-resets/complete", json=body)

    async def me(self) -> User:
        """Return the caller."""
        return parse_answer(User, await self._call("GET", "/me"))

    @property
    def account(self) -> Account:
        """The caller's own account: name, address, password, API keys, sessions, export of all data, deletion."""
        return Account(self._call, self._renew_token)

    async def email_state(self) -> EmailState:
        """Return whether email reaches the caller."""
        return parse_answer(EmailState, await self._call("GET", "/me/email"))

    async def resume_email(self) -> EmailResumed:
        """Have the caller's address tried again, which a mail server refused."""
        return parse_answer(EmailResumed, await self._call("POST", "/me/email/resume"))

    async def status(self) -> Status:
        """Return the deployment, the caller, their unread counts, and whether email reaches them.

        Raises :class:`NotLoggedIn` for credentials that are invalid or have expired; to have none is no error.
        """
        config, readiness = await self.config(), await self.readiness()
        user: User | None = None
        email: EmailState | None = None
        subscriptions: Sequence[Subscription] = ()
        if self._tokens is not None:
            try:
                user = await self.me()
            except NotLoggedIn as error:
                if error.code != NO_CREDENTIALS:
                    raise
            else:
                subscriptions = await self.subscriptions()
                with contextlib.suppress(Forbidden, NotFound):  # a key of some topics, or an older deployment
                    email = await self.email_state()
        return Status(
            url=self.url,
            config=config,
            readiness=readiness,
            user=user,
            email=email,
            subscriptions=tuple(subscriptions),
        )

    # Topics

    async def topics(self, q: str | None = None) -> AsyncIterator[Topic]:
        """Iterate over the topics that the caller may read, by name; ``q``: only names that contain it."""
        after: str | None = None
        while True:
            params = {"limit": str(PAGE_SIZE), **({"q": q} if q else {}), **({"after": after} if after else {})}
            page = parse_answer(TopicsPage, await self._call("GET", "/topics", params=params))
            for topic in page.items:
                yield topic
            if page.next is None:
                return
            after = page.next

    async def topic(self, name: str) -> Topic:
        """Return one topic."""
        return parse_answer(Topic, await self._call("GET", _path(name)))

    async def topic_names(self, name: str) -> Mapping[str, str]:
        """Return the names that users in a topic's lists gave, by id."""
        answer = await self._call("GET", _path(name), params={"names": "true"})
        return parse_answer(TopicNames, answer).names

    async def create_topic(self, name: str, **fields: Any) -> Topic:
        """Create a topic; the caller becomes its creator.

        ``fields`` as in the API: ``title``, ``visibility``, ``publishers``, ``readers``, ``retention``, ``email``.
        """
        return parse_answer(Topic, await self._call("POST", "/topics", json={"name": name, **fields}))

    async def change_topic(self, name: str, **fields: Any) -> Topic:
        """Change the given fields: those of :meth:`create_topic`, ``creators`` and ``paused``."""
        return parse_answer(Topic, await self._call("PATCH", _path(name), json=fields, repeatable=True))

    async def delete_topic(self, name: str) -> None:
        """Delete a topic and all its notifications."""
        await self._call("DELETE", _path(name))

    # Webhooks of other software

    async def hooks(self, topic: str | None = None) -> Sequence[Hook]:
        """Return the caller's secrets of the webhooks of a topic, or of all topics, newest first."""
        path = "/hooks" if topic is None else f"{_path(topic)}/hooks"
        return parse_answer(Hooks, await self._call("GET", path)).items

    async def create_hook(
        self, topic: str, kind: str, name: str = "", signing_secret: str | None = None
    ) -> CreatedHook:
        """Create a secret for webhooks of ``kind``; ``signing_secret`` is the sender's, where the sender makes it."""
        body = {"kind": kind, "name": name, **({"signing_secret": signing_secret} if signing_secret else {})}
        return parse_answer(CreatedHook, await self._call("POST", f"{_path(topic)}/hooks", json=body))

    async def rotate_hook(self, hook_id: str, signing_secret: str | None = None) -> CreatedHook:
        """Replace a secret; the one before ends at once. ``signing_secret`` as for :meth:`create_hook`."""
        body: dict[str, Any] = {"json": {"signing_secret": signing_secret}} if signing_secret else {}
        path = f"/hooks/{quote(hook_id, safe='')}/rotate"
        return parse_answer(CreatedHook, await self._call("POST", path, **body))

    async def delete_hook(self, hook_id: str) -> None:
        """End a secret."""
        await self._call("DELETE", f"/hooks/{quote(hook_id, safe='')}")

    # Subscriptions: inbox, unread counts, email

    async def keep_subscription(self, topic: str, email: EmailMode | None = None) -> Subscription:
        """Create or change a subscription. ``email=None``: the topic's default."""
        body = {"email": email} if email is not None else {}
        return parse_answer(Subscription, await self._call("PUT", f"{_path(topic)}/subscription", json=body))

    async def subscription(self, topic: str) -> Subscription:
        """Return the caller's subscription. Raises ``NotFound`` if there is none."""
        return parse_answer(Subscription, await self._call("GET", f"{_path(topic)}/subscription"))

    async def end_subscription(self, topic: str) -> None:
        """End the subscription, if there is one."""
        await self._call("DELETE", f"{_path(topic)}/subscription", repeatable=True)

    async def subscriptions(self) -> Sequence[Subscription]:
        """Return all subscriptions of the caller, the inbox (``user:<id>``) included."""
        return parse_answer(Subscriptions, await self._call("GET", "/subscriptions")).items

    # Notifications

    async def publish(
        self,
        topic: str,
        body: str = "",
        *,
        title: str = "",
        data: dict[str, Any] | None = None,
        priority: Priority = "normal",
        expires_at: datetime | None = None,
        key: str | None = None,
    ) -> Published:
        """Publish once; the answer means that it is committed. The same ``key`` again returns the same answer."""
        message = Message(topic, body, title, data, priority, expires_at, key or new_key())
        return await self._publish(_path(topic), message)

    async def send(
        self,
        to: str,
        body: str = "",
        *,
        title: str = "",
        data: dict[str, Any] | None = None,
        priority: Priority = "normal",
        expires_at: datetime | None = None,
        key: str | None = None,
    ) -> Published:
        """Publish to a user's inbox; ``to`` is an id, an email address, or ``me``."""
        message = Message("", body, title, data, priority, expires_at, key or new_key())
        return await self._publish(f"/users/{quote(to, safe='')}", message)

    async def publish_many(self, messages: Iterable[Message]) -> list[Published | NotifyxError]:
        """Publish in batches; return one answer for each message, in order. A rejected one does not stop the others.

        Within a topic the order is that of ``messages``, unless one has to be retried: it then comes later.
        """
        answers: list[Published | NotifyxError] = []
        for batch in batches(messages):
            answers += await self.publish_batch(batch)
        return answers

    async def publish_batch(self, batch: Sequence[Message]) -> list[Published | NotifyxError]:
        """Publish one batch (see :func:`notifyx.publishing.batches`); retry the items that failed temporarily."""
        answers: list[Published | NotifyxError | None] = [None] * len(batch)
        pending = list(range(len(batch)))
        loop = asyncio.get_running_loop()
        until, failures = loop.time() + self._patience, 0
        while pending:
            body = {"items": [batch[position].item() for position in pending]}
            answer = await self._call("POST", "/notifications:batch", json=body, repeatable=True)
            for position, item in zip(pending, answer["items"], strict=True):
                answers[position] = parse_answer(Published, item) if item["status"] == 201 else from_problem(item)
            pending = [position for position in pending if _is_retryable(answers[position])]
            failures += 1
            pause = max([self._backoff.wait(failures), *(_retry_after(answers[position]) for position in pending)])
            if pending and loop.time() + pause > until:
                break
            if pending:
                await asyncio.sleep(pause)
        return [answer for answer in answers if answer is not None]

    async def ack(self, topic: str, *, up_to: int | None = None, seqs: Sequence[int] | None = None) -> Acked:
        """Acknowledge everything up to ``up_to``, or exactly ``seqs``."""
        if (up_to is None) == (seqs is None):
            raise InvalidRequest("Give either up_to or seqs.")
        body = {"up_to": up_to} if up_to is not None else {"seqs": list(seqs or ())}
        return parse_answer(Acked, await self._call("POST", f"{_path(topic)}/acks", json=body, repeatable=True))

    async def unack(self, topic: str, seqs: Sequence[int]) -> Acked:
        """Make ``seqs`` unread again. Raises :class:`NotifyxError` (``too_far_back``) where too much follows them."""
        return parse_answer(Acked, await self._call("POST", f"{_path(topic)}/unacks", json={"seqs": list(seqs)}))

    async def history(
        self, topic: str, *, after: int | None = None, before: int | None = None, limit: int = 50
    ) -> HistoryPage:
        """Return a page of a topic's log: the oldest after ``after``, or the newest (before ``before``)."""
        params = {"limit": str(limit)}
        params |= {name: str(value) for name, value in (("after", after), ("before", before)) if value is not None}
        return parse_answer(HistoryPage, await self._call("GET", f"{_path(topic)}/notifications", params=params))

    async def inbox(self, *, unread: bool = False, limit: int = 50, after: str | None = None) -> InboxPage:
        """Return a page of the inbox, newest first, with unread counts."""
        params = _page(limit, after) | ({"unread": "true"} if unread else {})
        return parse_answer(InboxPage, await self._call("GET", "/inbox", params=params))

    async def threads(self, *, limit: int = 50, after: str | None = None) -> ThreadsPage:
        """Return a page of those with whom the caller exchanged direct messages, the newest first."""
        return parse_answer(ThreadsPage, await self._call("GET", "/me/threads", params=_page(limit, after)))

    async def thread(self, user: str, *, limit: int = 50, after: str | None = None) -> ThreadPage:
        """Return a page of the messages between the caller and the user of that id or email, the newest first."""
        path = f"/me/threads/{quote(user, safe='')}"
        return parse_answer(ThreadPage, await self._call("GET", path, params=_page(limit, after)))

    async def search(
        self, text: str, *, topic: str | None = None, unread: bool = False, limit: int = 50, after: str | None = None
    ) -> FoundPage:
        """Return a page of the notifications of ``topic`` in which the words of ``text`` occur, newest first.

        Without a topic: of the inbox. A page may be short, or empty, although there is a ``next``: a search that takes
        long is continued there.
        """
        params = {"q": text, "limit": str(limit), **({"unread": "true"} if unread else {})}
        if after:
            params["after" if topic is None else "cursor"] = after
        path = "/inbox" if topic is None else f"{_path(topic)}/notifications"
        return parse_answer(FoundPage, await self._call("GET", path, params=params))

    def subscribe(
        self,
        topic: str,
        since: int | Literal["unread"] | None = None,
        *,
        give_up_after: float | None = None,
        on_state: OnState | None = None,
        on_truncated: OnTruncated | None = None,
    ) -> Live:
        """Receive a topic live; ``user:me`` is the caller's inbox.

        ``since``: the last seq that was seen, 0 for all that still exist, ``None`` for new ones only, ``"unread"`` for
        the oldest that the caller has not acknowledged. ``"unread"`` needs a subscription (:meth:`keep_subscription`);
        this method creates none. See :class:`~notifyx.live.Live` for the other parameters.
        """
        tokens = self._token_source
        live = Live(
            topic,
            lambda: self._open_connection(topic, tokens),
            tokens,
            since=(lambda: self._first_unread(topic)) if since == "unread" else since,
            ended=self._lives.discard,
            patience=self._patience,
            give_up_after=give_up_after,
            on_state=on_state,
            on_truncated=on_truncated,
            backoff=self._backoff,
        )
        self._lives.add(live)
        return live

    @property
    def _open(self) -> Transport:
        if self._transport is None:
            raise RuntimeError("enter the client first: async with Client(...) as notifyx")
        return self._transport

    @property
    def _token_source(self) -> TokenSource:
        return self._tokens if self._tokens is not None else NoToken()

    async def _renew_token(self) -> None:
        tokens = self._token_source
        await tokens.renew(await tokens.token(), NotLoggedIn("This token is not renewed.", code=NO_CREDENTIALS))

    async def _call(self, method: str, path: str, *, repeatable: bool | None = None, **request: Any) -> Any:
        safe = (method in ("GET", "PUT") if repeatable is None else repeatable) and "into" not in request
        return await self._open.call(method, f"{API}{path}", tokens=self._token_source, repeatable=safe, **request)

    async def _publish(self, path: str, message: Message) -> Published:
        headers = {"Idempotency-Key": message.key}
        answer = await self._call(
            "POST", f"{path}/notifications", json=message.fields(), headers=headers, repeatable=True
        )
        return parse_answer(Published, answer)

    async def _first_unread(self, topic: str) -> int:
        name = f"user:{(await self.me()).id}" if topic == USER_CHANNEL else topic
        for one in await self.subscriptions():
            if one.topic == name:
                return max(one.acked_up_to, one.first_seq - 1)
        raise NotFound(f"You are not subscribed to '{topic}', so nothing in it is unread.", code="not_subscribed")

    async def _open_connection(self, topic: str, tokens: TokenSource) -> ChannelConnection:
        return await open_connection(self._open.session, await self.socket_url(), topic, tokens)


def _user_agent() -> str:
    """Return what users see beside their sessions."""
    return f"notifyx-client/{version('notifyx-client')} ({platform.system()})"


def _page(limit: int, after: str | None) -> dict[str, str]:
    return {"limit": str(limit), **({"after": after} if after else {})}


def _path(topic: str) -> str:
    return f"/topics/{quote(topic, safe='')}"


def _retry_after(answer: Published | NotifyxError | None) -> float:
    return answer.retry_after or 0.0 if isinstance(answer, NotifyxError) else 0.0


def _is_retryable(answer: Published | NotifyxError | None) -> bool:
    return isinstance(answer, NotifyxError) and answer.retryable
