"""Secrets of webhooks: credentials with which other software publishes to one topic in its owner's name.

A secret is in the sender's URL or in a header, or the sender signs with one. The first is stored by its hash, the
second encrypted, because a signature can only be verified with the secret itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from notifyx_common.contracts.auth import Secret
from notifyx_common.contracts.call import V1, Call, Model, RequestModel
from notifyx_common.patterns import HOOK_KIND, LINE, SIGNING_SECRET
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName

MAX_SIGNING_SECRET = 256

HookId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class HookRotation(RequestModel):
    """New secrets of a webhook. ``signing_secret``: that of the sender, where the sender makes it."""

    signing_secret: Annotated[str, StringConstraints(pattern=SIGNING_SECRET)] | None = Field(default=None, repr=False)


class NewHook(HookRotation):
    """A secret for webhooks of one ``kind``. ``signing_secret``: that of the sender, where the sender makes it."""

    kind: str = Field(min_length=1, max_length=32, pattern=HOOK_KIND)
    name: str = Field(default="", max_length=100, pattern=LINE)


class TopicHook(NewHook):
    """The same with its topic."""

    topic: AnyTopicName


@dataclass(frozen=True)
class HookCall:
    """A new secret; ``session`` is that of the caller's access token, and must be alive."""

    body: TopicHook
    session: Annotated[str, StringConstraints(max_length=64)] = ""


@dataclass(frozen=True)
class HookPath:
    """The secret of that id."""

    hook_id: HookId


@dataclass(frozen=True)
class RotateHook:
    """New secrets for the webhook of that id; without a body, all of them are the platform's."""

    hook_id: HookId
    body: HookRotation | None = None


class Hook(Model):
    """The secret of a webhook, without the secret itself. ``signed``: the sender may sign in place of showing it.

    ``last_used_at`` is when it was last shown, or signed with.
    """

    id: str
    topic: str
    kind: str
    name: str
    signed: bool
    created_at: datetime
    last_used_at: datetime | None


class CreatedHook(Hook):
    """The one answer that holds ``secret`` (``nfh_<id>_<secret>``) and, for a sender that signs, ``signing_secret``."""

    secret: str
    signing_secret: str | None


class Hooks(Model):
    """The caller's secrets of webhooks, newest first."""

    items: list[Hook]


class OpenHook(RequestModel):
    """The secret of a webhook to verify; without ``secret``, its signing secret is asked for."""

    hook_id: HookId
    secret: Secret | None = Field(default=None, max_length=64)


class OpenedHook(Model):
    """What a webhook may do. ``signing_secret`` is there only where no secret was given."""

    principal: Principal
    topic: str
    kind: str
    signing_secret: str | None = Field(default=None, repr=False)


CREATE_HOOK = Call("POST", f"{V1}/hooks", HookCall, CreatedHook, caller="principal", status=201)
HOOKS: Call[None, Hooks] = Call("GET", f"{V1}/hooks", type(None), Hooks, caller="principal")
ROTATE_HOOK = Call("POST", f"{V1}/hooks/{{hook_id}}/rotate", RotateHook, CreatedHook, caller="principal")
"""The secrets before end at once. Raises 400 for a signing secret where senders of the kind do not sign."""

DELETE_HOOK: Call[HookPath, None] = Call(
    "DELETE", f"{V1}/hooks/{{hook_id}}", HookPath, type(None), caller="principal", status=204
)
OPEN_HOOK = Call("POST", f"{V1}/hooks:open", OpenHook, OpenedHook, idempotent=True, hedged=True)
"""Raises 401 for a secret or an id that is not valid."""

USED_HOOK: Call[HookPath, None] = Call(
    "POST", f"{V1}/hooks/{{hook_id}}/used", HookPath, type(None), status=204, idempotent=True
)
"""A signature of this webhook was verified; unknown ids are ignored."""
