"""Reads all topics of the store, and applies a plan of changes to them: for the operator and ``notifyx up``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from notifyx_common.contracts.call import Call
from notifyx_common.contracts.store.topics import (
    CLAIM_TOPIC,
    LIST_TOPICS,
    RELEASE_TOPIC,
    Topic,
    TopicClaim,
    TopicRelease,
    TopicsQuery,
)
from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal, system_principal
from notifyx_topics.plan import Action, Put, Reject, Release

PAGE_SIZE = 200

Q = TypeVar("Q")
R = TypeVar("R")


class StoreCalls(Protocol):
    """A client of the store, such as :class:`notifyx_common.calls.client.ServiceClient`."""

    async def send(self, call: Call[Q, R], request: Q, *, principal: Principal | None = None) -> R:
        """Make a call. Raises :class:`NotifyxError`."""


@dataclass(frozen=True, slots=True)
class AppliedAction:
    """The result of one action: ``error`` is ``None`` when it succeeded."""

    action: Action
    error: NotifyxError | None = None


async def observe(store: StoreCalls, part: str = "operator") -> list[Topic]:
    """Return every topic of the store. Raises :class:`NotifyxError` when it does not answer."""
    topics: list[Topic] = []
    after = ""
    while True:
        page = await store.send(
            LIST_TOPICS, TopicsQuery(limit=PAGE_SIZE, after=after), principal=system_principal(part)
        )
        topics += page.items
        if page.next is None:
            return topics
        after = page.next


async def apply(store: StoreCalls, actions: Sequence[Action], part: str = "operator") -> list[AppliedAction]:
    """Apply ``actions`` one after the other; a failed one does not stop the others."""
    principal = system_principal(part)
    done: list[AppliedAction] = []
    for action in actions:
        try:
            if isinstance(action, Put):
                # What is there is only acquired where the plan saw it: a user may have just created the topic.
                adopt: Literal["refuse", "accept"] = "accept" if action.cause in ("adopted", "handover") else "refuse"
                await store.send(CLAIM_TOPIC, TopicClaim(action.topic, action.desired, adopt), principal=principal)
            elif not isinstance(action, Reject):
                policy: Literal["retain", "delete"] = "retain" if isinstance(action, Release) else "delete"
                await store.send(
                    RELEASE_TOPIC, TopicRelease(action.topic, policy, action.uid or ""), principal=principal
                )
        except NotifyxError as error:
            done.append(AppliedAction(action, error))
        else:
            done.append(AppliedAction(action))
    return done
