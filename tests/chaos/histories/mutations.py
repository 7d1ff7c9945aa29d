"""Protections that can be taken out of the services of a platform, to show that histories find what they are for.

Each is a change of what a name in production code stands for, made when a service starts. ``first`` is the number of
the history of seed 1, with the mutation's own faults, that was broken without the protection when it was written.
Processes interleave differently each time: it may also be one of those after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from chaos.histories.plan import SECONDS, Standbys
from chaos.histories.targets import FaultKind
from notifyx_common.errors import Unavailable
from support.mutations import hold_nobody

Change = tuple[str, Callable[[Any], Any]]
"""Where a value is, as ``module:name`` or ``module:Class.name``, and what makes another one of it."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A protection, the faults that need it, and what is left without it. ``target``: a part of the targets' names."""

    name: str
    meaning: str
    faults: tuple[FaultKind, ...]
    target: str
    first: int
    changes: Sequence[Change]
    seconds: float = SECONDS
    standbys: Standbys = "none"

    @contextlib.contextmanager
    def removed(self, *packages: str) -> Iterator[None]:
        """Take the protection out of ``packages``, of which the others are not imported."""
        with contextlib.ExitStack() as stack:
            for where, change in self.changes:
                if where.startswith(packages):
                    module, _, path = where.partition(":")
                    owner, _, attribute = path.rpartition(".")
                    holder = resolve_name(f"{module}:{owner}" if owner else module)
                    stack.enter_context(patch.object(holder, attribute, change(getattr(holder, attribute))))
            yield


def _of_another_id(read_batch: Any) -> Any:
    def read(*arguments: Any) -> Any:
        return replace(read_batch(*arguments), batch_id=str(uuid4()))

    return read


def _without_keys(validate: Any) -> Any:
    def validated(*arguments: Any) -> Any:
        candidates, refused = validate(*arguments)
        return [one._replace(used_key=None) for one in candidates], refused

    return validated


def _not_on_disk(session_settings: Any) -> Any:
    def settings(*arguments: Any, **options: Any) -> dict[str, str]:
        return {**session_settings(*arguments, **options), "synchronous_commit": "off"}

    return settings


def _at_head(attach: Any) -> Any:
    def attach_live(self: Any, state: Any, sink: Any, cursor: int, log_up_to: int = 0) -> None:
        attach(self, state, sink, max(cursor, state.head))

    return attach_live


def _for_ever(_: Any) -> Any:
    return lambda self, resource: resource in self._levels or resource in self._until


def _hash_of_anything(_: Any) -> Any:
    return lambda self, *parts: bytes(32)


def _by_wall_clock(_: Any) -> Any:
    return lambda self: self.now().timestamp()


def _by_own_clock(_: Any) -> Any:
    return lambda self: self._own.now()


def _exchanged_is_old(place: Any) -> Any:
    def find(*arguments: Any) -> str:
        found: str = place(*arguments)
        return "old" if found == "exchanged" else found

    return find


def _once(renew_forever: Any) -> Any:
    async def renew(self: Any, registry: str) -> None:
        send = self._send

        async def send_or_stop(*arguments: Any) -> None:
            try:
                await send(*arguments)
            except Unavailable:
                await asyncio.Event().wait()

        self._send = send_or_stop
        await renew_forever(self, registry)

    return renew


def _any_answer(poll: Any) -> Any:
    async def poll_whatever_was_lost(self: Any, seen: int, *arguments: Any) -> Any:
        return await poll(self, self._answers.last.number, *arguments)

    return poll_whatever_was_lost


CURSOR: Change = ("notifyx_gateway.delivery.fanout:Fanout.attach", _at_head)
KEYS: Change = ("notifyx_store.log.publish:validate", _without_keys)

MUTATIONS: Sequence[Mutation] = (
    Mutation(
        "resume-cursor", "a resume begins at the client's cursor",
        ("kill",), "gateway", 0, [CURSOR],
    ),
    Mutation(
        "resume-cursor-after-a-drain", "the same, where a gateway has sent its clients to another one",
        ("drain", "rolling"), "gateway", 0, [CURSOR],
    ),
    Mutation(
        "batch-id", "a batch that is sent again has the same id, and is answered as at first",
        ("stall_answers",), "store", 6, [("notifyx_store.log.publish:read_batch", _of_another_id)],
    ),
    Mutation(
        "synchronous-commit", "a commit is answered when it is on disk",
        ("kill",), "postgres", 0, [("notifyx_common.database.config:session_settings", _not_on_disk)],
    ),
    Mutation(
        "standby-commit", "a commit is answered when a standby has it",
        ("failover", "switchover"), "postgres", 0,
        [("notifyx_common.database.config:session_settings", _not_on_disk)], standbys="synchronous",
    ),
    Mutation(
        "one-in-flight", "each account has one batch in flight in a lane",
        ("delay",), "postgres", 0, [("notifyx_gateway.upstream.fair_queue:FairQueue.take", hold_nobody)],
    ),
    Mutation(
        "alarm-ends", "the alarm of a full storage ends",
        ("full",), "disk", 1, [("notifyx_common.alarms:Alarms.is_on", _for_ever)],
    ),
    Mutation(
        "seal", "what memcached holds is believed only with the right hash",
        ("corrupt",), "memcached", 2, [("notifyx_common.caching.sealing:Seal._hash", _hash_of_anything)], 24.0,
    ),
    Mutation(
        "idempotency-key", "what is published again under its key gets its first answer",
        ("cut",), "client", 0, [KEYS],
    ),
    Mutation(
        "idempotency-key-of-a-hung-gateway", "the same, where a gateway goes on with what its clients have given up",
        ("pause",), "gateway", 2, [KEYS], 20.0,
    ),
    Mutation(
        "answer-again", "a poll that is repeated receives the answer that was lost",
        ("lossy",), "client", 0, [("notifyx_gateway.socket.longpoll_session:LongPollSession.poll", _any_answer)],
    ),
    Mutation(
        "monotonic-clock", "durations are measured by a clock that does not jump",
        ("clock",), "gateway", 0, [("notifyx_common.clock:SystemClock.monotonic", _by_wall_clock)],
    ),
    Mutation(
        "database-clock", "stored times are those of PostgreSQL's clock, not of a node's",
        ("clock",), "store", 5, [("notifyx_common.database.clock:DatabaseClock.now", _by_own_clock)],
    ),
    Mutation(
        "refresh-grace", "a refresh whose answer was lost can be repeated",
        ("stall_answers",), "client", 1, [("notifyx_auth.sessions.sessions:_place", _exchanged_is_old)], 24.0,
    ),
    Mutation(
        "renewal", "a node renews its registration after a failure",
        ("cut", "stall"), "registry", 1,
        [("notifyx_common.calls.registration:Registration._renew_forever", _once)],
    ),
)  # fmt: skip

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
