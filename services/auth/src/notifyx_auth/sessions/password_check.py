"""The password again, of a user who is signed in: before a change that a stolen session must not make.

Wrong ones are limited by session: whoever has stolen one has as many guesses as a stranger, and the user's other
sessions have theirs.
"""

from __future__ import annotations

from datetime import datetime

from notifyx_auth.base.errors import HashingBusy, TooManyAttempts, WrongPassword
from notifyx_auth.base.models import User
from notifyx_auth.sessions import sessions, throttle
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_auth.users.users import lock
from notifyx_common.database import Database
from notifyx_common.errors import Conflict, FieldError
from notifyx_common.limiting.buckets import Bucket
from notifyx_common.metrics import Metrics

LIMIT = "password-checks"


class PasswordCheck:
    """Verifies passwords of users who are signed in; wrong ones of a session count in ``bucket``."""

    def __init__(self, database: Database, passwords: Passwords, bucket: Bucket, metrics: Metrics) -> None:
        self._database = database
        self._passwords = passwords
        self._bucket = bucket
        self._checks = metrics.counter("notifyx_rate_limit_checks_total")
        self._failures = metrics.counter("notifyx_auth_failures_total")

    async def require(self, user: User, password: str, session: str, field: str, now: datetime) -> None:
        """Raise :class:`WrongPassword` (of ``field``), :class:`TooManyAttempts` or :class:`HashingBusy`.

        No row is locked meanwhile: the caller goes on with :func:`lock_checked`.
        """
        limits = [throttle.Limit.of(LIMIT, self._bucket, str(user.id), session)]
        try:
            await throttle.count_attempt(self._database.pool, limits, now)
        except TooManyAttempts:
            self._failures.labels("throttled").inc()
            self._checks.labels(LIMIT, "database", "refused").inc()
            raise
        self._checks.labels(LIMIT, "database", "allowed").inc()
        try:
            right = await self._passwords.verify(user.password_hash, password, Turn(str(user.id), known=True))
        except HashingBusy:
            await throttle.refund(self._database.pool, limits)
            raise
        if not right:
            self._failures.labels("password").inc()
            reason = "This is not the password of the account."
            raise WrongPassword(reason, fields=[FieldError(field=field, reason=reason)])
        await throttle.refund(self._database.pool, limits)


async def lock_checked(found: User, session: str, now: datetime) -> User:
    """Return ``found``, whose password was right, as it is now; its row is locked until the transaction ends.

    Raises :class:`SessionEnded` unless ``session`` is alive, and :class:`Conflict` if the password has changed.
    """
    user = await lock(found.id)
    await sessions.require_alive(session, user.id, now)
    if user.password_hash != found.password_hash:
        raise Conflict("The password was changed meanwhile. Try again.", code="changed_meanwhile")
    return user
