"""The store's topics for whoever applies declared ones: read them all, and carry out a plan of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from notifyx_common.contracts.store.topics import Topic, Topics
from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal, system_principal
from notifyx_topics.plan import Action, Put, Refuse, Release

PAGE = 200


class StoreCalls(Protocol):
    """How the store is called; :class:`notifyx_common.client.ServiceClient` is one."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        principal: Principal | None = None,
        idempotent: bool | None = None,
    ) -> Any:
        """One call; raises :class:`NotifyxError`."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one action: ``error`` is ``None`` when it was done."""

    action: Action
    error: NotifyxError | None = None


async def observe(store: StoreCalls, part: str = "operator") -> list[Topic]:
    """Every topic of the store. Raises :class:`NotifyxError` when it does not answer."""
    topics: list[Topic] = []
    after: str | None = None
    while True:
        params = {"limit": str(PAGE), **({"after": after} if after else {})}
        raw = await store.call("GET", "/internal/v1/topics", params=params, principal=system_principal(part))
        page = Topics.model_validate(raw)
        topics += page.items
        if page.next is None:
            return topics
        after = page.next


async def apply(store: StoreCalls, actions: Sequence[Action], part: str = "operator") -> list[Applied]:
    """Carry out ``actions`` one after the other; one that fails does not keep the others back."""
    principal = system_principal(part)
    done: list[Applied] = []
    for action in actions:
        path = f"/internal/v1/topics/{quote(action.topic, safe='')}/resource"
        try:
            if isinstance(action, Put):
                await store.call("PUT", path, body=action.wish.model_dump(mode="json"), principal=principal)
            elif not isinstance(action, Refuse):
                policy = "retain" if isinstance(action, Release) else "delete"
                params = {"policy": policy, **({"uid": action.uid} if action.uid else {})}
                await store.call("DELETE", path, params=params, principal=principal)
        except NotifyxError as error:
            done.append(Applied(action, error))
        else:
            done.append(Applied(action))
    return done
