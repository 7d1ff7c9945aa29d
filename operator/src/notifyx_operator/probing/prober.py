"""Publishes and receives on a topic of its own, through the gateways, as any client does. The operator declares it.

It listens with the Python client's raw channel connection: a subscription of the client drops duplicates, which the
prober has to see. It reconnects every few minutes, to probe resuming as well and to use a token that was replaced in
its file.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp

import notifyx
from notifyx.channel_connection import ChannelConnection, open_connection
from notifyx.publishing import new_key
from notifyx.tokens import FixedToken
from notifyx.transport import parse_answer
from notifyx_common.background import every
from notifyx_common.backoff import jittered
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_operator.kube.conditions import Condition
from notifyx_operator.probing.probe import Delivered, ProbeRecord
from notifyx_operator.settings import OperatorSettings

log = get_logger(__name__)

CONNECTION_LIFETIME = 240.0
"""Maximum time of one connection, in seconds. A gateway trusts a ServiceAccount's token for 300 s."""

PUBLISH_TIMEOUT = 10.0
"""Timeout of one publish and its retries, in seconds."""

MIN_SILENCE = 45.0
"""Minimum time without a delivery that is a failure, in seconds: longer than replacing a gateway takes."""


class Prober:
    """Probes one deployment continuously. ``token`` is the file with the token that it authenticates with."""

    def __init__(self, settings: OperatorSettings, token: Path, *, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._token = token
        self._clock = clock
        self._probes = ProbeRecord(clock.monotonic(), silence=max(MIN_SILENCE, 3 * settings.probe_seconds))
        self._number = 0
        self._key = new_key()
        self._counted = metrics.counter("notifyx_probe_notifications_total")
        self._seconds = metrics.histogram("notifyx_probe_delivery_seconds")

    def condition(self) -> Condition:
        """Return the condition ``DeliveryVerified`` as of now."""
        return self._probes.condition(self._clock.monotonic())

    async def run(self) -> None:
        """Probe continuously; failures are shown in the condition and the metrics."""
        await every(1.0, self._attempt, jitter=(0.5, 1.5))

    async def _attempt(self) -> None:
        try:
            await self._session()
        except* (notifyx.NotifyxError, aiohttp.ClientError, OSError) as errors:
            self._record_failure(str(errors.exceptions[0]))
        self._check_overdue()

    async def _session(self) -> None:
        settings, token = self._settings, self._token.read_text().strip()
        async with (
            notifyx.Client(
                settings.probe_url, token, socket_url=settings.probe_socket, patience=PUBLISH_TIMEOUT
            ) as client,
            aiohttp.ClientSession() as session,
        ):
            connection = await open_connection(session, settings.probe_socket, settings.probe_topic, FixedToken(token))
            try:
                since = self._probes.last_seq
                joined = await connection.join({} if since is None else {"since": since})
                self._probes.joined(joined.last_seq)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CONNECTION_LIFETIME), asyncio.TaskGroup() as group:
                        group.create_task(self._listen(connection))
                        group.create_task(self._publish(client))
            finally:
                await connection.aclose()

    async def _listen(self, connection: ChannelConnection) -> None:
        while True:
            frame = await connection.receive()
            if frame.event == "notification":
                seq = parse_answer(notifyx.Notification, frame.payload).seq
                self._record(self._probes.received(seq, self._clock.monotonic()))
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
                # It may have been accepted: the retry uses the same idempotency key.
                self._counted.labels("refused").inc()
                self._record_failure(error.reason)
            else:
                self._counted.labels("accepted").inc()
                self._record(self._probes.accepted(answer.seq, sent_at))
                self._number, self._key = self._number + 1, new_key()
            self._check_overdue()
            await asyncio.sleep(jittered(self._settings.probe_seconds))

    def _record(self, result: Delivered | str | None) -> None:
        if isinstance(result, Delivered):
            self._counted.labels("delivered").inc()
            self._seconds.observe(result.seconds)
        elif result is not None:
            self._counted.labels(result).inc()
            log.error("probe_fault_detected", fault=result)

    def _check_overdue(self) -> None:
        lost = self._probes.expire(self._clock.monotonic())
        for _ in range(lost):
            self._record("lost")

    def _record_failure(self, reason: str) -> None:
        self._probes.record_failure(reason)
        log.info("probe_failed", reason=reason)
