"""Publishes and receives on a topic of its own, through the front door and as any client would.

It is the Python client's raw link that listens: a subscription of the client leaves out what comes twice, and this has
to see it. A connection is given up every few minutes, so that resuming is probed too, and with it a token that was
replaced in its file comes into use.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp

import notifyx
from notifyx.link import Link, open_link
from notifyx.publishing import new_key
from notifyx.tokens import FixedToken
from notifyx.transport import shaped
from notifyx_common.background import every
from notifyx_common.backoff import jittered
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_operator.kube.conditions import Condition
from notifyx_operator.probing.probe import Book, Delivered
from notifyx_operator.settings import OperatorSettings

log = get_logger(__name__)

SESSION = 240.0
"""Longest time of one connection; what a gateway believes of a ServiceAccount's token ends after 300 s."""

PUBLISH = 10.0
"""Longest time one publish is tried."""

SILENCE = 45.0
"""Shortest time without a delivery that is called a failure: a gateway that dies is no news."""

RETENTION = {"max_age_seconds": 3600, "max_count": 1000}


class Prober:
    """An endless probe of one deployment. ``token`` is the file that holds what to show it."""

    def __init__(self, settings: OperatorSettings, token: Path, *, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._token = token
        self._clock = clock
        self._book = Book(clock.monotonic(), silence=max(SILENCE, 3 * settings.probe_seconds))
        self._number = 0
        self._key = new_key()
        self._counted = metrics.counter("notifyx_probe_notifications_total")
        self._seconds = metrics.histogram("notifyx_probe_delivery_seconds")

    def condition(self) -> Condition:
        """``DeliveryVerified`` as of now."""
        return self._book.condition(self._clock.monotonic())

    async def run(self) -> None:
        """Probe for ever; what goes wrong is in the condition and the metrics."""
        await every(1.0, self._attempt, jitter=(0.5, 1.5))

    async def _attempt(self) -> None:
        try:
            await self._session()
        except* (notifyx.NotifyxError, aiohttp.ClientError, OSError) as errors:
            self._troubled(str(errors.exceptions[0]))
        self._look_for_lost()

    async def _session(self) -> None:
        settings, token = self._settings, self._token.read_text().strip()
        async with (
            notifyx.Client(settings.probe_url, token, socket_url=settings.probe_socket, patience=PUBLISH) as client,
            aiohttp.ClientSession() as session,
        ):
            with contextlib.suppress(notifyx.Conflict):  # it is there
                await client.create_topic(
                    settings.probe_topic, title="Probes of delivery", visibility="private", retention=RETENTION
                )
            link = await open_link(session, settings.probe_socket, settings.probe_topic, FixedToken(token))
            try:
                since = self._book.last_seq
                joined = await link.join({} if since is None else {"since": since})
                self._book.joined(joined.last_seq)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SESSION), asyncio.TaskGroup() as group:
                        group.create_task(self._listen(link))
                        group.create_task(self._publish(client))
            finally:
                await link.aclose()

    async def _listen(self, link: Link) -> None:
        while True:
            frame = await link.receive()
            if frame.event == "notification":
                seq = shaped(notifyx.Notification, frame.payload).seq
                self._note(self._book.received(seq, self._clock.monotonic()))
            elif frame.event in ("phx_error", "phx_close", "topic_deleted"):
                raise notifyx.AnswerLost("The channel of the probes was closed.")

    async def _publish(self, client: notifyx.Client) -> None:
        while True:
            sent_at = self._clock.monotonic()
            try:
                answer = await client.publish(
                    self._settings.probe_topic, "probe", data={"number": self._number}, key=self._key
                )
            except notifyx.NotifyxError as error:
                # Whether it was accepted is not known: the same key again, and it is accepted once.
                self._counted.labels("refused").inc()
                self._troubled(error.reason)
            else:
                self._counted.labels("accepted").inc()
                self._note(self._book.accepted(answer.seq, sent_at))
                self._number, self._key = self._number + 1, new_key()
            self._look_for_lost()
            await asyncio.sleep(jittered(self._settings.probe_seconds))

    def _note(self, found: Delivered | str | None) -> None:
        if isinstance(found, Delivered):
            self._counted.labels("delivered").inc()
            self._seconds.observe(found.seconds)
        elif found is not None:
            self._counted.labels(found).inc()
            log.error("a probe found a fault", fault=found)

    def _look_for_lost(self) -> None:
        lost = self._book.overdue(self._clock.monotonic())
        for _ in range(lost):
            self._note("lost")

    def _troubled(self, reason: str) -> None:
        self._book.trouble(reason)
        log.info("a probe did not get through", reason=reason)
