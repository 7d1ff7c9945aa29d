"""Client of Notifyx, self-hosted real-time notifications::

    async with Client("https://notifyx.example.com", ApiKey("nfx_...")) as notifyx:
        await notifyx.publish("deploys", "Version 1.42 is live", title="cart")
        async for notification in notifyx.subscribe("deploys", since=0):
            print(notification.seq, notification.title)

A publish is committed once, however often the network fails. A subscription delivers in order and once, over any number
of reconnections, and reports what retention has removed (:class:`HistoryTruncated`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notifyx.backoff import Backoff
    from notifyx.client import DEFAULT_URL, Client
    from notifyx.credentials import AccessToken, ApiKey, Credentials, Password, TokenFile
    from notifyx.errors import (
        AnswerLost,
        Conflict,
        DeadlineExceeded,
        FieldError,
        Forbidden,
        HistoryTruncated,
        InvalidRequest,
        NotFound,
        NotifyxError,
        NotLoggedIn,
        Refused,
        ServerError,
        TokenFileError,
        TooLarge,
        TooManyRequests,
        Unavailable,
        UnexpectedAnswer,
        Unreachable,
        UntrustedCertificate,
    )
    from notifyx.live import Live
    from notifyx.models import (
        Acked,
        Config,
        DirectMessage,
        EmailChange,
        EmailPolicy,
        EmailResumed,
        EmailState,
        FoundPage,
        HistoryPage,
        InboxNotification,
        InboxPage,
        LatestMessage,
        NewUser,
        Notification,
        Published,
        Publisher,
        Readiness,
        Retention,
        Status,
        Subscription,
        Thread,
        ThreadPage,
        ThreadsPage,
        Topic,
        User,
    )
    from notifyx.publishing import Message

_MODULES = {
    "backoff": ("Backoff",),
    "client": (
        "DEFAULT_URL",
        "Client",
    ),
    "credentials": (
        "AccessToken",
        "ApiKey",
        "Credentials",
        "Password",
        "TokenFile",
    ),
    "errors": (
        "AnswerLost",
        "Conflict",
        "DeadlineExceeded",
        "FieldError",
        "Forbidden",
        "HistoryTruncated",
        "InvalidRequest",
        "NotFound",
        "NotifyxError",
        "NotLoggedIn",
        "Refused",
        "ServerError",
        "TokenFileError",
        "TooLarge",
        "TooManyRequests",
        "Unavailable",
        "UnexpectedAnswer",
        "Unreachable",
        "UntrustedCertificate",
    ),
    "live": ("Live",),
    "models": (
        "Acked",
        "Config",
        "DirectMessage",
        "EmailChange",
        "EmailPolicy",
        "EmailResumed",
        "EmailState",
        "FoundPage",
        "HistoryPage",
        "InboxNotification",
        "InboxPage",
        "LatestMessage",
        "NewUser",
        "Notification",
        "Published",
        "Publisher",
        "Readiness",
        "Retention",
        "Status",
        "Subscription",
        "Thread",
        "ThreadPage",
        "ThreadsPage",
        "Topic",
        "User",
    ),
    "publishing": ("Message",),
}
"""Where what the package exports is. It is imported at its first use: the command line says its help without it."""

__all__ = [
    "DEFAULT_URL",
    "AccessToken",
    "Acked",
    "AnswerLost",
    "ApiKey",
    "Backoff",
    "Client",
    "Config",
    "Conflict",
    "Credentials",
    "DeadlineExceeded",
    "DirectMessage",
    "EmailChange",
    "EmailPolicy",
    "EmailResumed",
    "EmailState",
    "FieldError",
    "Forbidden",
    "FoundPage",
    "HistoryPage",
    "HistoryTruncated",
    "InboxNotification",
    "InboxPage",
    "InvalidRequest",
    "LatestMessage",
    "Live",
    "Message",
    "NewUser",
    "NotFound",
    "NotLoggedIn",
    "Notification",
    "NotifyxError",
    "Password",
    "Published",
    "Publisher",
    "Readiness",
    "Refused",
    "Retention",
    "ServerError",
    "Status",
    "Subscription",
    "Thread",
    "ThreadPage",
    "ThreadsPage",
    "TokenFile",
    "TokenFileError",
    "TooLarge",
    "TooManyRequests",
    "Topic",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "UntrustedCertificate",
    "User",
]

_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"notifyx.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"notifyx.{name}")
    raise AttributeError(f"module 'notifyx' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
