"""Publishes what one REST request holds for one topic, and makes the answer of it.

One part that is refused never stops the rest. A sender whose parts were refused only for now (a limit, a store that
cannot be reached) is answered with that error, so that it sends all again: what was accepted is then a replay. So is
one whose parts the topic refused, whatever is in them (it is paused, the sender may not publish any more): senders take
a good answer as one for all that they sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prometheus_client import Counter

from notifyx_common.contracts.store.log import KeyedNotification, PublishResult, encode_notification
from notifyx_common.errors import Conflict, Forbidden, NotFound, NotifyxError, Unauthenticated
from notifyx_common.principal import Principal
from notifyx_common.serving.answers import answer
from notifyx_common.serving.replies import EMPTY, Reply, json_reply, problem_reply
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.limits import Limits
from notifyx_gateway.rest.hooks.publication import Part
from notifyx_gateway.rest.publish_request import PublishRequest
from notifyx_gateway.upstream.outcomes import Outcomes
from notifyx_gateway.upstream.recipients import Recipients
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX

FEW_PARTS = 32
PART_BYTES = 2048
"""Parts whose outcomes make no large answer, and the bytes of one outcome: a refusal may list fields."""

REPLAYED = {"Idempotency-Replayed": "true"}

_CONFLICT = "idempotency_conflict"


class Publishing:
    """Publishes with the limits of REST; ``counted`` counts the outcomes."""

    def __init__(self, store: Store, recipients: Recipients, limits: Limits, counted: Counter) -> None:
        self._store = store
        self._recipients = recipients
        self._limits = limits
        self._counted = counted
        self._accepted = counted.labels("rest", "ok")

    async def answer(self, principal: Principal, topic: str, wanted: PublishRequest) -> Reply:
        """Publish to ``topic`` and return the response. Raises the error of a request that is one publish."""
        if wanted.form != "notification" and (wanted.form == "webhook" or len(wanted.parts) != 1):
            if not wanted.parts:
                await self._require_topic(principal, topic)
            await reserve_outcomes(principal, len(wanted.parts))
            outcomes = await self.publish_all(principal, topic, wanted.parts, by_key=wanted.by_key)
            return events_response(outcomes) if wanted.form == "events" else listed_response(outcomes)
        result = await self._publish(principal, topic, wanted.parts[0], by_key=wanted.by_key)
        replayed = result is None or result.duplicate
        if wanted.form == "events" or result is None:
            return Reply(status=204, content_type=EMPTY, headers=REPLAYED if replayed else {})
        return json_reply(publish_response(result), 201, REPLAYED if replayed else None)

    async def publish_all(
        self, principal: Principal, topic: str, parts: Sequence[Part], *, by_key: bool
    ) -> list[PublishResult | NotifyxError | None]:
        """Publish ``parts`` in their order; return what became of each, ``None`` for a replay with other content."""
        await self._recipients.require(principal, topic)
        counted: list[Part] = []
        wait = 0.0
        for part in parts:
            try:
                if isinstance(part, KeyedNotification):
                    wait = max(wait, await self._limits.publish(principal, topic))
                counted.append(part)
            except RateLimited as error:
                counted.append(error)
        if wait:
            await asyncio.sleep(wait)
        await self._store.room_to_publish(principal)
        outcomes: Outcomes[PublishResult] = Outcomes(len(counted))
        # Queued one by one, so that their order within the topic is the order of the parts.
        for position, part in enumerate(counted):
            try:
                if isinstance(part, NotifyxError):
                    raise part
                self._store.add_publish(principal, topic, part, outcomes.waiter(position), encode_notification(part))
            except NotifyxError as error:
                outcomes.put(position, error)
        return [self._outcome(one, by_key) for one in await outcomes.all()]

    async def _require_topic(self, principal: Principal, topic: str) -> None:
        """Raise what a publish to ``topic`` would: a good answer to nothing would be one for the address."""
        principal.require_scope("publish", topic)
        await self._recipients.require(principal, topic)
        if topic.startswith(INBOX_PREFIX):
            return
        # A key may publish and not read; what it may know of the topic is its owner's.
        found = await self._store.topic(principal.model_copy(update={"scopes": principal.scopes | {"read"}}), topic)
        if not found.can_publish:
            raise Forbidden(f"You may not publish to '{topic}'.", code="not_a_publisher")
        if found.paused:
            raise Conflict(f"The topic '{topic}' is paused.", code="topic_paused")

    async def _publish(self, principal: Principal, topic: str, part: Part, *, by_key: bool) -> PublishResult | None:
        one: PublishResult | NotifyxError
        try:
            await self._recipients.require(principal, topic)
            if isinstance(part, NotifyxError):
                raise part
            if wait := await self._limits.publish(principal, topic):
                await asyncio.sleep(wait)
            one = await self._store.publish(principal, topic, part)
        except NotifyxError as error:
            one = error
        outcome = self._outcome(one, by_key)
        if isinstance(outcome, NotifyxError):
            raise outcome
        return outcome

    def _outcome(self, one: PublishResult | NotifyxError, by_key: bool) -> PublishResult | NotifyxError | None:
        if isinstance(one, PublishResult):
            (self._counted.labels("rest", "duplicate") if one.duplicate else self._accepted).inc()
            return one
        if by_key and isinstance(one, Conflict) and one.code == _CONFLICT:
            self._counted.labels("rest", "duplicate").inc()
            return None
        self._counted.labels("rest", one.code).inc()
        return one


async def reserve_outcomes(principal: Principal, count: int) -> None:
    """Reserve the memory of an answer with ``count`` outcomes, before anything is published. Raises as a page does."""
    if count > FEW_PARTS:
        await answer().reserve(principal.id, count * PART_BYTES)


def publish_response(result: PublishResult) -> dict[str, Any]:
    """Return the response to an accepted publish."""
    return {"id": result.id, "topic": result.topic, "seq": result.seq, "published_at": result.published_at}


def events_response(outcomes: Sequence[PublishResult | NotifyxError | None]) -> Reply:
    """Return the response to CloudEvents: empty (a body would be an event) unless one of them was refused."""
    rejection = _rejection(outcomes)
    if rejection is None:
        return Reply(status=204, content_type=EMPTY)
    return _with_items(rejection, outcomes)


def listed_response(outcomes: Sequence[PublishResult | NotifyxError | None]) -> Reply:
    """Return the response to a webhook: 200 and what became of each part, if any was accepted and no other may be."""
    rejection = _rejection(outcomes)
    accepted = any(not isinstance(one, NotifyxError) for one in outcomes)
    if rejection is None or (accepted and not (rejection.retryable or _is_of_topic(rejection))):
        return json_reply({"items": [_item(one) for one in outcomes]})
    return _with_items(rejection, outcomes)


def _rejection(outcomes: Sequence[PublishResult | NotifyxError | None]) -> NotifyxError | None:
    """Return the error that decides on the response: one that a repetition may end, else one of the topic."""
    errors = [one for one in outcomes if isinstance(one, NotifyxError)]
    return min(errors, key=lambda error: (not error.retryable, not _is_of_topic(error)), default=None)


def _is_of_topic(error: NotifyxError) -> bool:
    """Return whether ``error`` is about the topic or the sender's rights, not about the part that it refused."""
    return isinstance(error, (Conflict, Forbidden, NotFound, Unauthenticated)) and error.code != _CONFLICT


def _with_items(rejection: NotifyxError, outcomes: Sequence[PublishResult | NotifyxError | None]) -> Reply:
    return problem_reply(rejection, {"items": [_item(one) for one in outcomes]})


def _item(one: PublishResult | NotifyxError | None) -> dict[str, Any]:
    if isinstance(one, NotifyxError):
        return one.to_problem()
    if one is None:
        return {"status": 201, "replayed": True}
    return {"status": 201, **publish_response(one), **({"replayed": True} if one.duplicate else {})}
