"""Finds the user to whose inbox somebody writes, or with whom somebody has a thread, by id or email."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.errors import Forbidden, NotFound
from notifyx_common.principal import Principal
from notifyx_gateway.limits import Limits
from notifyx_topics.names import INBOX_PREFIX, inbox_topic


async def find_addressee(
    principal: Principal, who: str, *, limits: Limits, resolve: Callable[[str], Awaitable[ResolvedUser | None]]
) -> ResolvedUser:
    """Return the user with the id or email ``who``, to whose inbox the credential may publish.

    A credential that does not cover every inbox gets the same answer for an email address without an account as for one
    whose inbox it does not cover, and the answer has no id: else it would tell who has an account.
    Raises :class:`NotFound`, :class:`Forbidden`, :class:`RateLimited` and :class:`Unavailable`.
    """
    principal.require_scope("publish", None if "@" in who else inbox_topic(who))
    await limits.recipient(principal, who)
    user = await resolve(who)
    if user is None and ("@" not in who or _covers_every_inbox(principal)):
        raise no_such_user()
    if user is None or not principal.covers_topic(inbox_topic(user.id)):
        raise Forbidden(f"This credential does not cover the inbox of '{who}'.", code="topic_not_covered")
    limits.recipient_found(principal, who)
    return user


async def find_other(
    principal: Principal, who: str, *, limits: Limits, resolve: Callable[[str], Awaitable[ResolvedUser | None]]
) -> str:
    """Return the id of the other of a thread, whom ``who`` names by id or email.

    An address is searched for as where somebody writes to it, and counts in the same limit. A credential that may not
    write gets ``who`` back for an address without an account: the thread is empty, as that with a user to whom nothing
    was written, so that it learns nothing of who has one.
    Raises :class:`NotFound`, :class:`RateLimited` and :class:`Unavailable`.
    """
    if "@" not in who:
        return who
    await limits.recipient(principal, who)
    user = await resolve(who)
    if user is None and "publish" in principal.scopes:
        raise no_such_user()
    if user is None:
        return who
    limits.recipient_found(principal, who)
    return user.id


def no_such_user() -> NotFound:
    """Return the error of an id or address that is nobody's."""
    return NotFound("There is no such user.", code="user_not_found")


def _covers_every_inbox(principal: Principal) -> bool:
    patterns = principal.topics
    return patterns is None or any(
        pattern.endswith("*") and INBOX_PREFIX.startswith(pattern[:-1]) for pattern in patterns
    )
