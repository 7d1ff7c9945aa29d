"""Works on deleted accounts: has the store remove what they held, sends the last mail, and reports the end to auth.

Auth keeps a departure until it is reported as finished, and leases it to one gateway at a time. Each step may be
repeated: a gateway that dies leaves the rest to another one, a minute later. The store is cleaned twice. At once, so
that nothing is delivered to who has left; and when no credential from before is valid any more, so that what a request
in flight has written meanwhile does not stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Literal, Self

from notifyx_common.background import Background, every
from notifyx_common.clock import Clock
from notifyx_common.contracts.departures import LEASE_SECONDS, Departure, DepartureStep, TopicsFate
from notifyx_common.contracts.mailer import AccountMailContext, AccountMailKind, Mail
from notifyx_common.contracts.store.people import RemoveUser
from notifyx_common.errors import NotFound, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.single_mail import SEND_TIMEOUT, single_mail
from notifyx_gateway.upstream.departures import Departures
from notifyx_gateway.upstream.mailer import Mailer

log = get_logger(__name__)

POLL_SECONDS = 30.0
"""Seconds between two looks for departures, with jitter; a deletion at this gateway is looked for at once."""

RENEW_SECONDS = LEASE_SECONDS / 3

NOTIFY_FOR = timedelta(days=1)
"""How long the last mail is tried while it fails for reasons that may pass."""

STATUS_TIMEOUT = 2.0


class DepartureWorker:
    """An async context manager that works in the background; :meth:`wake` starts a round at once."""

    def __init__(
        self,
        departures: Departures,
        mailer: Mailer,
        *,
        public_url: str,
        clock: Clock,
        metrics: Metrics,
        background: Background,
    ) -> None:
        self._departures = departures
        self._mailer = mailer
        self._public_url = public_url
        self._clock = clock
        self._steps = metrics.counter("notifyx_departure_steps_total")
        self._wake = asyncio.Event()
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        rounds = every(POLL_SECONDS, self.work_once, away=(NotifyxError,), jitter=(0.8, 1.2), wake=self._wake)
        self._tasks.endless("departures", rounds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    def wake(self) -> None:
        """Start a round now."""
        self._wake.set()

    async def work_once(self) -> None:
        """Work on the departures that nobody else works on."""
        try:
            leased = await self._departures.lease()
        except NotFound:
            return  # a node of auth of the release before, during an upgrade: it deletes no accounts
        for departure in leased:
            # One that cannot be finished must not hold up the others; it is leased again.
            with self._tasks.contained("departure", away=(NotifyxError,)):
                await self._work(departure)

    async def _work(self, departure: Departure) -> None:
        notified = departure.told or await self._notify(departure)
        await self._remove(departure)
        if not departure.final:
            await self._record(departure, "removed")
        elif notified:
            await self._record(departure, "finished")
            log.info("account_removed", user=departure.user_id)

    async def _remove(self, departure: Departure) -> None:
        # What others grant to the address later is for whoever signs up with it then.
        email = departure.email if departure.verified and not departure.final else ""
        wanted = RemoveUser(topics=departure.topics, give_to=departure.give_to, email=email, rewrite=departure.final)
        renewed = self._clock.monotonic()
        while not (piece := await self._departures.remove(departure.user_id, wanted)).done:
            wanted = wanted.model_copy(update={"after": piece.after})
            if self._clock.monotonic() - renewed > RENEW_SECONDS:
                await self._record(departure, "working")
                renewed = self._clock.monotonic()

    async def _notify(self, departure: Departure) -> bool:
        """Send the last mail, unless the address was not proved; return whether it needs no more attempts."""
        if departure.verified and not await self._send(departure):
            if self._clock.now() < departure.left_at + NOTIFY_FOR:
                return False
            log.warning("account_deleted_mail_failed", user=departure.user_id)
        await self._record(departure, "told")
        return True

    async def _send(self, departure: Departure) -> bool:
        try:
            if (await self._mailer.status(deadline=STATUS_TIMEOUT)).email == "off":
                return True
            result = await self._mailer.send(deletion_mail(departure, self._public_url), seconds=SEND_TIMEOUT)
        except NotifyxError as error:
            log.info("account_deleted_mail_postponed", code=error.code)
            return False
        return result.status != "failed"

    async def _record(self, departure: Departure, step: Literal["working", "told", "removed", "finished"]) -> None:
        await self._departures.record(departure.user_id, DepartureStep(step=step))
        self._steps.labels(step).inc()


def deletion_mail(departure: Departure, public_url: str) -> Mail:
    """Return the mail that says that the account is deleted; it is the same whenever it is sent."""
    kind: AccountMailKind = _KINDS[departure.topics]
    context = AccountMailContext(kind=kind, at=departure.left_at, time_zone=departure.time_zone)
    return single_mail(kind, departure.user_id, departure.email, context, public_url)


_KINDS: Mapping[TopicsFate, AccountMailKind] = {
    "delete": "account_deleted_topics_delete",
    "keep": "account_deleted_topics_keep",
    "give": "account_deleted_topics_give",
}
